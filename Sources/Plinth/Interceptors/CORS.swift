// SPDX-License-Identifier: Apache-2.0

/// Which other origins may read responses, in the words of the Fetch standard.
///
/// ```swift
/// .cors(CORSPolicy(origins: .only(["https://app.example.com"]), allowsCredentials: true))
/// ```
public struct CORSPolicy: Sendable {
    /// The origins that are allowed.
    public struct Origins: Sendable {
        /// Nil for any.
        let listed: [String]?

        /// Any.
        ///
        /// Credentials are then never allowed, since any page could act as its visitor.
        public static let any = Origins(listed: nil)

        /// These, each as scheme, host and port: `https://app.example.com`.
        ///
        /// Compared byte by byte, as browsers write them: in lower case, without a default port, without a slash at the
        /// end.
        public static func only(_ origins: [String]) -> Origins {
            Origins(listed: origins)
        }
    }

    /// The origins that are allowed.
    public var origins: Origins
    /// Whether requests may carry cookies and the like; not unless set.
    ///
    /// Without effect with ``Origins/any``.
    public var allowsCredentials: Bool
    /// The methods that a preflight allows; unless set `GET`, `HEAD`, `POST`, `PUT`, `PATCH` and `DELETE`.
    public var methods: [HTTPRequest.Method]
    /// The header fields of requests that a preflight allows; unless set `Content-Type`, `Authorization` and
    /// `Last-Event-ID`.
    public var headers: [HTTPField.Name]
    /// The header fields of responses that pages may read, beside those that are always readable; none unless set.
    public var exposedHeaders: [HTTPField.Name]
    /// How long a browser may keep the answer to a preflight, in whole seconds; ten minutes unless set, zero to switch
    /// that off.
    public var maxAge: Duration

    /// A policy.
    ///
    /// - Parameters:
    ///   - origins: The origins that are allowed.
    ///   - allowsCredentials: Whether requests may carry cookies and the like.
    ///   - methods: The methods that a preflight allows.
    ///   - headers: The header fields of requests that a preflight allows.
    ///   - exposedHeaders: The header fields of responses that pages may read.
    ///   - maxAge: How long a browser may keep the answer to a preflight.
    public init(
        origins: Origins,
        allowsCredentials: Bool = false,
        methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete],
        headers: [HTTPField.Name] = [.contentType, .authorization, .lastEventID],
        exposedHeaders: [HTTPField.Name] = [],
        maxAge: Duration = .seconds(600)
    ) {
        self.origins = origins
        self.allowsCredentials = allowsCredentials
        self.methods = methods
        self.headers = headers
        self.exposedHeaders = exposedHeaders
        self.maxAge = maxAge
    }

    /// What a response tells this origin; nil if it is not allowed.
    func headers(for origin: String) -> HTTPFields? {
        var fields: HTTPFields = [:]
        if let listed = origins.listed {
            guard listed.contains(where: { $0.utf8.elementsEqual(origin.utf8) }) else { return nil }
            fields[.accessControlAllowOrigin] = origin
            if allowsCredentials { fields[.accessControlAllowCredentials] = "true" }
        } else {
            fields[.accessControlAllowOrigin] = "*"
        }
        return fields
    }
}

extension Interceptor {
    /// Cross-origin resource sharing, after a policy.
    ///
    /// Preflights from allowed origins are answered at once, with 204. To every other response the header fields are
    /// added on the way out, so that they reach event streams, and errors that an interceptor behind this one turned
    /// into a response. `Vary: Origin` is on all responses, unless any origin is allowed.
    ///
    /// An origin that is not allowed gets the same response as any client, without CORS fields, which its browser then
    /// keeps from the page. So this is no protection against requests: it only opens what browsers close.
    public static func cors(_ policy: CORSPolicy) -> Interceptor {
        Interceptor(
            "cors",
            enter: { context in
                let request = context.request
                guard request.method == .options, let origin = request.headers[.origin],
                    request.headers[.accessControlRequestMethod] != nil, var headers = policy.headers(for: origin)
                else { return }
                headers[.accessControlAllowMethods] = policy.methods.map(\.rawValue).joined(separator: ", ")
                if !policy.headers.isEmpty {
                    headers[.accessControlAllowHeaders] = policy.headers.map(\.rawName).joined(separator: ", ")
                }
                if policy.maxAge > .zero {
                    headers[.accessControlMaxAge] = String(policy.maxAge.components.seconds)
                }
                context.values[IsPreflight.self] = true
                context.response = Response(status: .noContent, headers: headers)
            },
            leave: { context in
                guard !context.isResponseSent, context.response != nil else { return }
                if policy.origins.listed != nil { context.response?.headers.addVary("Origin") }
                guard context.values[IsPreflight.self] == nil, let origin = context.request.headers[.origin],
                    let headers = policy.headers(for: origin)
                else { return }
                for field in headers { context.response?.headers[field.name] = field.value }
                if !policy.exposedHeaders.isEmpty {
                    context.response?.headers[.accessControlExposeHeaders] =
                        policy.exposedHeaders.map(\.rawName).joined(separator: ", ")
                }
            }
        )
    }
}

/// Set for a request that was answered as a preflight.
private enum IsPreflight: ValueKey {
    typealias Value = Bool
}

extension HTTPFields {
    /// Adds a name to `Vary`, unless it is there or everything varies.
    mutating func addVary(_ name: String) {
        let present = (self[.vary] ?? "").split(separator: ",").map { entry in
            String(entry.drop { $0 == " " }.prefix { $0 != " " }).lowercased()
        }
        guard !present.contains(name.lowercased()), !present.contains("*") else { return }
        append(HTTPField(name: .vary, value: name))
    }
}
