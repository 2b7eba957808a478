// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Measures a request's cost in the chain: ten interceptors that do nothing, the router, and a handler.
///
/// Covers a connector's work between reading the head and writing the response. Excludes creating the `Request`, and
/// includes copying it into the chain. CPU time of the process, best of five rounds.
@main
struct ChainBenchmark {
    static let requests = 40_000
    static let rounds = 5

    static func main() async throws {
        // Off the main actor, as in connectors. On it, some stages would hop to another thread.
        try await run()
    }

    @concurrent
    static func run() async throws {
        let empty = Chain([answer])
        let floor = await measure(empty, [.get("/")])
        let stages = await measure(Chain(nothing + [answer]), [.get("/")])
        print("| what | routes | ns per request |")
        print("|---|---:|---:|")
        print("| a handler alone | – | \(floor) |")
        print("| 10 interceptors and a handler | – | \(stages) |")
        for count in [10, 100, 1_000, 10_000] {
            let fixed = Chain(
                nothing + [try Routes((0..<count).map { Route(.get, path($0), interceptors: [answer]) }).router]
            )
            let fixedRequests = sample(count).map { Request.get(path($0)) }
            print("| 10 interceptors, router, static path | \(count) | \(await measure(fixed, fixedRequests)) |")
            let patterns = try Routes(
                (0..<count).map { Route(.get, path($0) + "/:id/items/:item", interceptors: [answer]) }
            )
            let parameters = Chain(nothing + [patterns.router])
            let parameterRequests = sample(count).map { Request.get(path($0) + "/4711/items/0815") }
            print(
                "| 10 interceptors, router, two parameters | \(count) | \(await measure(parameters, parameterRequests)) |"
            )
        }
    }

    static let answer = Interceptor.handler("answer") { _ in Response(status: .noContent) }

    /// Ten interceptors whose enter and leave stages do nothing.
    static let nothing = (1...10).map { Interceptor("nothing-\($0)", enter: { _ in }, leave: { _ in }) }

    static func path(_ index: Int) -> String {
        "/api/v\(index % 3)/resource-\(index)"
    }

    /// About 64 routes, evenly spread over the table.
    static func sample(_ count: Int) -> [Int] {
        stride(from: 0, to: count, by: max(1, count / 64)).map { $0 }
    }

    /// CPU time per request, in nanoseconds.
    static func measure(_ chain: Chain, _ requests: [Request]) async -> Int {
        for request in requests {
            let status = await chain.unsentResponse(for: request).status
            // A chain that answers with an error would be fast: the figure would mean nothing.
            guard status == .noContent else { fatalError("\(request.path) was answered \(status)") }
        }
        var best = Int.max
        for _ in 0..<rounds {
            let start = cpuNanoseconds()
            for index in 0..<Self.requests {
                _ = await chain.unsentResponse(for: requests[index % requests.count])
            }
            best = min(best, (cpuNanoseconds() - start) / Self.requests)
        }
        return best
    }

    /// The CPU time of this process.
    static func cpuNanoseconds() -> Int {
        var usage = rusage()
        #if canImport(Darwin)
        getrusage(RUSAGE_SELF, &usage)
        #else
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #endif
        func nanoseconds(_ time: timeval) -> Int { Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_usec) * 1_000 }
        return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    }
}
