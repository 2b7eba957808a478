// SPDX-License-Identifier: Apache-2.0

/// An error that a stage threw, with the place where it happened.
public struct ChainError: Error, CustomStringConvertible {
    /// A stage of an interceptor.
    public enum Stage: String, Sendable {
        /// On the way in.
        case enter
        /// On the way out.
        case leave
        /// On the way out, while handling another error.
        case error
    }

    /// What the stage threw.
    public let cause: any Error
    /// The interceptor that threw.
    public let interceptor: String
    /// Its stage.
    public let stage: Stage
    /// The request it was about.
    public let requestID: String
    /// The errors that were under way when an `error` stage threw this one, oldest first.
    public let suppressed: [any Error]
    /// Tells whether an error stage passed the error on: two errors of the same cause are not the same error.
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

    /// The cause, and where it was thrown.
    public var description: String {
        "\(cause) (thrown by the \(stage.rawValue) stage of interceptor \"\(interceptor)\", request \(requestID))"
    }
}
