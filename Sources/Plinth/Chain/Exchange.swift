// SPDX-License-Identifier: Apache-2.0

/// One request's way back to its client: what a connector gives the chain.
package protocol Exchange: Sendable {
    /// Writes the head of a response. If its body is an event stream, the stream starts.
    ///
    /// Called once a request, by ``Context/sendHead()`` or by the connector itself when the chain has finished.
    func sendHead(_ response: Response, for request: Request) async throws
}
