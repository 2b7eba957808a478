// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Glibc
import PlinthHub
import PlinthReactor

/// The memory of this process that is resident, in bytes.
func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 256)
    guard fgets(&buffer, 255, file) != nil else { return 0 }
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
}

/// Two connected sockets; the second is for the reactor.
func socketPair() -> (own: CInt, other: CInt) {
    var pair: [CInt] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
        print("no more descriptors: raise the limit (ulimit -n)")
        exit(1)
    }
    return (pair[0], pair[1])
}

/// Lets the process have as many descriptors as it may.
func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// Reads and forgets what comes on a socket, on a thread of its own, until the process ends.
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

/// The processor's time that a closure takes, in milliseconds: other processes do not count.
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
    /// The value that a share of all do not exceed.
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

/// Connections that take everything and do nothing.
final class TakingSink: StreamSink {
    var bytes = 0
    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
        self.bytes += bytes.count
        return .took(bytes.count)
    }
}

extension Hub {
    /// A stream on a reactor, as the server begins it.
    func begin(_ selection: Selection, _ start: StreamStart, on reactor: Reactor, _ descriptor: CInt) async throws {
        let stream = began(selection, start, .reactor, attachment: nil)
        let request = StreamRequest(
            selection: selection,
            start: try await locate(start),
            form: StreamForm(isChunked: true, namesTopic: true)
        ) { [self] end in ended(stream, end) }
        reactor.handOff(descriptor, request)
    }
}

#endif
