// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Foundation

/// Files that options of `plinth serve` name.
enum ServeFile {
    /// The bytes of a file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - option: The option that names it, for messages.
    ///   - limit: The most bytes; the path may name an endless device.
    ///   - isSecret: Whether a file that others may read is refused.
    /// - Returns: The bytes.
    /// - Throws: ``ServeSettings/Failure``.
    static func bytes(of path: String, _ option: String, upTo limit: Int, isSecret: Bool = false) throws -> [UInt8] {
        func failure(_ reason: String) -> ServeSettings.Failure {
            ServeSettings.Failure(description: "\(option) \(path): \(reason)")
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("cannot be read: \(String(cString: strerror(errno)))") }
        if isSecret, status.st_mode & 0o007 != 0 {
            throw failure("everybody on this machine may read or change it; run chmod o= on it")
        }
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? handle.close() }
            bytes = Array(try handle.read(upToCount: limit + 1) ?? Data())
        } catch {
            throw failure("cannot be read: \(error.localizedDescription)")
        }
        guard bytes.count <= limit else { throw failure("larger than \(limit) bytes") }
        return bytes
    }
}
#endif
