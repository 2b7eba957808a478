// SPDX-License-Identifier: Apache-2.0

/// A cookie to set (RFC 6265bis, section 4.1).
///
/// By default a cookie is `Secure`, `HttpOnly` and `SameSite=Lax`.
///
/// ```swift
/// response.setCookie(try Cookie("session", token, maxAge: .seconds(3600)))
/// ```
public struct Cookie: Sendable, Hashable, CustomStringConvertible {
    /// Whether a browser sends a cookie with requests initiated by other sites.
    public struct SameSite: Sendable, Hashable {
        let text: String

        /// Never on cross-site requests.
        public static let strict = SameSite(text: "Strict")
        /// On top-level navigation, such as following a link.
        public static let lax = SameSite(text: "Lax")
        /// On all requests.
        ///
        /// Browsers require such a cookie to be `Secure`.
        public static let none = SameSite(text: "None")
    }

    /// The name, a token.
    public let name: String
    /// The value.
    public let value: String
    /// The path prefix that the cookie is sent to; nil for the directory of the request's path.
    public let path: String?
    /// The domain, including subdomains, that the cookie is sent to; nil for only the host that set it.
    public let domain: String?
    /// The lifetime; nil for the browser session, unless ``expires`` is set.
    ///
    /// Zero or less deletes the cookie.
    public let maxAge: Duration?
    /// The expiry date, for clients without support for ``maxAge``; where both are set, ``maxAge`` takes precedence.
    public let expires: HTTPDate?
    /// Whether it is sent only over encrypted connections and to localhost.
    public let isSecure: Bool
    /// Whether it is hidden from scripts.
    public let isHTTPOnly: Bool
    /// Whether it is sent on cross-site requests.
    public let sameSite: SameSite

    /// Creates a cookie, validating its parts.
    ///
    /// - Parameters:
    ///   - name: A token (RFC 9110, section 5.6.2).
    ///   - value: Printable ASCII without space, `"`, `,`, `;` and `\`. Encode other text first.
    ///   - path: The path prefix; nil for the directory of the request's path. Default: `/`.
    ///   - domain: The domain, including subdomains. Default: nil, only the host that set it.
    ///   - maxAge: The lifetime, truncated to whole seconds. Default: nil, the browser session.
    ///   - expires: The expiry date. Default: nil, not sent.
    ///   - isSecure: The `Secure` attribute. Default: true.
    ///   - isHTTPOnly: The `HttpOnly` attribute. Default: true.
    ///   - sameSite: The `SameSite` attribute. Default: `lax`.
    /// - Throws: ``CookieError`` if a part contains invalid characters, or if browsers would reject the cookie:
    ///   `SameSite=None`, `__Secure-` and `__Host-` require `Secure`; `__Host-` also requires the path `/` and no
    ///   domain.
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
        // HTTPField.Name validates tokens.
        guard HTTPField.Name(name) != nil else { throw CookieError("the name \"\(name)\" is not a token") }
        guard value.utf8.allSatisfy(Self.isValueByte) else {
            throw CookieError("the value of \"\(name)\" contains characters that are invalid in a cookie: encode it")
        }
        for (attribute, text) in [("path", path), ("domain", domain)] {
            guard text?.utf8.allSatisfy({ (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: ";") }) != false else {
                throw CookieError("the \(attribute) of \"\(name)\" contains invalid characters")
            }
        }
        let lowercased = name.lowercased()
        guard isSecure || !(sameSite == .none || lowercased.hasPrefix("__secure-") || lowercased.hasPrefix("__host-"))
        else {
            throw CookieError("\"\(name)\" must be secure: its name prefix or SameSite=None requires it")
        }
        guard !lowercased.hasPrefix("__host-") || (path == "/" && domain == nil) else {
            throw CookieError("\"\(name)\" must have the path \"/\" and no domain: its name prefix requires it")
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

    /// Creates a cookie that deletes the one with the given name, path and domain.
    ///
    /// - Parameters:
    ///   - name: The name of the cookie to delete.
    ///   - path: The path it was set with. Default: `/`.
    ///   - domain: The domain it was set with. Default: nil.
    /// - Returns: The cookie to set.
    /// - Throws: ``CookieError`` under the same conditions as the initializer.
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

/// The reason why a cookie is invalid.
public struct CookieError: Error, CustomStringConvertible {
    /// What is wrong and how to fix it.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
