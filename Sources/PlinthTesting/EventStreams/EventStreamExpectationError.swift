// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// An expectation on an event stream failed.
public struct EventStreamExpectationError: Error, CustomStringConvertible {
    /// What was expected.
    public let awaited: String
    /// What arrived instead, if anything.
    public let found: String
    /// All parts received so far.
    public let received: [EventStreamPart]
    /// The file of the expectation.
    public let file: String
    /// The line of the expectation.
    public let line: Int

    /// The location, what was expected, what arrived instead, and all received parts.
    public var description: String {
        let parts = received.isEmpty ? "nothing" : received.map(\.description).joined(separator: ", ")
        return "\(file):\(line): expected \(awaited); \(found). Received so far: \(parts)"
    }
}

/// The response to a request is not an event stream.
public struct NotAnEventStream: Error, CustomStringConvertible {
    /// The status of the response.
    public let status: HTTPResponse.Status
    /// The header fields of the response.
    public let headers: HTTPFields
    /// The body of the response, if it is in memory; empty otherwise.
    public let body: String

    /// The status and the body.
    public var description: String {
        "expected an event stream; the response is \(status.code) \(status.reasonPhrase)"
            + (body.isEmpty ? "" : ": \(body)")
    }
}
