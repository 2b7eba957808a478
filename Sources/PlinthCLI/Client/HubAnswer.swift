// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import Foundation
import PlinthClient
import PlinthStreams

/// The JSON members of a hub's response to a publish, or of its error.
struct HubReport: Decodable {
    var id: String?
    /// The events that the request added.
    var count: Int?
    /// The events that the hub had taken before.
    var repeated: Int?
    var error: String?
    var code: String?

    /// The number of events, from the first, that are in the hub: at most `limit`, whatever the server reports.
    func accepted(of limit: Int) -> Int {
        // Clamped before they are added: a server may report any number.
        let counts = [count, repeated].map { min(max($0 ?? 0, 0), limit) }
        return min(counts.reduce(0, +), limit)
    }

    init() {}

    init(_ answer: HTTPExchange.Answer) {
        self = (try? JSONDecoder().decode(HubReport.self, from: Data(answer.body))) ?? HubReport()
    }
}

extension HTTPExchange.Answer {
    /// What a server says about a refusal: its status, its error text, and the target of a redirect.
    func refusal(_ report: HubReport) -> String {
        let text = report.error ?? String(decoding: body, as: UTF8.self)
        let reason = TerminalText.visible(
            text.trimmingCharacters(in: .whitespacesAndNewlines),
            upTo: HubRequests.maximumText
        )
        let place = location.map { TerminalText.visible(HTTPAddress.redacted($0), upTo: HubRequests.maximumText) }
        return "the server answered \(title)" + (reason.isEmpty ? "" : ": \(reason)")
            + (place.map { "; redirect to \($0)" } ?? "")
    }
}
#endif
