// SPDX-License-Identifier: Apache-2.0

// The hub's API uses `StreamEnd`.
@_exported public import PlinthStreams
