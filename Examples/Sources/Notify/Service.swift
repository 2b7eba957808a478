// SPDX-License-Identifier: Apache-2.0

import ExampleSupport
import Foundation
import Plinth

/// What a user is sent.
struct Note: Codable {
    var from: String
    var text: String
}

/// The service: its users, and the streams that they have open.
struct Service: Sendable {
    let sessions = Sessions()
    let registry = Registry()

    func chain() throws -> Chain {
        let routes = try Routes {
            Route.get("/me", me)
            Route.post("/login", [.bodyParameters(), login])
            Route.post("/logout", logout)
            Route.get("/stream", stream)
            Route.post("/notify/:user", notify)
        }
        return try Chain.default(routes) { stack in
            stack.staticResources = [try .staticResources(Bundle.module.bundlePath + "/Public")]
        }
    }

    /// The stream of the user whom the cookie names.
    ///
    /// It stays open when its ready function has returned: the registry keeps the channel, and whoever has something to
    /// tell the user sends on it.
    var stream: Interceptor {
        Interceptor(
            "stream",
            enter: { context in
                let user = try sessions.user(of: context.request)
                let tab = registry.nextTab()
                try await context.startEventStream(
                    // Of a tab that takes nothing for a while, the latest notes are the ones worth keeping.
                    options: EventStreamOptions(buffer: .dropOldest(100)),
                    onDisconnect: { reason in
                        registry.remove(tab, of: user)
                        say("notify: tab \(tab) of \(user) has left: \(reason); \(registry.count) open")
                    }
                ) { events in
                    registry.add(events, as: tab, of: user)
                    say("notify: tab \(tab) of \(user) is here; \(registry.count) open")
                }
            }
        )
    }

    /// Sends the text of the body to every tab of a user.
    var notify: Interceptor {
        .handler("notify") { request in
            let sender = try sessions.user(of: request)
            let user = try request.pathParameters.require("user")
            let text = String(decoding: try await request.body.collect(upTo: 4096), as: UTF8.self)
            let event = try ServerSentEvent(json: Note(from: sender, text: text), type: "note")
            // `offer` never waits: a tab that does not read holds up neither the sender nor the other tabs.
            let reached = registry.streams(of: user).count { $0.offer(event) == .accepted }
            return .text(#"{"tabs":\#(reached)}"#, contentType: "application/json")
        }
    }

    /// Gives the browser a cookie that stands for the name in the form.
    var login: Interceptor {
        .handler("login") { request in
            guard let name = request.formParameters["name"], !name.isEmpty, name.count <= 40 else {
                throw HTTPError(.badRequest, "the form needs a name of at most 40 characters")
            }
            var response = Response.redirect(to: "/")
            response.setCookie(try Cookie(Sessions.cookie, sessions.begin(name)))
            return response
        }
    }

    /// Ends the session, and with it the streams of its user.
    var logout: Interceptor {
        .handler("logout") { request in
            if let user = try? sessions.user(of: request) {
                sessions.end(request)
                for events in registry.streams(of: user) { events.close() }
            }
            var response = Response.redirect(to: "/")
            response.setCookie(try Cookie.deletion(of: Sessions.cookie))
            return response
        }
    }

    /// Tells the page whether somebody is logged in.
    var me: Interceptor {
        .handler("me") { request in
            let user = try? sessions.user(of: request)
            let json = try JSONEncoder().encode(["user": user])
            return .text(String(decoding: json, as: UTF8.self), contentType: "application/json")
        }
    }
}
