// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

/// The few kinds of JSON (RFC 8259) that a hub says.
enum JSONText {
    /// A string in quotes.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case "\u{0}"..<" ", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func status(_ status: HubStatus) -> String {
        let uptime = status.uptime / .milliseconds(1) / 1000
        let seconds = (uptime * 1000).rounded() / 1000
        var text =
            "{\"topics\":\(status.topics),\"subscribers\":\(status.subscribers),\"events\":\(status.events),"
            + "\"bytes\":\(status.bytes),\"uptime\":\(seconds),\"published\":\(status.published)"
        if !status.top.isEmpty {
            let rows = status.top.map { row in
                "{\"topic\":\(quoted(row.topic.name)),\"subscribers\":\(row.subscribers),\"published\":\(row.published)}"
            }
            text += ",\"top\":[\(rows.joined(separator: ","))]"
        }
        return text + "}"
    }
}

extension Response {
    /// A response in JSON.
    static func json(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json", .cacheControl: "no-store", .xContentTypeOptions: "nosniff"],
            body: .string(text + "\n")
        )
    }
}

#endif
