// SPDX-License-Identifier: Apache-2.0

#if Server

import Metrics

/// The limits whose refusals are counted.
enum CountedLimit: String, CaseIterable, Sendable {
    /// Connections of an address.
    case connectionsOfAddress = "address-connections"
    /// Requests of an address in a time.
    case rateOfAddress = "address-rate"
    /// Requests of a subject in a time.
    case rateOfSubject = "subject-rate"
    /// New topics of a subject in a time.
    case newTopicsOfSubject = "subject-new-topics"
    /// Open streams in all.
    case streams
    /// Open streams of an address.
    case streamsOfAddress = "address-streams"
    /// Open streams of a subject.
    case streamsOfSubject = "subject-streams"
    /// Bytes of a target.
    case targetSize = "target-size"
    /// Resets of streams on an HTTP/2 connection.
    case http2Resets = "http2-resets"
    /// Settings, pings and priorities on an HTTP/2 connection.
    case http2ControlFrames = "http2-control-frames"
    /// Malformed requests on an HTTP/2 connection.
    case http2StreamErrors = "http2-stream-errors"
    /// Streams beyond the limit of an HTTP/2 connection.
    case http2RefusedStreams = "http2-refused-streams"
}

/// Counts what limits refuse.
///
/// | metric | kind | label |
/// |---|---|---|
/// | `plinth_limit_refusals_total` | counter | `limit` |
///
/// `limit` has the values of ``CountedLimit``: never an address or a subject.
final class LimitMetrics: Sendable {
    private let refusals: [CountedLimit: Counter]

    /// Creates the metrics; nil if no metrics system was bootstrapped.
    init?(factory: any MetricsFactory) {
        if factory is NOOPMetricsHandler { return nil }
        refusals = Dictionary(
            uniqueKeysWithValues: CountedLimit.allCases.map {
                (
                    $0,
                    Counter(
                        label: "plinth_limit_refusals_total",
                        dimensions: [("limit", $0.rawValue)],
                        factory: factory
                    )
                )
            }
        )
    }

    /// Counts a refusal.
    func refused(by limit: CountedLimit) { refusals[limit]?.increment() }
}

#endif
