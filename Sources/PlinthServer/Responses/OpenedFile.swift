// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import NIOPosix
import Plinth
import Synchronization

/// An open file that is sent to a client.
///
/// Closed by `deinit`.
final class OpenedFile: Sendable {
    /// The bytes to send.
    let length: Int

    private let descriptor: CInt
    private let end: Int
    private let position: Mutex<Int>

    static let pieceSize = 64 * 1024

    /// - Throws: ``FileBodyError`` if the file cannot be opened, or is not a regular file.
    init(_ file: FileBody) throws {
        descriptor = open(file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileBodyError(path: file.path, reason: errno) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileBodyError(path: file.path, reason: EINVAL)
        }
        let size = Int(information.st_size)
        let range = file.range?.clamped(to: 0..<size) ?? 0..<size
        length = range.count
        end = range.upperBound
        position = Mutex(range.lowerBound)
    }

    deinit {
        close(descriptor)
    }

    /// The next piece; nil at the end.
    ///
    /// - Throws: ``FileBodyError`` if reading fails, or if the file has become shorter than it was.
    func next(on pool: NIOThreadPool) async throws -> [UInt8]? {
        let at = position.withLock { $0 }
        guard at < end else { return nil }
        // Not the pool's asynchronous function, which fails if the task is cancelled: a half-closed client still reads.
        // A client that has left is found when writing.
        let piece = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<[UInt8], any Error>) in
            pool.submit { [self] state in
                guard state == .active else { return continuation.resume(throwing: CancellationError()) }
                continuation.resume(with: Result { try read(at: at) })
            }
        }
        position.withLock { $0 += piece.count }
        return piece
    }

    private func read(at position: Int) throws -> [UInt8] {
        var failure: CInt = 0
        let wanted = min(Self.pieceSize, end - position)
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            let read = pread(descriptor, buffer.baseAddress, wanted, off_t(position))
            if read < 0 { failure = errno }
            count = max(0, read)
        }
        guard !bytes.isEmpty else { throw FileBodyError(path: "descriptor \(descriptor)", reason: failure) }
        return bytes
    }
}

/// A response's file cannot be read.
struct FileBodyError: Error, CustomStringConvertible {
    let path: String
    let reason: CInt

    var description: String {
        reason == 0 ? "\(path) became shorter while it was sent" : "\(path): \(String(cString: strerror(reason)))"
    }
}

#endif
