// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub

extension Bounds {
    /// Measures the delivery thread's time when streams of the same topics leave.
    static func leave(_ numbers: [Int]) async throws {
        let (streams, names) = (numbers[0], numbers[1])
        let hub = try await Hub()
        let sink = TakingSink()
        var distributor = Distributor(history: hub.history, options: hub.options, head: .zero)
        var open: [(slot: Int, stream: HubStream)] = []
        let before = residentBytes()
        let joining = try processorTime {
            for _ in 0..<streams {
                let selection = Selection(try (0..<names).map { .exact(try Topic("topics/\($0)")) })
                let start = LocatedStart(position: .zero)
                let form = StreamForm(isChunked: true, namesTopic: true)
                let slot = distributor.add(selection, start, form, now: .now())
                open.append((slot, hub.began(selection, .live, .reactor, attachment: nil)))
            }
        }
        distributor.proceed(sink, now: .now())
        let memory = residentBytes() - before
        // Every second stream first, so that list entries have to move.
        let order = open.enumerated().filter { $0.offset % 2 == 0 } + open.enumerated().filter { $0.offset % 2 == 1 }
        let all = order.map(\.element)
        open = []
        let leaving = processorTime {
            for one in all {
                distributor.remove(one.slot, .clientClosed)
                hub.ended(one.stream, .clientClosed)
            }
        }
        print(
            "\(streams) streams of the same \(names) topics: joining \(shown(joining)) ms of CPU, leaving "
                + "\(shown(leaving)) ms, \(memory / max(1, streams * names)) bytes for each topic of a stream"
        )
    }

    /// Runs only deliveries, for `valgrind --tool=callgrind`.
    static func deliver(_ kind: String, _ subscribers: Int, _ events: Int) async throws {
        let hub = try await Hub()
        let sink = TakingSink()
        var distributor = Distributor(history: hub.history, options: hub.options, head: .zero)
        let topic = try Topic("news/sports")
        for number in 0..<subscribers {
            let wanted: [TopicSelector]
            switch kind {
            case "pattern": wanted = [.pattern(try TopicPattern("news/*"))]
            case "several": wanted = [.exact(topic), .exact(try Topic("other/\(number)"))]
            default: wanted = [.exact(topic)]
            }
            let form = StreamForm(isChunked: true, namesTopic: kind != "single")
            _ = distributor.add(Selection(wanted), LocatedStart(position: .zero), form, now: .now())
        }
        while !distributor.unfinished.isEmpty { distributor.proceed(sink, now: .now()) }
        let data = String(repeating: "x", count: 100)
        for number in 1...events {
            let entry = HistoryEntry(
                NewEvent(ServerSentEvent(data: data), topics: [topic]),
                position: Position(UInt64(number)),
                id: EventID(trusted: Array("1-\(number)".utf8))
            )
            distributor.deliver([entry], sink, now: .now())
        }
        print("\(kind): \(distributor.tally.delivered) deliveries, \(sink.bytes) bytes")
    }
}

#endif
