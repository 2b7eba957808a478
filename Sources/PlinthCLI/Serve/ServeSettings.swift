// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Configuration
import PlinthHub
import PlinthServer
import SystemPackage

/// What `plinth serve` is told: by its command line, else by its environment, else by its file, else nothing.
struct ServeSettings {
    /// A setting that cannot be used, in words for whoever wrote it.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let reader: ConfigReader

    /// The settings of a run.
    ///
    /// - Parameters:
    ///   - options: From the command line, by their keys.
    ///   - file: The path of a JSON file, if there is one.
    /// - Throws: ``Failure`` if the file cannot be read.
    init(options: [String: String], file: String?) async throws {
        var providers: [any ConfigProvider] = [
            InMemoryProvider(
                name: "command line",
                values: Dictionary(
                    uniqueKeysWithValues: options.map {
                        (AbsoluteConfigKey([$0]), ConfigValue(.string($1), isSecret: false))
                    }
                )
            ),
            EnvironmentVariablesProvider().prefixKeys(with: "plinth"),
        ]
        if let file {
            do {
                providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(file)))
            } catch {
                throw Failure(description: "the configuration file \(file) cannot be used: \(error)")
            }
        }
        reader = ConfigReader(providers: providers)
    }

    /// A setting as text, whatever kind of value it is in the file: what it may be is said by whoever reads it.
    func string(_ key: String) -> String? {
        let key = ConfigKey(key)
        if let text = reader.string(forKey: key) { return text }
        if let number = reader.int(forKey: key) { return "\(number)" }
        if let number = reader.double(forKey: key) { return "\(number)" }
        return reader.bool(forKey: key).map { "\($0)" }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = string(key) else { return nil }
        guard let number = Int(text) else {
            throw Failure(description: "\(Self.name(key)) is not a whole number: \(text)")
        }
        guard range.contains(number) else {
            throw Failure(
                description: "\(Self.name(key)) is \(number), and may be \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// A time: a number of seconds, or one with a unit, as in `250ms`, `90s`, `5m`, `12h`, `7d`; `off` is nil within.
    func duration(_ key: String) throws -> Duration?? {
        guard let text = string(key) else { return nil }
        if text == "off" { return .some(nil) }
        guard let time = TimeText.duration(text) else {
            throw Failure(
                description:
                    "\(Self.name(key)) is no time such as 250ms, 90s, 5m, 12h, 7d, or off, or it is too long: \(text)"
            )
        }
        return .some(time)
    }

    /// A range of times: two with a hyphen between them, as in `2s-4s`, or one.
    func durations(_ key: String) throws -> ClosedRange<Duration>? {
        guard let text = string(key) else { return nil }
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let times = parts.compactMap { TimeText.duration(String($0)) }
        guard times.count == parts.count, let first = times.first, let last = times.last else {
            throw Failure(description: "\(Self.name(key)) is no time or range of times such as 3s or 2s-4s: \(text)")
        }
        guard first <= last else {
            throw Failure(description: "\(Self.name(key)) is \(text), whose first time is the longer one")
        }
        return first...last
    }

    /// What may be given several times: separated by commas, or in the file an array.
    func list(_ key: String) -> [String] {
        if let text = string(key) {
            return text.split(separator: ",").map { $0.filter { $0 != " " } }
        }
        return reader.stringArray(forKey: ConfigKey(key)) ?? []
    }

    func choice(_ key: String, _ values: [String]) throws -> String? {
        guard let text = string(key) else { return nil }
        guard values.contains(text) else {
            throw Failure(description: "\(Self.name(key)) is \(text), and may be \(values.joined(separator: " or "))")
        }
        return text
    }

    /// A key as all three ways to give it show it: `historyBytes` is `--history-bytes`.
    static func name(_ key: String) -> String {
        "--" + key.reduce(into: "") { $0 += $1.isUppercase ? "-\($1.lowercased())" : String($1) }
    }
}
#endif
