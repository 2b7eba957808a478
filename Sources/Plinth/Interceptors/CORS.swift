// SPDX-License-Identifier: Apache-2.0

/// A policy for cross-origin access to responses, in the terms of the Fetch standard.
///
/// ```swift
/// .cors(CORSPolicy(origins: .only(["https://app.example.com"]), allowsCredentials: true))
/// ```
public struct CORSPolicy: Sendable {
    /// The allowed origins.
    public struct Origins: Sendable {
        /// The allowed origins; nil for any.
        let listed: [String]?

        /// Any origin.
        ///
        /// Credentials are then never allowed, since any page could act on behalf of its visitor.
        public static let any = Origins(listed: nil)

        /// Only the given origins, each as scheme, host and port: `https://app.example.com`.
        ///
        /// They are compared byte by byte with the serialization of browsers: lower case, no default port, no trailing
        /// slash.
        public static func only(_ origins: [String]) -> Origins {
            Origins(listed: origins)
        }
    }

    /// The allowed origins.
    public var origins: Origins
    /// Whether requests may carry credentials, such as cookies.
    ///
    /// Has no effect with ``Origins/any``. Default: false.
    public var allowsCredentials: Bool
    /// The methods that a preflight allows.
    ///
    /// Default: `GET`, `HEAD`, `POST`, `PUT`, `PATCH` and `DELETE`.
    public var methods: [HTTPRequest.Method]
    /// The request header fields that a preflight allows.
    ///
    /// Default: `Content-Type`, `Authorization` and `Last-Event-ID`.
    public var headers: [HTTPField.Name]
    /// The response header fields that pages may read, in addition to the safelisted ones.
    ///
    /// Default: none.
    public var exposedHeaders: [HTTPField.Name]
    /// How long a browser may cache a preflight response, in whole seconds; zero disables caching.
    ///
    /// Default: 600 s.
    public var maxAge: Duration

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - origins: The allowed origins.
    ///   - allowsCredentials: Whether requests may carry credentials. Default: false.
    ///   - methods: The methods that a preflight allows. Default: as ``CORSPolicy/methods``.
    ///   - headers: The request header fields that a preflight allows. Default: as ``CORSPolicy/headers``.
    ///   - exposedHeaders: Additional response header fields that pages may read. Default: none.
    ///   - maxAge: How long a browser may cache a preflight response. Default: 600 s.
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

    /// The CORS fields for an origin; nil if it is not allowed.
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
    /// Applies a cross-origin resource sharing policy.
    ///
    /// Preflights from allowed origins are answered immediately with 204. All other responses get the header fields on
    /// the way out, including event streams and error responses of later interceptors. All responses get
    /// `Vary: Origin`, unless any origin is allowed.
    ///
    /// A request from any other origin gets the same response without CORS fields, so the browser withholds it from the
    /// page. CORS does not protect against requests; it only relaxes the same-origin policy.
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

/// Marks a request that was answered as a preflight.
private enum IsPreflight: ValueKey {
    typealias Value = Bool
}

extension HTTPFields {
    /// Adds a name to `Vary`, unless it or `*` is already present.
    mutating func addVary(_ name: String) {
        let present = (self[.vary] ?? "").split(separator: ",").map { entry in
            String(entry.drop { $0 == " " }.prefix { $0 != " " }).lowercased()
        }
        guard !present.contains(name.lowercased()), !present.contains("*") else { return }
        append(HTTPField(name: .vary, value: name))
    }
}
