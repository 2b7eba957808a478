// SPDX-License-Identifier: Apache-2.0

// Reads an event stream, and prints its cost as one JSON object:
//
//     ClientBenchmark URL COUNT         reads COUNT events as fast as possible
//     ClientBenchmark URL COUNT DELAY   pauses DELAY microseconds after every 1000 events: a slow reader

import Glibc
import PlinthClient

struct Usage {
    /// Microseconds of user and system time.
    var user: Int
    var system: Int
    /// Kilobytes.
    var peak: Int

    init() {
        var usage = rusage()
        // RUSAGE_SELF, whose type differs between C libraries.
        getrusage(0, &usage)
        user = usage.ru_utime.tv_sec * 1_000_000 + Int(usage.ru_utime.tv_usec)
        system = usage.ru_stime.tv_sec * 1_000_000 + Int(usage.ru_stime.tv_usec)
        peak = usage.ru_maxrss
    }
}

let arguments = CommandLine.arguments
guard arguments.count >= 3, let count = Int(arguments[2]) else {
    print("usage: ClientBenchmark URL COUNT [DELAY]")
    exit(64)
}
let delay = arguments.count > 3 ? Int(arguments[3]) ?? 0 : 0

var configuration = EventSourceConfiguration()
configuration.maximumEventSize = 64 << 20
let source = EventSource(arguments[1], configuration: configuration)
var events = 0
var bytes = 0
let clock = ContinuousClock()
var start = clock.now
var before = Usage()
for try await event in source {
    if events == 0 {
        start = clock.now
        before = Usage()
    }
    events += 1
    bytes += event.data.utf8.count
    if events == count { break }
    // Simulates a slow reader.
    if delay > 0, events % 1000 == 0 { try await Task.sleep(for: .microseconds(delay)) }
}
let (seconds, attoseconds) = start.duration(to: clock.now).components
let after = Usage()
print(
    """
    {"events":\(events),"bytes":\(bytes),"seconds":\(Double(seconds) + Double(attoseconds) / 1e18),\
    "user":\(after.user - before.user),"system":\(after.system - before.system),"peak":\(after.peak)}
    """
)
