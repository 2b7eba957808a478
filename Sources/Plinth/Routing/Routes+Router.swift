// SPDX-License-Identifier: Apache-2.0

extension Routes {
    /// The interceptor `router`, which matches a request to a route and enqueues its interceptors.
    ///
    /// It sets ``Request/route`` and ``Request/pathParameters``. The route's interceptors run after those already
    /// queued, so the router comes last in a chain. It answers 405 and `OPTIONS` itself, as described in ``Routes``,
    /// and throws an ``HTTPError`` with status 400 for a malformed path. If no route matches, it leaves the response
    /// unset, for ``Interceptor/notFound()``.
    public var router: Interceptor {
        let table = table
        return Interceptor(
            "router",
            enter: { context in
                context.request.routes = self
                switch table.match(context.request.method, context.request.path) {
                case .route(let index, let values):
                    let entry = table.routes[index]
                    context.request.route = entry.identity
                    context.request.pathParameters = PathParameters(names: entry.parameterNames, values: values)
                    context.enqueue(entry.interceptors)
                case .otherMethods(let methods):
                    context.response = Self.answer(to: context.request.method, allowed: methods)
                case .none:
                    break
                case .malformed:
                    throw HTTPError(
                        .badRequest,
                        "the path has invalid percent-encoding, or does not decode to UTF-8"
                    )
                }
            }
        )
    }

    private static func answer(to method: HTTPRequest.Method, allowed: [HTTPRequest.Method]) -> Response {
        let list = allowed.map(\.rawValue).joined(separator: ", ")
        if method == .options {
            return Response(status: .noContent, headers: [.allow: list])
        }
        return HTTPError(.methodNotAllowed, "this path supports \(list)", headers: [.allow: list]).response
    }
}
