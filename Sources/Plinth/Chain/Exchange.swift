// SPDX-License-Identifier: Apache-2.0

/// The connector's side of one request, through which the chain sends a response head.
package protocol Exchange: AnyObject, Sendable {
    /// Sends the head of a response, and starts the stream if the body is an event stream.
    ///
    /// Called once per request, by ``Context/sendHead()`` or by the connector after the chain has finished.
    func sendHead(_ response: Response, for request: Request) async throws
}
