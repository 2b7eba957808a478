// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// An event stream did not do what a test awaited.
public struct EventStreamExpectationError: Error, CustomStringConvertible {
    /// What was awaited.
    public let awaited: String
    /// What came instead, or that nothing did.
    public let found: String
    /// All parts that had come by then.
    public let received: [EventStreamPart]
    /// The file of the expectation.
    public let file: String
    /// The line of the expectation.
    public let line: Int

    /// What was awaited, what came instead, and all that had come before.
    public var description: String {
        let parts = received.isEmpty ? "nothing" : received.map(\.description).joined(separator: ", ")
        return "\(file):\(line): awaited \(awaited); \(found). Received so far: \(parts)"
    }
}

/// A request that was to be answered with an event stream was answered otherwise.
public struct NotAnEventStream: Error, CustomStringConvertible {
    /// The status of the response.
    public let status: HTTPResponse.Status
    /// The header fields of the response.
    public let headers: HTTPFields
    /// The body of the response, as far as it is text that was set at once.
    public let body: String

    /// The status and the body.
    public var description: String {
        "awaited an event stream; the response is \(status.code) \(status.reasonPhrase)"
            + (body.isEmpty ? "" : ": \(body)")
    }
}
