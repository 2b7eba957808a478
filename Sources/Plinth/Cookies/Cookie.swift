// SPDX-License-Identifier: Apache-2.0

/// A cookie to be set (RFC 6265bis, section 4.1).
///
/// The defaults are the careful ones.
///
/// ```swift
/// response.setCookie(try Cookie("session", token, maxAge: .seconds(3600)))
/// ```
public struct Cookie: Sendable, Hashable, CustomStringConvertible {
    /// When a browser sends a cookie to this site because of another one.
    public struct SameSite: Sendable, Hashable {
        let text: String

        /// Never.
        public static let strict = SameSite(text: "Strict")
        /// When the user follows a link here.
        public static let lax = SameSite(text: "Lax")
        /// Always.
        ///
        /// Browsers want such a cookie to be secure.
        public static let none = SameSite(text: "None")
    }

    /// The name: a token.
    public let name: String
    /// The value.
    public let value: String
    /// The path, with what is below it, that the cookie is sent to.
    public let path: String?
    /// The domain, with those below it, that the cookie is sent to; nil for the very host that set it.
    public let domain: String?
    /// How long it lasts; nil until the browser ends, unless ``expires`` says otherwise.
    ///
    /// Zero or less deletes it.
    public let maxAge: Duration?
    /// When it ends, for clients that do not know ``maxAge``, which comes first for all others.
    public let expires: HTTPDate?
    /// Whether it is only sent over encrypted connections, and to localhost.
    public let isSecure: Bool
    /// Whether scripts cannot see it.
    public let isHTTPOnly: Bool
    /// When it is sent because of another site.
    public let sameSite: SameSite

    /// A cookie, if it is one.
    ///
    /// - Parameters:
    ///   - name: A token (RFC 9110, section 5.6.2): letters, digits and some marks.
    ///   - value: Printable ASCII without space, `"`, `,`, `;` and `\`; encode other text before.
    ///   - path: `/` unless given; nil for the directory of the request's path.
    ///   - domain: The very host unless given.
    ///   - maxAge: Until the browser ends unless given. Whole seconds; fractions are dropped.
    ///   - expires: Not sent unless given.
    ///   - isSecure: True unless given.
    ///   - isHTTPOnly: True unless given.
    ///   - sameSite: `lax` unless given.
    /// - Throws: ``CookieError`` if a part has characters that it cannot have, or if browsers would refuse the cookie:
    ///   `SameSite=None`, `__Secure-` and `__Host-` ask for `Secure`, the last also for the path `/` and no domain.
    public init(
        _ name: String,
        _ value: String,
        path: String? = "/",
        domain: String? = nil,
        maxAge: Duration? = nil,
        expires: HTTPDate? = nil,
        isSecure: Bool = true,
        isHTTPOnly: Bool = true,
        sameSite: SameSite = .lax
    ) throws(CookieError) {
        // A field's name is a token too, which makes the check for one.
        guard HTTPField.Name(name) != nil else { throw CookieError("the name \"\(name)\" is not a token") }
        guard value.utf8.allSatisfy(Self.isValueByte) else {
            throw CookieError("the value of \"\(name)\" has characters that a cookie cannot have: encode it")
        }
        for (attribute, text) in [("path", path), ("domain", domain)] {
            guard text?.utf8.allSatisfy({ (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: ";") }) != false else {
                throw CookieError("the \(attribute) of \"\(name)\" has characters that it cannot have")
            }
        }
        let lowercased = name.lowercased()
        guard isSecure || !(sameSite == .none || lowercased.hasPrefix("__secure-") || lowercased.hasPrefix("__host-"))
        else {
            throw CookieError("\"\(name)\" must be secure, for its name or its SameSite=None")
        }
        guard !lowercased.hasPrefix("__host-") || (path == "/" && domain == nil) else {
            throw CookieError("\"\(name)\" must have the path \"/\" and no domain, for its name")
        }
        self.name = name
        self.value = value
        self.path = path
        self.domain = domain
        self.maxAge = maxAge
        self.expires = expires
        self.isSecure = isSecure
        self.isHTTPOnly = isHTTPOnly
        self.sameSite = sameSite
    }

    /// A cookie that makes browsers forget the one of this name, path and domain.
    ///
    /// - Parameters:
    ///   - name: Its name.
    ///   - path: The path it was set with; `/` unless given.
    ///   - domain: The domain it was set with; none unless given.
    /// - Returns: The cookie to set.
    /// - Throws: ``CookieError``, as the initializer.
    public static func deletion(
        of name: String,
        path: String? = "/",
        domain: String? = nil
    ) throws(CookieError) -> Cookie {
        try Cookie(
            name,
            "",
            path: path,
            domain: domain,
            maxAge: .zero,
            expires: HTTPDate(secondsSince1970: 0)
        )
    }

    /// The value of the `Set-Cookie` field.
    public var description: String {
        var text = "\(name)=\(value)"
        if let path { text += "; Path=\(path)" }
        if let domain { text += "; Domain=\(domain)" }
        if let maxAge { text += "; Max-Age=\(maxAge.components.seconds)" }
        if let expires { text += "; Expires=\(expires)" }
        if isSecure { text += "; Secure" }
        if isHTTPOnly { text += "; HttpOnly" }
        return text + "; SameSite=\(sameSite.text)"
    }

    private static func isValueByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\\"): false
        default: (0x21..<0x7F).contains(byte)
        }
    }
}

/// Why something is not a cookie.
public struct CookieError: Error, CustomStringConvertible {
    /// What is wrong and what to do about it.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
