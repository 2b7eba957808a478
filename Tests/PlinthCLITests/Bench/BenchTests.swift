// SPDX-License-Identifier: Apache-2.0

#if Command && Client && Server
import Foundation
import Testing

@testable import PlinthCLI

@Suite("The command plinth bench", .blocking)
struct BenchTests {
    private struct Figures: Decodable {
        struct Times: Decodable {
            let p50: Int
            let max: Int
        }
        let subscribers: Int
        let published: Int
        let expected: Int
        let got: Int
        let lost: Int
        let duplicated: Int
        let outOfOrder: Int
        let broken: Int
        let publishErrors: Int
        let latencyUs: Times
        let ackUs: Times
    }

    private func figures(_ arguments: [String]) throws -> Figures {
        let result = try Tool.run(["bench", "--json"] + arguments, input: "")
        #expect(result.status == 0, "\(result)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Figures.self, from: Data(result.output.utf8))
    }

    @Test("Every subscriber receives every event once and in order")
    func plain() throws {
        let hub = try HubProcess()
        let options = ["--subscribers", "20", "--rate", "100", "--for", "500ms", "--warm-up", "100ms"]
        let figures = try figures(options + [hub.address])
        #expect(figures.subscribers == 20)
        #expect(figures.published == 60)
        #expect(figures.expected == 1200)
        #expect(figures.got == 1200)
        #expect(figures.lost == 0 && figures.duplicated == 0 && figures.outOfOrder == 0 && figures.broken == 0)
        #expect(figures.latencyUs.p50 > 0 && figures.latencyUs.max >= figures.latencyUs.p50)
        #expect(figures.ackUs.p50 > 0)
    }

    @Test("Bench works over TLS with HTTP/1.1 and HTTP/2, and rejects an untrusted certificate by default")
    func tls() throws {
        let folder = try Folder()
        let (certificate, key) = try folder.certificate()
        let hub = try HubProcess(["--tls-certificate", certificate, "--tls-key", key])
        #expect(hub.address.hasPrefix("https://"))
        let options = ["--subscribers", "150", "--rate", "20", "--for", "500ms", "--warm-up", "0s", hub.address]
        for how in [["--ca-certificates", certificate], ["--insecure"], ["--insecure", "--http1"]] {
            #expect(try figures(how + options).got == 1500)
        }
        let refused = try Tool.run(["bench"] + options, input: "")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("did not open"), "\(refused.errors)")
    }

    @Test("A missing server and one that is not a hub are reported")
    func noHub() throws {
        let missing = try Tool.run(["bench", "http://127.0.0.1:1"], input: "")
        #expect(missing.status == 1)
        #expect(missing.errors.contains("with 0 of 100 open"), "\(missing.errors)")
        let hub = try HubProcess(["--base-path", "/hub"])
        let wrong = String(hub.address.dropLast("/hub".count))
        #expect(try Tool.run(["bench", wrong], input: "").errors.contains("404"))
    }

    @Test("A stream above the hub's limit does not count as open")
    func full() throws {
        let hub = try HubProcess(["--maximum-streams", "5"])
        let result = try Tool.run(["bench", "--subscribers", "6", "--for", "1s", hub.address], input: "")
        #expect(result.status == 1)
        // The sixth stream's end is detected while streams open, or only after the run.
        #expect(result.errors.contains("ended early"), "\(result.errors)")
    }

    @Test("Percentiles are values of the sample, whatever its size")
    func percentiles() {
        #expect(BenchReport.percentile(0.5, of: []) == 0)
        #expect(BenchReport.percentile(0.99, of: [7]) == 7)
        let values = (1...100).map { UInt32($0) }
        #expect([0.5, 0.9, 0.99, 0.999, 1].map { BenchReport.percentile($0, of: values) } == [50, 90, 99, 100, 100])
        #expect(BenchReport.decimal(1.005, 1) == "1.0")
        #expect(BenchReport.decimal(0.06, 1) == "0.1")
        #expect(BenchReport.decimal(-2.25, 2) == "-2.25")
        #expect(BenchReport.decimal(1234.6, 0) == "1235")
        #expect(BenchReport.decimal(.infinity, 0) == "?")
    }

    @Test("An event's number and time are read back; data of another format is ignored")
    func events() {
        let text = BenchEvent.text(12, at: 345, size: 40)
        #expect(text.utf8.count == 40)
        let read = BenchEvent.read(Array(text.utf8).span)
        #expect(read?.number == 12 && read?.sent == 345)
        for other in ["", "12", "12 ", "12 345", "a 1 ", "1234567890123456789 1 x", "1  x", "-1 1 x"] {
            #expect(BenchEvent.read(Array(other.utf8).span) == nil, "\(other)")
        }
    }
}
#endif
