// SPDX-License-Identifier: Apache-2.0

#if Client

import AsyncHTTPClient
import Foundation
import NIOCore
import Testing

@testable import PlinthClient

@Suite("Causes of failed connections")
struct ConnectionFailureTests {
    private func preventing(_ errorNumber: CInt) -> EventSourceError.Code? {
        EventSourceTransportError.preventing(IOError(errnoCode: errorNumber, reason: "test"))?.code
    }

    @Test("Only errors that precede the request count as preventing it")
    func preventing() {
        #expect(preventing(ECONNREFUSED) == .connectionRefused)
        #expect(preventing(EHOSTUNREACH) == .connectionRefused)
        // These may also end an established connection.
        for number in [ETIMEDOUT, ECONNRESET, EPIPE] { #expect(preventing(number) == nil) }
        for error in [HTTPClientError.connectTimeout, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout] {
            #expect(EventSourceTransportError.preventing(error) != nil)
        }
        #expect(EventSourceTransportError.preventing(HTTPClientError.remoteConnectionClosed) == nil)
    }
}

#endif
