// SPDX-License-Identifier: Apache-2.0

#if Server

import Crypto
#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
public import PlinthHub
import PlinthStreams
import Synchronization

/// API keys with their rights, from a text with a key in each line.
///
/// A line is the key, of 32 to 255 visible characters, or `sha256:` and its digest in hexadecimal; a blank; and the
/// rights in JSON, with a required `subject` and an optional `expires`, in seconds since 1970 or as
/// `2027-01-31T00:00:00Z`:
///
/// ```
/// # the shop's backend
/// 4f1c0a… {"subject":"shop","publish":[{"match":"orders/*"}]}
/// sha256:9f86d0… {"subject":"dashboard","subscribe":[{"match":"**"}],"expires":"2027-01-31T00:00:00Z"}
/// ```
///
/// Empty lines and those that begin with `# ` are skipped. Keys are held as SHA-256 digests and found by them, so that
/// the time to look one up says nothing about the others.
public final class HubAPIKeys: Sendable {
    /// An invalid line.
    public struct InvalidLine: Error, CustomStringConvertible {
        /// The number of the line, from 1.
        public let line: Int
        /// What is wrong with it; it quotes no key.
        public let reason: String

        /// The line's number and the reason.
        public var description: String { "line \(line): \(reason)" }
    }

    private typealias Digest = [UInt8]

    private struct Table {
        var grants: [Digest: HubGrant] = [:]
        /// The digests of all lines.
        var lines: Set<String> = []
    }

    private let table: Mutex<Table>

    /// Reads keys.
    ///
    /// - Parameter text: The lines.
    /// - Throws: ``InvalidLine`` for the first that is invalid: then none is taken.
    public init(_ text: String) throws {
        table = Mutex(try Self.table(text))
    }

    /// Replaces all keys.
    ///
    /// ``HubService/endGrantedStreams(where:)`` then ends the streams of keys that are gone or whose rights have changed,
    /// by ``TokenAuthorizer/isCurrent(_:)``.
    ///
    /// - Parameter text: The lines.
    /// - Throws: ``InvalidLine`` for the first that is invalid: then the former keys stay.
    public func replace(_ text: String) throws {
        let new = try Self.table(text)
        table.withLock { $0 = new }
    }

    /// The number of keys.
    public var count: Int { table.withLock { $0.grants.count } }

    /// The grant of a key; nil if it is none.
    ///
    /// Whether it has expired is looked at where it is used.
    public func grant(_ key: String) -> HubGrant? {
        guard (32...255).contains(key.utf8.count) else { return nil }
        let digest = Digest(SHA256.hash(data: Array(key.utf8)))
        return table.withLock { $0.grants[digest] }
    }

    /// Whether the line of a grant is still there, with the same rights; true for grants of other sources.
    func isCurrent(_ grant: HubGrant) -> Bool {
        guard grant.subject?.source == Self.source, let line = grant.keyID else { return true }
        return table.withLock { $0.lines.contains(line) }
    }

    /// Whether a key's subject has a name.
    func hasSubject(_ name: String) -> Bool {
        table.withLock { table in
            table.grants.values.contains { $0.subject?.name.utf8.elementsEqual(name.utf8) ?? false }
        }
    }

    /// Whether a text is one of the keys.
    func isKey(_ text: String) -> Bool { grant(text) != nil }

    // MARK: - Lines

    /// The source of the subjects of API keys.
    static let source = "api-key"
    private static let digestPrefix = "sha256:"

    private static func table(_ text: String) throws(InvalidLine) -> Table {
        var table = Table()
        var number = 0
        for line in text.utf8.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 0x0A }) {
            number += 1
            var line = line
            if line.last == 0x0D { line.removeLast() }
            guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }), !line.starts(with: "# ".utf8) else { continue }
            guard let blank = line.firstIndex(of: 0x20) else {
                throw InvalidLine(line: number, reason: "no rights follow the key: a blank and {\"subject\":…}")
            }
            let digest = try digest(String(Substring(line[..<blank])), number)
            guard table.grants[digest] == nil else {
                throw InvalidLine(line: number, reason: "the key is there already")
            }
            var grant = try grant(Array(line[blank...]), number)
            // Of the whole line: a key whose rights have changed is another one for streams.
            let name = SHA256.hash(data: Array(line)).map { String($0, radix: 16) }.joined(separator: ":")
            grant.keyID = name
            table.grants[digest] = grant
            table.lines.insert(name)
        }
        return table
    }

    private static func digest(_ key: String, _ line: Int) throws(InvalidLine) -> Digest {
        if key.hasPrefix(digestPrefix) {
            let digits = Array(key.utf8.dropFirst(digestPrefix.utf8.count))
            let values = digits.compactMap(PercentEncoding.hexValue(of:))
            guard values.count == 64, digits.count == 64 else {
                throw InvalidLine(line: line, reason: "`sha256:` is not followed by 64 hexadecimal digits")
            }
            return stride(from: 0, to: 64, by: 2).map { values[$0] << 4 | values[$0 + 1] }
        }
        guard (32...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw InvalidLine(line: line, reason: "the key is not 32 to 255 visible ASCII characters long")
        }
        return Digest(SHA256.hash(data: Array(key.utf8)))
    }

    private static func grant(_ json: [UInt8], _ line: Int) throws(InvalidLine) -> HubGrant {
        func invalid(_ reason: String) -> InvalidLine { InvalidLine(line: line, reason: reason) }
        let value: JSONValue
        do { value = try JSONValue(json) } catch { throw invalid("the rights are no JSON: \(error)") }
        guard let members = value.object else { throw invalid("the rights are no JSON object") }
        for member in members.all
        where !["subject", "publish", "subscribe", "operate", "expires"].contains(member.name) {
            throw invalid(
                "unknown member \(JSONString.quoted(member.name)); known are subject, publish, subscribe, operate and "
                    + "expires"
            )
        }
        guard let name = members["subject"]?.string, (1...255).contains(name.utf8.count) else {
            throw invalid("`subject` is missing, or is no text of 1 to 255 bytes")
        }
        let claim: HubClaim
        do { claim = try HubClaim(members) } catch { throw invalid(error.description) }
        var grant = HubGrant(
            subject: HubSubject(source: source, name: name),
            publish: claim.publish,
            subscribe: claim.subscribe,
            operates: claim.operates
        )
        switch members["expires"] {
        case nil: break
        case .number(let seconds):
            // Before the year 10000: milliseconds would never expire.
            guard (0..<253_402_300_800).contains(seconds) else {
                throw invalid("`expires` is no number of seconds since 1970")
            }
            grant.expires = Date(timeIntervalSince1970: seconds)
        case .string(let text):
            guard let date = try? Date(text, strategy: .iso8601) else {
                throw invalid("`expires` is no time such as 2027-01-31T00:00:00Z")
            }
            grant.expires = date
        default: throw invalid("`expires` is neither a number of seconds since 1970 nor a time in quotes")
        }
        return grant
    }
}

#endif
