// SPDX-License-Identifier: Apache-2.0

/// What a history answered to a ``Distributor/ReadRequest``.
package enum HistoryAnswer: Sendable {
    /// The events after a position.
    case batch(HistoryBatch)
    /// The start of a stream.
    case located(LocatedStart)
}

extension History {
    /// Answers a subscriber's question.
    ///
    /// - Throws: The history's error, if it cannot answer now.
    package func answer(_ request: Distributor.ReadRequest) async throws -> HistoryAnswer {
        if let start = request.start { return .located(try await locate(start, request.selection)) }
        let limit = ReadLimit()
        return .batch(try await read(after: request.position, selection: request.selection, limit: limit))
    }

    /// Locates a start.
    func locate(_ query: StartQuery, _ selection: Selection) async throws -> LocatedStart {
        var located: Located?
        if let id = query.id { located = try await locate(id) }
        guard selection.names > 0 else { return query.start(located, []) }
        return query.start(located, try await ends(of: selection))
    }

    /// Locates a start without waiting; nil if that has to wait.
    func locateNow(_ query: StartQuery, _ selection: Selection) -> LocatedStart? {
        var located: Located?
        if let id = query.id {
            guard let now = locateNow(id) else { return nil }
            located = now
        }
        guard selection.names > 0 else { return query.start(located, []) }
        return endsNow(of: selection).map { query.start(located, $0) }
    }
}
