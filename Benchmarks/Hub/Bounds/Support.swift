// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Glibc
import PlinthHub
import PlinthReactor

/// The resident memory of this process, in bytes.
func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 256)
    guard fgets(&buffer, 255, file) != nil else { return 0 }
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
}

/// Two connected sockets, the second for the reactor.
func socketPair() -> (own: CInt, other: CInt) {
    var pair: [CInt] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
        print("out of descriptors: raise the limit (ulimit -n)")
        exit(1)
    }
    return (pair[0], pair[1])
}

/// Raises the descriptor limit to the hard limit.
func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// Reads and discards a socket's input on a new thread, until the process ends.
func drain(_ descriptor: CInt) {
    var thread = pthread_t()
    let argument = UnsafeMutableRawPointer(bitPattern: Int(descriptor))
    pthread_create(
        &thread,
        nil,
        { argument in
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while recv(CInt(Int(bitPattern: argument)), &buffer, buffer.count, 0) > 0 {}
            return nil
        },
        argument
    )
}

/// The CPU time of this process during a closure, in milliseconds.
func processorTime(_ body: () throws -> Void) rethrows -> Double {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1e6
    }
    let start = now()
    try body()
    return now() - start
}

extension Array where Element == Double {
    /// The value that `share` of the elements do not exceed.
    func percentile(_ share: Double) -> Double {
        isEmpty ? 0 : sorted()[Swift.min(count - 1, Int(Double(count) * share))]
    }
}

func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1000 + Double(duration.components.attoseconds) / 1e15
}

func shown(_ number: Double) -> String {
    let hundredths = Int((number * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}

/// A sink that accepts and discards everything.
final class TakingSink: StreamSink {
    var bytes = 0
    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
        self.bytes += bytes.count
        return .took(bytes.count)
    }
}

extension Hub {
    /// Begins a stream on a reactor, as the server does.
    func begin(_ selection: Selection, _ start: StreamStart, on reactor: Reactor, _ descriptor: CInt) async throws {
        let stream = began(selection, start, .reactor, attachment: nil)
        let request = StreamRequest(
            selection: selection,
            start: await locate(start, selection),
            form: StreamForm(isChunked: true, namesTopic: true)
        ) { [self] end in ended(stream, end) }
        reactor.handOff(descriptor, request)
    }
}

#endif
