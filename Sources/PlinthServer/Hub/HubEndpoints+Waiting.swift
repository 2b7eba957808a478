// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

/// Long-polls: `?wait=` on a subscription.
extension HubEndpoints {
    /// The longest wait: 60 s.
    private static let longestWait = Duration.seconds(60)

    /// How long a subscription waits for one answer in JSON; nil if it is to be a stream.
    static func wait(_ parameters: FormParameters) throws -> Duration? {
        guard let text = parameters["wait"] else { return nil }
        guard let wait = TimeText.duration(text), wait <= longestWait else {
            throw HTTPError(
                .badRequest,
                .badField,
                "`wait` is not a time of at most 60 s; write it as `30s`, `500ms`, or 0 to return at once"
            )
        }
        return wait
    }

    /// Waits for events, once.
    func poll(
        _ request: Request,
        _ selection: Selection,
        _ admission: Admission,
        for wait: Duration,
        form: FormParameters = FormParameters()
    ) async throws -> Response {
        guard let permit = permit(request, admission) else {
            throw HTTPError(
                .serviceUnavailable,
                .streamsLimit,
                "the hub serves as many streams as it may, in all or of this client; try again later",
                headers: [.retryAfter: "5"]
            )
        }
        defer { permit.release() }
        let start = start(request, form)
        let service = self.service
        let grant = admission.grant
        // Not longer than the grant holds, as a stream.
        let wait = min(wait, rest(of: admission) ?? wait)
        let poll = try await askHistory(request) {
            try await service.hub.poll(
                selection,
                from: start,
                subject: grant.subject,
                attachment: grant.attachment
            ) {
                await service.wait(for: wait)
            }
        }
        try check(admission)
        return .json(poll.json(for: selection))
    }
}

extension HubPoll {
    /// The answer as a JSON object.
    fileprivate func json(for selection: Selection) -> String {
        let events = updates.compactMap { $0.json(for: selection) }.joined(separator: ",")
        return "{\"events\":[\(events)],\"next\":\(JSONString.quoted(next.description)),"
            + "\"gap\":\(gap?.data ?? "null"),\"ended\":\(hasEnded),\"more\":\(hasMore)}"
    }
}

extension HubUpdate {
    /// The update as a member of `events`.
    fileprivate func json(for selection: Selection) -> String? {
        switch self {
        case .event(let event):
            let sent = event.event
            return Self.json(event.id, event.entry.topic(for: selection), sent.type, sent.data, sent.retry)
        case .end(let end):
            let data = "{\"topic\":\(JSONString.quoted(end.topic.name))}"
            return Self.json(end.id, end.topic, TopicEnd.eventType, data, nil)
        case .gap: return nil
        }
    }

    private static func json(
        _ id: PlinthHub.EventID,
        _ topic: Topic,
        _ type: String?,
        _ data: String,
        _ retry: Duration?
    ) -> String {
        "{\"id\":\(JSONString.quoted(id.description)),\"topic\":\(JSONString.quoted(topic.name)),"
            + "\"type\":\(JSONString.quoted(type ?? "message")),\"data\":\(JSONString.quoted(data)),"
            + "\"retry\":\(retry.map { "\($0.wholeMilliseconds)" } ?? "null")}"
    }
}

#endif
