// SPDX-License-Identifier: Apache-2.0

// `import Plinth` alone provides events, HTTP types and Logger.
@_exported public import HTTPTypes
@_exported public import Logging
@_exported public import PlinthEvents
@_exported public import PlinthStreams
