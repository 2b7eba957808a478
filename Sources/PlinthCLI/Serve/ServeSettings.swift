// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Configuration
import Foundation

/// What `plinth serve` is configured by: its command line, else its environment, else its file, else nothing.
struct ServeSettings {
    /// A setting that cannot be used, in words for the one who wrote it.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// A configuration file has a few kilobytes; a larger one is another file.
    private static let maximumFileSize = 1 << 20
    private static let prefix = "PLINTH_"

    private let reader: ConfigReader
    private let options: [String: String]
    private let environment: [String: String]
    private let file: String?
    private let settings: [String: JSONLine.Setting]
    /// Variables of the environment that look like settings and are none, each in a sentence; at most ten.
    let unknownVariables: [String]

    /// The settings of a run.
    ///
    /// - Parameters:
    ///   - options: From the command line, by their keys; all keys that there are, with nil for what was not given.
    ///   - file: The path of a JSON file, if there is one; else the environment's `PLINTH_CONFIG` names it.
    ///   - environment: The environment.
    /// - Throws: ``Failure`` if the file cannot be read, is no JSON object of texts and numbers, or has a key that is
    ///   none of the options'.
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
            Failure(description: "the configuration file \(path) cannot be used: \(reason)")
        }
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? handle.close() }
            // Bounded: what is read may be a device without an end.
            bytes = Array(try handle.read(upToCount: maximumFileSize + 1) ?? Data())
        } catch {
            throw failure("it cannot be read: \(error.localizedDescription)")
        }
        guard bytes.count <= maximumFileSize else { throw failure("it is larger than \(maximumFileSize) bytes") }
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
                    "line \(setting.line): the key \(JSONLine.quoted(setting.key)) is unknown"
                        + (closest ?? "; known are \(keys.sorted().joined(separator: ", "))")
                )
            }
            if case .other(let what) = setting.value {
                throw failure(
                    "line \(setting.line): the value of \"\(setting.key)\" is \(what), and has to be a text or a number"
                        + (what == "null" ? "; leave the key out for the default" : "")
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
            return "the variable \(name) of the environment is no setting and is ignored" + (closest ?? "")
        }
        let rest = unknown.count - sentences.count
        return rest == 0 ? sentences : sentences + ["\(rest) more variables are no settings and are ignored"]
    }

    // MARK: - Values

    /// A setting that is a text.
    func string(_ key: String) throws -> String? {
        if isFromFile(key), case .number(let number)? = settings[key]?.value {
            throw Failure(description: "\(place(key)) is the number \(number), and has to be a text in quotes")
        }
        return try value(key)
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = try value(key) else { return nil }
        guard let number = Int(text) else {
            throw Failure(description: "\(place(key)) is not a whole number: \(text)")
        }
        guard range.contains(number) else {
            throw Failure(
                description: "\(place(key)) is \(number), and may be \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// A time: a number of seconds, or one with a unit, as in `250ms`, `90s`, `5m`, `12h`, `7d`; `off` is nil within.
    func duration(_ key: String) throws -> Duration?? {
        guard let text = try value(key) else { return nil }
        if text == "off" { return .some(nil) }
        guard let time = TimeText.duration(text) else {
            throw Failure(
                description:
                    "\(place(key)) is no time such as 250ms, 90s, 5m, 12h, 7d, or off, or it is too long: \(text)"
            )
        }
        return .some(time)
    }

    /// A range of times: two with a hyphen between them, as in `2s-4s`, or one.
    func durations(_ key: String) throws -> ClosedRange<Duration>? {
        guard let text = try value(key) else { return nil }
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let times = parts.compactMap { TimeText.duration(String($0)) }
        guard times.count == parts.count, let first = times.first, let last = times.last else {
            throw Failure(description: "\(place(key)) is no time or range of times such as 3s or 2s-4s: \(text)")
        }
        guard first <= last else {
            throw Failure(description: "\(place(key)) is \(text), whose first time is the longer one")
        }
        return first...last
    }

    /// What may be given several times: separated by commas, or in the file an array.
    func list(_ key: String) throws -> [String] {
        if isFromFile(key), case .list(let texts)? = settings[key]?.value { return texts }
        return try value(key)?.split(separator: ",").map { $0.filter { $0 != " " } } ?? []
    }

    func choice(_ key: String, _ values: [String]) throws -> String? {
        guard let text = try value(key) else { return nil }
        guard values.contains(text) else {
            throw Failure(description: "\(place(key)) is \(text), and may be \(values.joined(separator: " or "))")
        }
        return text
    }

    /// A setting as it is written, a text or a number.
    private func value(_ key: String) throws -> String? {
        if isFromFile(key), case .list? = settings[key]?.value {
            throw Failure(description: "\(place(key)) is a list, and has to be one value")
        }
        return reader.string(forKey: ConfigKey(key))
    }

    private func isFromFile(_ key: String) -> Bool { options[key] == nil && environment[Self.variable(key)] == nil }

    /// A setting as messages name it: its option, and where the value was found if that is not the command line.
    private func place(_ key: String) -> String {
        let option = Self.name(key)
        if options[key] != nil { return option }
        if environment[Self.variable(key)] != nil { return "\(option) (\(Self.variable(key)))" }
        guard let file, let line = settings[key]?.line else { return option }
        return "\(option) (line \(line) of \(file))"
    }

    /// A key as all three ways to give it show it: `historyBytes` is `--history-bytes`.
    static func name(_ key: String) -> String {
        "--" + key.reduce(into: "") { $0 += $1.isUppercase ? "-\($1.lowercased())" : String($1) }
    }
}
#endif
