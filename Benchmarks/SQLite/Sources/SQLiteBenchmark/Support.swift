// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A reason to end without figures.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The options of a command.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else { throw Failure("no value for \(name)") }
            values[String(name.dropFirst(2))] = value
        }
    }

    func text(_ name: String) throws -> String {
        guard let value = values[name] else { throw Failure("--\(name) is missing") }
        return value
    }

    func optional(_ name: String) -> String? { values[name] }

    func number(_ name: String, _ usual: Int? = nil) throws -> Int {
        guard let value = values[name] else {
            guard let usual else { throw Failure("--\(name) is missing") }
            return usual
        }
        guard let number = Int(value), number >= 0 else { throw Failure("--\(name) \(value) is no number") }
        return number
    }

    func seconds(_ name: String, _ usual: Double) throws -> Double {
        guard let value = values[name] else { return usual }
        guard let seconds = Double(value), (0...3600).contains(seconds) else {
            throw Failure("--\(name) \(value): at most an hour")
        }
        return seconds
    }
}

/// A monotonic clock and the process's CPU time, both in nanoseconds.
enum Clock {
    static var now: Int64 { time(CLOCK_MONOTONIC) }
    static var processor: Int64 { time(CLOCK_PROCESS_CPUTIME_ID) }

    private static func time(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Times, for percentiles.
struct Times {
    private(set) var values: [Int64] = []

    mutating func add(_ nanoseconds: Int64) {
        // Enough for any run here, and a bound on memory.
        if values.count < 4_000_000 { values.append(nanoseconds) }
    }

    static func + (left: Times, right: Times) -> Times {
        var sum = left
        for value in right.values { sum.add(value) }
        return sum
    }

    /// Percentiles in microseconds.
    var microseconds: [String: Double] {
        let sorted = values.sorted()
        guard let last = sorted.last else { return [:] }
        func percentile(_ share: Double) -> Double {
            Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1000
        }
        return ["p50": percentile(0.5), "p99": percentile(0.99), "max": Double(last) / 1000]
    }
}

/// What is printed.
struct Report {
    private var values: [String: Any] = [:]

    subscript(name: String) -> Any? {
        get { values[name] }
        set { values[name] = newValue }
    }

    func print() throws {
        let data = try JSONSerialization.data(withJSONObject: values, options: [.sortedKeys])
        Swift.print(String(decoding: data, as: UTF8.self))
    }
}

/// Resident memory of this process in bytes.
var residentBytes: Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
        return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }.map { $0 * 1024 } ?? 0
    }
    return 0
}

func bytes(ofFile path: String) -> Int {
    ((try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? NSNumber)?.intValue ?? 0
}
