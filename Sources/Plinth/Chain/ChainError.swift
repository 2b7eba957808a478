// SPDX-License-Identifier: Apache-2.0

/// An error thrown by a stage, with the interceptor, stage and request.
public struct ChainError: Error, CustomStringConvertible {
    /// The stage of an interceptor.
    public enum Stage: String, Sendable {
        /// On the way in.
        case enter
        /// On the way out.
        case leave
        /// On the way out, while handling another error.
        case error
    }

    /// The thrown error.
    public let cause: any Error
    /// The name of the interceptor that threw.
    public let interceptor: String
    /// The stage that threw.
    public let stage: Stage
    /// The ID of the request.
    public let requestID: String
    /// The errors that this one replaced, oldest first; empty unless an `error` stage threw it.
    public let suppressed: [any Error]
    /// Identifies the error, to detect that an `error` stage rethrew it: two errors may have the same cause.
    let serial: Int

    init(
        cause: any Error,
        interceptor: String,
        stage: Stage,
        requestID: String,
        suppressed: [any Error] = [],
        serial: Int
    ) {
        self.cause = cause
        self.interceptor = interceptor
        self.stage = stage
        self.requestID = requestID
        self.suppressed = suppressed
        self.serial = serial
    }

    /// The cause, the interceptor, the stage and the request ID.
    public var description: String {
        "\(cause) (thrown by the \(stage.rawValue) stage of interceptor \"\(interceptor)\", request \(requestID))"
    }
}
