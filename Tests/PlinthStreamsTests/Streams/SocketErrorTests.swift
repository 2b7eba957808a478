// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite("Socket errors")
struct SocketErrorTests {
    @Test("Each error number has one meaning")
    func meanings() {
        #expect(SocketError(EINTR) == .interrupted)
        #expect(SocketError(EAGAIN) == .wouldBlock)
        for number in [ENOBUFS, ENOMEM] { #expect(SocketError(number) == .starved) }
        for number in [EPIPE, ECONNRESET] { #expect(SocketError(number) == .ended(.clientClosed)) }
        #expect(SocketError(ETIMEDOUT) == .ended(.timedOut))
        for number in [EBADF, EHOSTUNREACH, 0] { #expect(SocketError(number) == .ended(.writeFailed)) }
        #expect(SocketError.end(EAGAIN) == .writeFailed)
        #expect(SocketError.end(EPIPE) == .clientClosed)
    }

    @Test("Each end has a distinct description")
    func words() {
        let all = StreamEnd.ofHubs + [.applicationClosed, .applicationFailed]
        #expect(Set(all.map(\.description)).count == all.count)
    }
}
