// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// The logged-in users: maps a random token, sent as a cookie, to a name that only the server knows.
///
/// Sessions are kept until the process ends. A real service must limit their age and number.
final class Sessions: Sendable {
    static let cookie = "session"

    private let users = Mutex<[String: String]>([:])

    /// Begins a session.
    ///
    /// - Returns: The value of its cookie.
    func begin(_ user: String) -> String {
        var random = SystemRandomNumberGenerator()
        let token = String(random.next(), radix: 36) + String(random.next(), radix: 36)
        users.withLock { $0[token] = user }
        return token
    }

    /// Ends the session of a request.
    func end(_ request: Request) {
        guard let token = request.cookies[Self.cookie] else { return }
        users.withLock { $0[token] = nil }
    }

    /// The user of a request's session.
    ///
    /// - Throws: 401 if the request has no session.
    func user(of request: Request) throws -> String {
        guard let token = request.cookies[Self.cookie], let user = users.withLock({ $0[token] }) else {
            throw HTTPError(.unauthorized, "log in first")
        }
        return user
    }
}
