// SPDX-License-Identifier: Apache-2.0

// The end reason is the hub's as much as an event stream's.
@_exported public import PlinthStreams
