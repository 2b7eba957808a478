// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Standard input and output of a filter.
enum StandardStreams {
    /// Output is written when this much has gathered, and whenever no more input is there at once.
    private static let outputSize = 64 * 1024

    /// Reads standard input to its end and writes what `body` makes of each read to standard output.
    ///
    /// What was made before an error is written before it is thrown. If nobody reads the output any more, the process
    /// ends with status 0 and says nothing: the reader has what it wanted.
    static func filter<E: Error>(
        readSize: Int,
        _ body: (Span<UInt8>, inout [UInt8]) throws(E) -> Void,
        atEnd: (inout [UInt8]) throws(E) -> Void = { _ in }
    ) throws(E) {
        ignoreBrokenPipes()
        var input = [UInt8](repeating: 0, count: readSize)
        var output: [UInt8] = []
        do throws(E) {
            while true {
                let count = input.withUnsafeMutableBytes { read(into: $0) }
                if count == 0 { break }
                try body(input.span.extracting(first: count), &output)
                if output.count >= outputSize || !isInputReady() { flush(&output) }
            }
            try atEnd(&output)
        } catch {
            flush(&output)
            throw error
        }
        flush(&output)
    }

    /// Writes a line to standard error.
    ///
    /// Prints a line at once, even into a pipe.
    static func say(_ line: String) {
        var bytes = Array((line + "\n").utf8)
        writeAll(&bytes, to: 1)
    }

    static func complain(_ message: String) {
        var bytes = Array((message + "\n").utf8)
        writeAll(&bytes, to: STDERR_FILENO)
    }

    /// Writes bytes to standard output, all of them.
    ///
    /// If nobody reads there any more, the process ends with status 0 and says nothing.
    static func put(_ bytes: inout [UInt8]) {
        writeAll(&bytes, to: STDOUT_FILENO)
    }

    /// Writes text to standard error as it is: a line that is written over, say.
    static func show(_ text: String) {
        var bytes = Array(text.utf8)
        writeAll(&bytes, to: STDERR_FILENO)
    }

    /// Has writes to a closed pipe fail, which is handled, and not raise a signal.
    static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }

    static var isOutputTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Reads from standard input, and waits for it.
    ///
    /// - Returns: The bytes; none at its end.
    static func read(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = read(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    static func leave(with status: CInt) -> Never {
        exit(status)
    }

    private static func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            #if canImport(Glibc)
            let count = Glibc.read(STDIN_FILENO, memory.baseAddress, memory.count)
            #elseif canImport(Musl)
            let count = Musl.read(STDIN_FILENO, memory.baseAddress, memory.count)
            #else
            let count = Darwin.read(STDIN_FILENO, memory.baseAddress, memory.count)
            #endif
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // A descriptor that someone made non-blocking.
                var state = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                _ = poll(&state, 1, -1)
            default:
                complain("plinth: cannot read standard input: \(String(cString: strerror(errno)))")
                exit(1)
            }
        }
    }

    private static func isInputReady() -> Bool {
        var state = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 1
    }

    private static func flush(_ output: inout [UInt8]) {
        writeAll(&output, to: STDOUT_FILENO)
        output.removeAll(keepingCapacity: output.capacity <= 16 * outputSize)
    }

    private static func writeAll(_ bytes: inout [UInt8], to descriptor: CInt) {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                let count = write(descriptor, part.baseAddress, part.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                    continue
                }
                switch errno {
                case EINTR: continue
                case EAGAIN:
                    var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&state, 1, -1)
                // What nobody reads of standard error is no reason to leave anything undone.
                case _ where descriptor != STDOUT_FILENO:
                    return
                case EPIPE:
                    exit(0)
                default:
                    complain("plinth: cannot write standard output: \(String(cString: strerror(errno)))")
                    exit(1)
                }
            }
        }
    }
}
