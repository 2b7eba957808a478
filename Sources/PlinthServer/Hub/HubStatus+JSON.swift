// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

extension HubStatus {
    /// The status as a JSON object.
    var json: String {
        let seconds = (uptime / .milliseconds(1)).rounded() / 1000
        var text =
            "{\"topics\":\(topics),\"subscribers\":\(subscribers),\"events\":\(events),"
            + "\"bytes\":\(bytes),\"uptime\":\(seconds),\"published\":\(published)"
        if !top.isEmpty {
            let rows = top.map { row in
                "{\"topic\":\(JSONString.quoted(row.topic.name)),\"subscribers\":\(row.subscribers),\"published\":\(row.published)}"
            }
            text += ",\"top\":[\(rows.joined(separator: ","))]"
        }
        return text + "}"
    }
}

extension Response {
    /// A JSON response.
    static func json(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json", .cacheControl: "no-store", .xContentTypeOptions: "nosniff"],
            body: .string(text + "\n")
        )
    }
}

#endif
