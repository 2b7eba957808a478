// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Configuration
import Foundation
import PlinthStreams

/// The settings of `plinth serve`: the command line overrides the environment, which overrides the file.
struct ServeSettings {
    /// An invalid setting.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// In bytes; far more than a configuration file needs.
    private static let maximumFileSize = 1 << 20
    private static let prefix = "PLINTH_"

    private let reader: ConfigReader
    private let options: [String: String]
    private let environment: [String: String]
    private let file: String?
    private let settings: [String: JSONLine.Setting]
    /// Messages about `PLINTH_` variables that are not settings: at most ten, then a count of the rest.
    let unknownVariables: [String]

    /// Reads the configuration file and combines the three sources.
    ///
    /// - Parameters:
    ///   - options: The command line's values for all keys; nil for an option that was not given.
    ///   - file: The path of a JSON file; nil to use `PLINTH_CONFIG`, if set.
    ///   - environment: The environment.
    /// - Throws: ``Failure`` if the file cannot be read, exceeds 1 MiB, is not a JSON object of strings, numbers and
    ///   lists of strings, or has an unknown key.
    init(
        options: [String: String?],
        file: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        let keys = Set(options.keys)
        self.options = options.compactMapValues { $0 }
        self.environment = environment
        self.file = file ?? environment[Self.prefix + "CONFIG"]
        settings = try self.file.map { try Self.settings(inFile: $0, keys) } ?? [:]
        unknownVariables = Self.unknownVariables(environment, keys)
        reader = ConfigReader(providers: [
            Self.provider("command line", self.options.mapValues { .string($0) }),
            EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "plinth"),
            Self.provider(
                "file",
                settings.compactMapValues { setting in
                    switch setting.value {
                    case .text(let text), .number(let text): .string(text)
                    case .list(let texts): .stringArray(texts)
                    case .other: nil
                    }
                }
            ),
        ])
    }

    private static func provider(_ name: String, _ values: [String: ConfigContent]) -> InMemoryProvider {
        InMemoryProvider(
            name: name,
            values: Dictionary(
                uniqueKeysWithValues: values.map { (AbsoluteConfigKey([$0]), ConfigValue($1, isSecret: false)) }
            )
        )
    }

    // MARK: - The file

    private static func settings(inFile path: String, _ keys: Set<String>) throws -> [String: JSONLine.Setting] {
        func failure(_ reason: String) -> Failure {
            Failure(description: "invalid configuration file \(path): \(reason)")
        }
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? handle.close() }
            // Bounded, as the path may name an endless device.
            bytes = Array(try handle.read(upToCount: maximumFileSize + 1) ?? Data())
        } catch {
            throw failure("cannot be read: \(error.localizedDescription)")
        }
        guard bytes.count <= maximumFileSize else { throw failure("larger than \(maximumFileSize) bytes") }
        let settings: [JSONLine.Setting]
        do throws(JSONLine.Failure) {
            settings = try JSONLine.settings(bytes.span)
        } catch {
            throw failure(error.reason)
        }
        for setting in settings {
            guard keys.contains(setting.key) else {
                let closest = ClosestName.closest(to: setting.key, in: keys).map { "; did you mean \"\($0)\"?" }
                throw failure(
                    "line \(setting.line): unknown key \(JSONLine.quoted(setting.key))"
                        + (closest ?? "; known keys: \(keys.sorted().joined(separator: ", "))")
                )
            }
            if case .other(let what) = setting.value {
                throw failure(
                    "line \(setting.line): the value of \"\(setting.key)\" is \(what), but must be a string or a number"
                        + (what == "null" ? "; omit the key for the default" : "")
                )
            }
        }
        return Dictionary(uniqueKeysWithValues: settings.map { ($0.key, $0) })
    }

    // MARK: - The environment

    private static func variable(_ key: String) -> String {
        prefix + key.reduce(into: "") { $0 += $1.isUppercase ? "_\($1)" : $1.uppercased() }
    }

    private static func unknownVariables(_ environment: [String: String], _ keys: Set<String>) -> [String] {
        let known = keys.map(variable) + [prefix + "CONFIG"]
        let unknown = environment.keys.filter { $0.hasPrefix(prefix) && !known.contains($0) }.sorted()
        let sentences = unknown.prefix(10).map { name in
            let closest = ClosestName.closest(to: name, in: known).map { "; did you mean \($0)?" }
            return "ignoring the environment variable \(name), which is not a setting" + (closest ?? "")
        }
        let rest = unknown.count - sentences.count
        return rest == 0 ? sentences : sentences + ["ignoring \(rest) more variables that are not settings"]
    }

    // MARK: - Values

    /// A string setting; throws if the file has a number.
    func string(_ key: String) throws -> String? {
        if isFromFile(key), case .number(let number)? = settings[key]?.value {
            throw Failure(description: "\(place(key)) is the number \(number), but must be a string in quotes")
        }
        return try value(key)
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = try value(key) else { return nil }
        guard let number = Int(text) else {
            throw Failure(description: "\(place(key)) is not an integer: \(text)")
        }
        guard range.contains(number) else {
            throw Failure(
                description: "\(place(key)) is \(number), but must be \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// A time: a number of seconds, or one with a unit (`250ms`, `90s`, `5m`, `12h`, `7d`); `.some(nil)` for `off`.
    func duration(_ key: String) throws -> Duration?? {
        guard let text = try value(key) else { return nil }
        if text == "off" { return .some(nil) }
        guard let time = TimeText.duration(text) else {
            throw Failure(
                description:
                    "\(place(key)) must be off or a time such as 250ms, 90s, 5m, 12h, 7d, below 2^63 ms: \(text)"
            )
        }
        return .some(time)
    }

    /// A time that cannot be `off`.
    func time(_ key: String) throws -> Duration? {
        switch try duration(key) {
        case .some(.some(let time)): return time
        case .some(.none): throw Failure(description: "\(place(key)) is off, but must be a time")
        case .none: return nil
        }
    }

    /// Whether a setting has a value, in any of the sources.
    func isSet(_ key: String) -> Bool { !isFromFile(key) || settings[key] != nil }

    /// A range of times, such as `2s-4s`, or a single time.
    func durations(_ key: String) throws -> ClosedRange<Duration>? {
        guard let text = try value(key) else { return nil }
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let times = parts.compactMap { TimeText.duration(String($0)) }
        guard times.count == parts.count, let first = times.first, let last = times.last else {
            throw Failure(description: "\(place(key)) must be a time or a range such as 3s or 2s-4s: \(text)")
        }
        guard first <= last else {
            throw Failure(description: "\(place(key)) is \(text), whose first time exceeds the second")
        }
        return first...last
    }

    /// A list setting: comma-separated, or an array in the file.
    func list(_ key: String) throws -> [String] {
        if isFromFile(key), case .list(let texts)? = settings[key]?.value { return texts }
        return try value(key)?.split(separator: ",").map { $0.filter { $0 != " " } } ?? []
    }

    func choice(_ key: String, _ values: [String]) throws -> String? {
        guard let text = try value(key) else { return nil }
        guard values.contains(text) else {
            throw Failure(description: "\(place(key)) is \(text), but must be \(values.joined(separator: " or "))")
        }
        return text
    }

    /// The source text of a string or number setting; throws if the file has a list.
    private func value(_ key: String) throws -> String? {
        if isFromFile(key), case .list? = settings[key]?.value {
            throw Failure(description: "\(place(key)) is a list, but must be a single value")
        }
        return reader.string(forKey: ConfigKey(key))
    }

    private func isFromFile(_ key: String) -> Bool { options[key] == nil && environment[Self.variable(key)] == nil }

    /// A setting's name in messages: its option, and the source of its value unless that is the command line.
    private func place(_ key: String) -> String {
        let option = Self.name(key)
        if options[key] != nil { return option }
        if environment[Self.variable(key)] != nil { return "\(option) (\(Self.variable(key)))" }
        guard let file, let line = settings[key]?.line else { return option }
        return "\(option) (line \(line) of \(file))"
    }

    /// The option of a key: `historyBytes` is `--history-bytes`.
    static func name(_ key: String) -> String {
        "--" + key.reduce(into: "") { $0 += $1.isUppercase ? "-\($1.lowercased())" : String($1) }
    }
}
#endif
