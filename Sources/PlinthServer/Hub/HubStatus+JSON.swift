// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

extension HubStatus {
    /// The status as a JSON object.
    var json: String {
        var text =
            "{\"topics\":\(topics),\"subscribers\":\(subscribers),\"events\":\(events),"
            + "\"bytes\":\(bytes),\"mark\":\(JSONString.quoted(mark.description)),\"endedTopics\":\(endedTopics),"
            + "\"producers\":\(producers),\"keys\":\(keys),\"uptime\":\(uptime.secondsText),\"published\":\(published)"
        text += ",\"history\":\(historyJSON)"
        if !top.isEmpty {
            let rows = top.map { row in
                "{\"topic\":\(JSONString.quoted(row.topic.name)),\"subscribers\":\(row.subscribers),\"published\":\(row.published)}"
            }
            text += ",\"top\":[\(rows.joined(separator: ","))]"
        }
        return text + "}"
    }

    private var historyJSON: String {
        guard let storage else { return "{\"kind\":\"memory\"}" }
        var text = "{\"kind\":\(JSONString.quoted(storage.kind)),\"bytes\":\(storage.bytes)"
        text += ",\"age\":\(storage.age?.secondsText ?? "null")"
        return text + ",\"sinceLastSync\":\(storage.sinceLastSync?.secondsText ?? "null")}"
    }
}

extension Duration {
    /// In seconds, to the millisecond.
    fileprivate var secondsText: String { "\((self / .milliseconds(1)).rounded() / 1000)" }
}

extension Response {
    /// A JSON response.
    static func json(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        json(utf8: Array((text + "\n").utf8), status: status)
    }

    /// A JSON response of bytes that end with a line end.
    static func json(utf8 bytes: [UInt8], status: HTTPResponse.Status) -> Response {
        Response(status: status, headers: jsonFields, body: .bytes(bytes))
    }

    private static let jsonFields: HTTPFields = [
        .contentType: "application/json", .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
    ]
}

#endif
