// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import PlinthHub

extension Date {
    /// Seconds since 1970.
    static func test(_ seconds: Double) -> Date { Date(timeIntervalSince1970: seconds) }
}

extension HubRevocation {
    /// A revocation; its times are seconds since 1970, and it is kept for long.
    static func test(
        _ name: String,
        issuer: String? = nil,
        time: Double = 0,
        until: Double = 5_000_000_000
    ) -> HubRevocation {
        HubRevocation(
            name: name,
            issuer: issuer,
            time: .test(time),
            newTokensHold: .test(time + 60),
            isKeptUntil: .test(until)
        )
    }

    /// The same revocation, kept until another time.
    func kept(until: Double) -> HubRevocation {
        HubRevocation(name: name, issuer: issuer, time: time, newTokensHold: newTokensHold, isKeptUntil: .test(until))
    }
}
#endif
