// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import HTTPTypes
import Plinth
import PlinthHub
import Synchronization

/// The sessions of browsers: a cookie that carries a token and the ID of the session.
///
/// A browser's `EventSource` cannot send `Authorization`. Its page exchanges a token for a cookie at `POST /session`;
/// the cookie is `HttpOnly`, `SameSite=Lax` and, but on loopback, `Secure`. It works between origins of one site.
public final class HubSessions: Sendable {
    /// The most bytes of a cookie's name, value and attributes, of which browsers take 4,096: 3,900.
    static let maximumCookieSize = 3900
    /// The most bytes of a token in a cookie: 3,500.
    static let maximumTokenSize = 3500
    /// How long a cookie outlives its token, so that the browser can be told that it has expired: 1 h.
    static let grace = 3600.0
    /// The most ended sessions that are remembered; those that expire first are forgotten.
    private static let maximumEnded = 100_000

    /// The cookie's name; nil for one that depends on how the browser reaches the hub.
    public let name: String?
    /// The path prefix that the cookie is sent to.
    public let path: String
    /// The origins whose pages may use it.
    public let origins: HubOrigins
    private let ended = Mutex<[String: Date]>([:])
    private let hasEnded = Atomic<Bool>(false)

    /// Creates the sessions of a hub.
    ///
    /// - Parameters:
    ///   - name: The cookie's name. Default: nil, which is `__Host-plinth`, under a base path `__Secure-plinth`, and
    ///     without TLS `plinth`.
    ///   - basePath: The prefix of the hub's routes, to which the cookie is sent. Default: none.
    ///   - origins: The origins whose pages may use it. Default: the hub's own.
    /// - Throws: ``/Plinth/CookieError`` if the name is invalid, or its prefix contradicts the path.
    public init(name: String? = nil, basePath: String = "", origins: HubOrigins = HubOrigins()) throws {
        if let name { _ = try Cookie(name, "", path: basePath.isEmpty ? "/" : basePath) }
        self.name = name
        path = basePath.isEmpty ? "/" : basePath
        self.origins = origins
    }

    // MARK: - The cookie

    /// What a cookie carries.
    struct Value {
        let session: String
        let token: String

        init(session: String, token: String) {
            self.session = session
            self.token = token
        }

        /// - Returns: Nil if a cookie's value is none of ours.
        init?(_ text: String) {
            guard let dot = text.utf8.firstIndex(of: UInt8(ascii: ".")) else { return nil }
            let session = text[..<dot]
            let token = text[text.utf8.index(after: dot)...]
            guard session.utf8.count == 32, session.utf8.allSatisfy(Self.isHexadecimal), !token.isEmpty else {
                return nil
            }
            self.init(session: String(session), token: String(token))
        }

        var text: String { "\(session).\(token)" }

        private static func isHexadecimal(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
    }

    /// An ID that nobody can guess: 128 random bits.
    static func makeID() -> String {
        var random = SystemRandomNumberGenerator()
        return [random.next(), random.next()].map { (bits: UInt64) in
            let digits = String(bits, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// The cookie that a request carries; nil without one.
    ///
    /// - Throws: ``/PlinthHub/HubTokenError`` if it has two of the name, of which one may be another's, or none of ours.
    func cookie(of request: Request) throws -> Value? {
        guard request.headers.contains(.cookie) else { return nil }
        let values = RequestCookies(request.headers).all(name(for: request))
        guard let text = values.first else { return nil }
        guard values.count == 1 else {
            throw HubTokenError(.malformed, "there are two cookies of one name; delete them and sign in again")
        }
        guard let value = Value(text) else { throw HubTokenError(.malformed, "the cookie is none of this hub's") }
        return value
    }

    /// The cookie that sets a session.
    ///
    /// - Throws: ``/Plinth/HTTPError`` with 400 if browsers would refuse it.
    func cookie(_ value: Value, rest: Double, for request: Request) throws -> Cookie {
        guard value.token.utf8.count <= Self.maximumTokenSize else {
            throw Self.tooLarge(value.token.utf8.count)
        }
        let cookie: Cookie
        do {
            cookie = try Cookie(
                name(for: request),
                value.text,
                path: path,
                maxAge: .seconds(max(0, min(rest + Self.grace, 1e9)).rounded(.down)),
                isSecure: isSecure(request)
            )
        } catch {
            throw HTTPError(.badRequest, .badField, "\(error)")
        }
        guard cookie.description.utf8.count <= Self.maximumCookieSize else {
            throw Self.tooLarge(value.token.utf8.count)
        }
        return cookie
    }

    private static func tooLarge(_ count: Int) -> HTTPError {
        HTTPError(
            .badRequest,
            .badField,
            "the token has \(count) bytes; in a cookie it may have \(maximumTokenSize): grant patterns instead of topics"
        )
    }

    /// The cookie that deletes a session's.
    func deletion(for request: Request) throws -> Cookie {
        try Cookie(name(for: request), "", path: path, maxAge: .zero, isSecure: isSecure(request))
    }

    private func name(for request: Request) -> String {
        if let name { return name }
        guard isSecure(request) else { return "plinth" }
        return path == "/" ? "__Host-plinth" : "__Secure-plinth"
    }

    /// Whether browsers reach the hub so that they take and send a `Secure` cookie; not on loopback without TLS.
    func isSecure(_ request: Request) -> Bool {
        if request.isSecureAtClient || origins.publicOrigins.contains(where: { $0.hasPrefix("https:") }) { return true }
        return !(request.publicAuthority.map(LoopbackFence.isLoopback(authority:)) ?? false)
    }

    // MARK: - Ends

    /// Ends a session: its cookie is refused from now on, also with a token that is still valid.
    ///
    /// - Parameters:
    ///   - session: The session's ID.
    ///   - expires: When its token expires; remembered for an hour longer.
    ///   - now: The time.
    func end(_ session: String, expires: Date?, now: Date) {
        ended.withLock { ended in
            if ended.count >= Self.maximumEnded {
                ended = ended.filter { $0.value > now }
                while ended.count >= Self.maximumEnded, let first = ended.min(by: { $0.value < $1.value }) {
                    ended[first.key] = nil
                }
            }
            ended[session] = (expires ?? .distantFuture).addingTimeInterval(Self.grace)
        }
        hasEnded.store(true, ordering: .sequentiallyConsistent)
    }

    /// Whether a session was ended, as far as is remembered.
    func hasEnded(_ session: String) -> Bool {
        hasEnded.load(ordering: .sequentiallyConsistent) && ended.withLock { $0[session] != nil }
    }
}

#endif
