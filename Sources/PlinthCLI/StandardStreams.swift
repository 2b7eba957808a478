// SPDX-License-Identifier: Apache-2.0

import PlinthStreams

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Standard input, standard output and standard error.
enum StandardStreams {
    /// Reading standard input failed.
    struct ReadFailure: Error, CustomStringConvertible {
        let description: String
    }

    /// Output is flushed at this size, in bytes, and whenever no input is ready.
    private static let outputSize = 64 * 1024

    /// Maximum characters of a message on standard error, which may quote a server's text.
    private static let maximumMessageLength = 8192

    /// Prepares the process's standard streams; call before opening any file or socket.
    ///
    /// Ignores SIGPIPE, so writing to a closed pipe fails with EPIPE. Occupies each closed standard descriptor with one
    /// that cannot be used; otherwise a file or socket that got its number would receive the terminal's output.
    static func prepare() {
        ignoreBrokenPipes()
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // `open` returns the lowest free number, which is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// Reads standard input to its end, passes each read to `body`, and writes its output to standard output.
    ///
    /// Pending output is written before an error is thrown. If the output's reader has closed it, the process exits
    /// with status 0 and no message. If reading the input fails, the process writes pending output, then exits with
    /// status 1 and a message.
    static func filter<E: Error>(
        readSize: Int,
        _ body: (Span<UInt8>, inout [UInt8]) throws(E) -> Void,
        atEnd: (inout [UInt8]) throws(E) -> Void = { _ in }
    ) throws(E) {
        var input = [UInt8](repeating: 0, count: readSize)
        var output: [UInt8] = []
        var failure: ReadFailure?
        do throws(E) {
            while true {
                let count: Int
                do throws(ReadFailure) {
                    count = try read(into: &input)
                } catch {
                    failure = error
                    break
                }
                if count == 0 { break }
                try body(input.span.extracting(first: count), &output)
                if output.count >= outputSize || !isInputReady() { flush(&output) }
            }
            if failure == nil { try atEnd(&output) }
        } catch {
            flush(&output)
            throw error
        }
        flush(&output)
        if let failure {
            complain("plinth: \(failure)")
            exit(1)
        }
    }

    /// Writes a line to standard output without buffering, with control characters replaced.
    ///
    /// Exits as ``put(_:)`` does if writing fails.
    static func say(_ line: String) {
        var bytes = Array((TerminalText.visible(line) + "\n").utf8)
        put(&bytes)
    }

    /// Writes a line to standard output as ``say(_:)`` does, but ignores a failed write.
    static func announce(_ line: String) {
        _ = write(Array((TerminalText.visible(line) + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Writes a line of at most 8,192 characters to standard error, with control characters replaced.
    ///
    /// Ignores a failed write: a lost message must not stop the work.
    static func complain(_ message: String) {
        let line = TerminalText.visible(message, upTo: maximumMessageLength) + "\n"
        _ = write(Array(line.utf8), to: STDERR_FILENO)
    }

    /// Writes all bytes to standard output.
    ///
    /// If the reader has closed it, the process exits with status 0 and no message; on any other failure, with status 1
    /// and a message.
    static func put(_ bytes: inout [UInt8]) {
        switch write(bytes, to: STDOUT_FILENO) {
        case 0: return
        case EPIPE: exit(0)
        case let number:
            complain("plinth: cannot write standard output: \(String(cString: strerror(number)))")
            exit(1)
        }
    }

    /// Replaces the current line of standard error with progress text, if standard error is a terminal.
    ///
    /// - Parameter text: The command's own text, written unescaped; empty to clear the line.
    static func overwrite(_ text: String) {
        guard isErrorTerminal else { return }
        _ = write(Array("\r\(text)\u{1B}[K".utf8), to: STDERR_FILENO)
    }

    /// Ignores SIGPIPE, so writing to a closed pipe fails with EPIPE.
    static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }

    /// Whether standard input is a regular file.
    static var isInputFile: Bool {
        var status = stat()
        return fstat(STDIN_FILENO, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    static var isOutputTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Reads from standard input, blocking until bytes arrive.
    ///
    /// - Returns: At most `count` bytes; empty at the end of input.
    /// - Throws: ``ReadFailure`` if reading fails, for example because standard input is a directory.
    static func read(_ count: Int) throws(ReadFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = try read(into: &bytes)
        bytes.removeLast(count - filled)
        return bytes
    }

    static func leave(with status: CInt) -> Never {
        exit(status)
    }

    private static func read(into bytes: inout [UInt8]) throws(ReadFailure) -> Int {
        while true {
            let count = bytes.withUnsafeMutableBytes { memory in
                #if canImport(Glibc)
                Glibc.read(STDIN_FILENO, memory.baseAddress, memory.count)
                #elseif canImport(Musl)
                Musl.read(STDIN_FILENO, memory.baseAddress, memory.count)
                #else
                Darwin.read(STDIN_FILENO, memory.baseAddress, memory.count)
                #endif
            }
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // The descriptor is non-blocking.
                var state = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                _ = poll(&state, 1, -1)
            case let number:
                throw ReadFailure(description: "cannot read standard input: \(String(cString: strerror(number)))")
            }
        }
    }

    private static func isInputReady() -> Bool {
        var state = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 1
    }

    private static func flush(_ output: inout [UInt8]) {
        put(&output)
        output.removeAll(keepingCapacity: output.capacity <= 16 * outputSize)
    }

    /// Writes all bytes.
    ///
    /// - Returns: 0, or the `errno` of the failed write.
    private static func write(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                #if canImport(Glibc)
                let count = Glibc.write(descriptor, part.baseAddress, part.count)
                #elseif canImport(Musl)
                let count = Musl.write(descriptor, part.baseAddress, part.count)
                #else
                let count = Darwin.write(descriptor, part.baseAddress, part.count)
                #endif
                if count >= 0 {
                    rest = rest.dropFirst(count)
                    continue
                }
                switch errno {
                case EINTR: continue
                case EAGAIN:
                    var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&state, 1, -1)
                case let number: return number
                }
            }
            return 0
        }
    }
}
