// SPDX-License-Identifier: Apache-2.0

import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The file of `--token-file`, which is read for each attempt, as another program may renew the token in it.
final class TokenFile: Sendable {
    /// Why the file gives no token; names the file, and never quotes what it holds.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let path: String
    /// The token that ``read()`` last returned.
    private let last = Mutex<BearerToken?>(nil)

    init(_ path: String) { self.path = path }

    /// Reads the token.
    ///
    /// - Throws: ``Failure`` if the file cannot be read, is not a regular file, or does not hold a token.
    func read() throws(Failure) -> BearerToken {
        let token = try content()
        last.withLock { $0 = token }
        return token
    }

    /// Returns whether the file holds another token than the one last read; false if it holds none.
    func isRenewed() -> Bool {
        guard let token = try? content() else { return false }
        return last.withLock { $0 != token }
    }

    private func content() throws(Failure) -> BearerToken {
        // Non-blocking: opening a named pipe without a writer would block.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure("cannot be opened: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("is not a regular file, which can be read for each attempt")
        }
        var count = 0
        // One byte more than allowed, to detect a file that is too large.
        let bytes = [UInt8](unsafeUninitializedCapacity: BearerToken.maximumSize + 1) { buffer, filled in
            count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            filled = max(0, count)
        }
        guard count >= 0 else { throw failure("cannot be read: \(String(cString: strerror(errno)))") }
        do throws(BearerToken.Failure) {
            return try BearerToken(bytes)
        } catch {
            throw failure(error.reason)
        }
    }

    private func failure(_ reason: String) -> Failure { Failure(description: "the token file \(path) \(reason)") }
}
