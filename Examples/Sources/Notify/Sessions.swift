// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// Who is logged in: a random number in a cookie stands for a name that only the server knows.
///
/// Sessions of an example: kept until the process ends. A service limits their age and their number.
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

    /// The user whose session a request's cookie names.
    ///
    /// - Throws: 401 if there is none.
    func user(of request: Request) throws -> String {
        guard let token = request.cookies[Self.cookie], let user = users.withLock({ $0[token] }) else {
            throw HTTPError(.unauthorized, "log in first")
        }
        return user
    }
}
