// SPDX-License-Identifier: Apache-2.0

import ExampleSupport
import Foundation
import Plinth

/// A note sent to a user.
struct Note: Codable {
    var from: String
    var text: String
}

/// The service: its users and their open streams.
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

    /// A stream for the user that the cookie identifies.
    ///
    /// It stays open after its ready function has returned: the registry stores its channel, and ``notify`` uses it.
    var stream: Interceptor {
        Interceptor(
            "stream",
            enter: { context in
                let user = try sessions.user(of: context.request)
                let tab = registry.nextTab()
                try await context.startEventStream(
                    // A tab that stops reading for a while keeps its latest 100 notes.
                    options: EventStreamOptions(buffer: .dropOldest(100)),
                    onDisconnect: { reason in
                        registry.remove(tab, of: user)
                        say("notify: tab \(tab) of \(user) disconnected: \(reason); \(registry.count) open")
                    }
                ) { events in
                    registry.add(events, as: tab, of: user)
                    say("notify: tab \(tab) of \(user) connected; \(registry.count) open")
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
            // `offer` never waits: a tab that does not read delays neither the sender nor the other tabs.
            let reached = registry.streams(of: user).count { $0.offer(event) == .accepted }
            return .text(#"{"tabs":\#(reached)}"#, contentType: "application/json")
        }
    }

    /// Begins a session for the name in the form, and sets its cookie.
    var login: Interceptor {
        .handler("login") { request in
            guard let name = request.formParameters["name"], !name.isEmpty, name.count <= 40 else {
                throw HTTPError(.badRequest, "the form must contain a name of at most 40 characters")
            }
            var response = Response.redirect(to: "/")
            response.setCookie(try Cookie(Sessions.cookie, sessions.begin(name)))
            return response
        }
    }

    /// Ends the session and all streams of its user.
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

    /// Returns the name of the logged-in user, or null, as JSON.
    var me: Interceptor {
        .handler("me") { request in
            let user = try? sessions.user(of: request)
            let json = try JSONEncoder().encode(["user": user])
            return .text(String(decoding: json, as: UTF8.self), contentType: "application/json")
        }
    }
}
