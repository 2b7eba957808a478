// SPDX-License-Identifier: Apache-2.0

// A user of interceptors and event streams writes `import Plinth` and has events, HTTP's nouns and the logger at hand.
@_exported public import HTTPTypes
@_exported public import Logging
@_exported public import PlinthEvents
@_exported public import PlinthStreams
