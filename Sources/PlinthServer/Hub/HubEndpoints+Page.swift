// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

extension HubEndpoints {
    /// The routes of the page and its files.
    ///
    /// The prefix without a final slash redirects, since all URLs are relative.
    func page(_ prefix: String) -> [Route] {
        var routes = (HubPage.files + [HubPage.settings(service.hub.options)]).map { file in
            Route.get("\(prefix)/\(file.path)", name: "\(prefix)/\(file.path) page") { request in
                Self.respond(file, request)
            }
        }
        if !prefix.isEmpty {
            routes.append(
                Route.get(prefix, name: "\(prefix) page") { request in
                    .redirect(to: "\(request.path)/", status: .permanentRedirect)
                }
            )
        }
        return routes
    }

    /// The page loads only resources of its own origin.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        + "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static func respond(_ file: HubPage.File, _ request: Request) -> Response {
        var headers: HTTPFields = [
            .contentType: file.contentType,
            .cacheControl: "no-cache",
            .eTag: file.entityTag,
            .contentSecurityPolicy: policy,
        ]
        headers[.xContentTypeOptions] = "nosniff"
        if let referrers = HTTPField.Name("Referrer-Policy") { headers[referrers] = "no-referrer" }
        let known =
            request.headers[.ifNoneMatch]?.split(separator: ",").contains { $0.contains(file.entityTag) } ?? false
        if known { return Response(status: .notModified, headers: headers) }
        return Response(headers: headers, body: .bytes(file.bytes))
    }
}

#endif
