// SPDX-License-Identifier: Apache-2.0

/// Header fields that make browsers careful.
///
/// Each is set unless it is nil, or the response already has it.
public struct SecureHeaders: Sendable {
    /// The policy that a page with its own scripts, styles, images and event streams from the same origin passes, and
    /// that allows nothing else: no inline scripts or styles, no frames, no forms, nothing from elsewhere.
    public static let strictContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

    /// `Content-Security-Policy`; ``strictContentSecurityPolicy`` unless set.
    public var contentSecurityPolicy: String? = SecureHeaders.strictContentSecurityPolicy
    /// `X-Content-Type-Options`: browsers do not guess content types.
    ///
    /// `nosniff` unless set.
    public var contentTypeOptions: String? = "nosniff"
    /// `X-Frame-Options`, for browsers that do not know `frame-ancestors`.
    ///
    /// `DENY` unless set.
    public var frameOptions: String? = "DENY"
    /// `Referrer-Policy`: what other sites learn of where a visitor comes from.
    ///
    /// `no-referrer` unless set.
    public var referrerPolicy: String? = "no-referrer"
    /// `Cross-Origin-Opener-Policy`: pages that open this one cannot reach into it.
    ///
    /// `same-origin` unless set.
    public var crossOriginOpenerPolicy: String? = "same-origin"
    /// `Cross-Origin-Resource-Policy`: which sites may embed this.
    ///
    /// Not sent unless set.
    public var crossOriginResourcePolicy: String?
    /// `Strict-Transport-Security`: browsers use encryption only from now on.
    ///
    /// A year unless set; sent over encrypted connections alone (RFC 6797, section 7.2), see ``isTransportSecure``.
    public var strictTransportSecurity: String? = "max-age=31536000"
    /// Whether clients use encryption even if the connection here does not, since a proxy ends it; not unless set.
    public var isTransportSecure = false

    /// The values that each property documents.
    public init() {}
}

extension Interceptor {
    /// Adds header fields that make browsers careful, on the way out: event streams and error responses get them too.
    ///
    /// A field that the response already has is kept: a handler may loosen them for its page.
    public static func secureHeaders(_ headers: SecureHeaders = SecureHeaders()) -> Interceptor {
        let fields: [(HTTPField.Name, String)] = [
            (.contentSecurityPolicy, headers.contentSecurityPolicy),
            (.xContentTypeOptions, headers.contentTypeOptions),
            (HTTPField.Name("X-Frame-Options"), headers.frameOptions),
            (HTTPField.Name("Referrer-Policy"), headers.referrerPolicy),
            (HTTPField.Name("Cross-Origin-Opener-Policy"), headers.crossOriginOpenerPolicy),
            (HTTPField.Name("Cross-Origin-Resource-Policy"), headers.crossOriginResourcePolicy),
        ].compactMap { name, value in name.flatMap { name in value.map { (name, $0) } } }
        return Interceptor(
            "secure-headers",
            leave: { context in
                guard !context.isResponseSent, context.response != nil else { return }
                for (name, value) in fields where context.response?.headers.contains(name) == false {
                    context.response?.headers[name] = value
                }
                if let transport = headers.strictTransportSecurity,
                    headers.isTransportSecure || context.request.isSecure,
                    context.response?.headers.contains(.strictTransportSecurity) == false
                {
                    context.response?.headers[.strictTransportSecurity] = transport
                }
            }
        )
    }
}
