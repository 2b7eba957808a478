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
    /// Standard input cannot be read.
    struct ReadFailure: Error, CustomStringConvertible {
        let description: String
    }

    /// Output is written when this much has gathered, and whenever no more input is there at once.
    private static let outputSize = 64 * 1024

    /// The most characters of a message on standard error: what a server says may be of any length.
    private static let maximumMessageLength = 8192

    /// Makes the process ready to use them; called before anything is opened.
    ///
    /// Writes to a closed pipe fail, which is handled, and raise no signal. A descriptor that the caller closed is
    /// occupied by one that can neither be read nor written: a file or a socket that took its number would receive what
    /// is meant for the terminal.
    static func prepare() {
        ignoreBrokenPipes()
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // Gets the lowest number that is free, which is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// Reads standard input to its end and writes what `body` makes of each read to standard output.
    ///
    /// What was made before an error is written before it is thrown. If the reader of the output has left, the process
    /// ends with status 0 and without a message: the reader has what it wanted. If the input cannot be read, the process
    /// ends with status 1 and a message, after what was made before.
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

    /// Writes a line to standard output at once, even into a pipe, with control characters replaced.
    ///
    /// If the reader has left, the process ends with status 0 and without a message; if the line cannot be written, with
    /// status 1 and a message.
    static func say(_ line: String) {
        var bytes = Array((TerminalText.visible(line) + "\n").utf8)
        put(&bytes)
    }

    /// Writes a line to standard output at once, as ``say(_:)`` does; if it cannot be written, it is lost and the process
    /// continues.
    static func announce(_ line: String) {
        _ = write(Array((TerminalText.visible(line) + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Writes a line to standard error, with control characters replaced and at most 8,192 characters of it.
    ///
    /// What cannot be written is lost: a message is no reason to leave anything undone.
    static func complain(_ message: String) {
        let line = TerminalText.visible(message, upTo: maximumMessageLength) + "\n"
        _ = write(Array(line.utf8), to: STDERR_FILENO)
    }

    /// Writes bytes to standard output, all of them.
    ///
    /// If the reader has left, the process ends with status 0 and without a message; if they cannot be written, with
    /// status 1 and a message.
    static func put(_ bytes: inout [UInt8]) {
        switch write(bytes, to: STDOUT_FILENO) {
        case 0: return
        case EPIPE: exit(0)
        case let number:
            complain("plinth: cannot write standard output: \(String(cString: strerror(number)))")
            exit(1)
        }
    }

    /// Writes the text of the command's own that a person watches over the line on standard error, if that is a terminal.
    ///
    /// - Parameter text: The text, none of it from elsewhere; an empty one clears the line.
    static func overwrite(_ text: String) {
        guard isErrorTerminal else { return }
        _ = write(Array("\r\(text)\u{1B}[K".utf8), to: STDERR_FILENO)
    }

    /// Has writes to a closed pipe fail, which is handled, and not raise a signal.
    static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }

    static var isOutputTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Reads from standard input, and waits for it.
    ///
    /// - Returns: At most `count` bytes; none at its end.
    /// - Throws: ``ReadFailure`` if it cannot be read: a folder, say, or a disk that fails.
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
                // A descriptor that someone made non-blocking.
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

    /// Writes bytes, all of them.
    ///
    /// - Returns: 0, or the number of the error at which it stopped.
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
