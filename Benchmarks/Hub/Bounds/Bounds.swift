// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub

/// Measures the hub's bounds in this process, without a server.
///
///     hub-bounds memory EVENTS PER-TOPIC TOPIC-BYTES DATA-BYTES PATTERN(0|1) LIMIT-MiB
///     hub-bounds patterns [STREAMS PATTERNS TOPICS]
///     hub-bounds leave [STREAMS TOPICS]
///     hub-bounds remembered producers|keys|ends[-bounded] COUNT
///     hub-bounds deliver single|pattern|several SUBSCRIBERS EVENTS
///
/// `Benchmarks/Hub/bounds.sh` runs them: all but the last unless named.
@main
enum Bounds {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.compactMap { Int($0) }
        switch arguments.first {
        case "memory" where numbers.count == 6: try await memory(numbers)
        case "patterns": try await patterns(numbers.count == 3 ? numbers : [1000, 100, 100_000])
        case "leave": try await leave(numbers.count == 2 ? numbers : [10_000, 1000])
        case "remembered" where numbers.count == 1:
            try await remembered(arguments.dropFirst().first ?? "keys", numbers[0])
        case "deliver" where numbers.count == 2:
            try await deliver(arguments.dropFirst().first ?? "single", numbers[0], numbers[1])
        default: print("usage: hub-bounds memory|patterns|leave|remembered|deliver …; see Benchmarks/Hub/bounds.sh")
        }
    }
}

#else

@main
enum Bounds {
    static func main() { print("this benchmark requires Linux, as the reactor does") }
}

#endif
