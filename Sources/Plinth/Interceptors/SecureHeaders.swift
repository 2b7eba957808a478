// SPDX-License-Identifier: Apache-2.0

/// Security header fields for browsers.
///
/// Each field is added unless it is nil or the response already has it.
public struct SecureHeaders: Sendable {
    /// A policy that allows scripts, styles, images, event streams and form targets from the same origin, and nothing
    /// else: no inline scripts or styles, no framing, no other origins.
    public static let strictContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

    /// `Content-Security-Policy`.
    ///
    /// Default: ``strictContentSecurityPolicy``.
    public var contentSecurityPolicy: String? = SecureHeaders.strictContentSecurityPolicy
    /// `X-Content-Type-Options`: disables content sniffing.
    ///
    /// Default: `nosniff`.
    public var contentTypeOptions: String? = "nosniff"
    /// `X-Frame-Options`, for browsers without support for `frame-ancestors`.
    ///
    /// Default: `DENY`.
    public var frameOptions: String? = "DENY"
    /// `Referrer-Policy`: how much of the referring URL other sites receive.
    ///
    /// Default: `no-referrer`.
    public var referrerPolicy: String? = "no-referrer"
    /// `Cross-Origin-Opener-Policy`: isolates a page from cross-origin pages that open it.
    ///
    /// Default: `same-origin`.
    public var crossOriginOpenerPolicy: String? = "same-origin"
    /// `Cross-Origin-Resource-Policy`: which sites may embed a response.
    ///
    /// Default: nil, not sent.
    public var crossOriginResourcePolicy: String?
    /// `Strict-Transport-Security`: makes browsers use only encrypted connections from then on.
    ///
    /// Sent only over encrypted connections (RFC 6797, section 7.2); see ``isTransportSecure``. Default: 1 year.
    public var strictTransportSecurity: String? = "max-age=31536000"
    /// Whether a proxy terminates TLS, so that clients use encryption even if this connection does not.
    ///
    /// Default: false.
    public var isTransportSecure = false

    /// Creates header fields with the default values.
    public init() {}
}

extension Interceptor {
    /// Adds security header fields on the way out, also to event streams and error responses.
    ///
    /// A field that the response already has is kept, so that a handler can relax it for its page.
    public static func secureHeaders(_ headers: SecureHeaders = SecureHeaders()) -> Interceptor {
        let fields = [
            (.contentSecurityPolicy, headers.contentSecurityPolicy),
            (.xContentTypeOptions, headers.contentTypeOptions),
            (HTTPField.Name("X-Frame-Options"), headers.frameOptions),
            (HTTPField.Name("Referrer-Policy"), headers.referrerPolicy),
            (HTTPField.Name("Cross-Origin-Opener-Policy"), headers.crossOriginOpenerPolicy),
            (HTTPField.Name("Cross-Origin-Resource-Policy"), headers.crossOriginResourcePolicy),
        ].compactMap { name, value in name.flatMap { name in value.map { HTTPField(name: name, value: $0) } } }
        let transport = headers.strictTransportSecurity.map { HTTPField(name: .strictTransportSecurity, value: $0) }
        return Interceptor(
            "secure-headers",
            leave: { context in
                guard !context.isResponseSent, context.response != nil else { return }
                context.response?.headers.append(missing: fields)
                if let transport, headers.isTransportSecure || context.request.isSecure {
                    context.response?.headers.append(missing: [transport])
                }
            }
        )
    }
}

extension HTTPFields {
    /// Appends fields, which have different names, except those whose name is there.
    fileprivate mutating func append(missing fields: [HTTPField]) {
        let given = count
        reserveCapacity(given + fields.count)
        for field in fields where !prefix(given).contains(where: { $0.name == field.name }) { append(field) }
    }
}
