// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthCLI

@Suite("HubTopics")
struct HubTopicsTests {
    @Test(
        "The topics of a URL are those of its path, or of its query and form",
        arguments: [
            ("http://h/topics/a", nil, ["a"], true), ("http://u:p@h:1/hub/topics/a/b%20c?x=1#f", nil, ["a/b c"], true),
            ("http://h/topics?topic=a&topic=b+c&topic=a", nil, ["a", "b c"], false),
            ("http://h/topics", "topic=%C3%A9&x=1", ["é"], false),
        ]
    )
    func names(_ url: String, _ form: String?, _ names: [String], _ isSingle: Bool) throws {
        let topics = try #require(HubTopics(url, form: form.map { Array($0.utf8) }))
        #expect(topics.names == names)
        #expect(topics.isSingle == isSingle)
        #expect(!topics.hasPatterns)
    }

    @Test(
        "A URL of another form has no topics",
        arguments: [
            "http://h", "http://h/topics/", "http://topics/x", "http://h/a?b=/topics/c", "http://h/topics/%FF", "x",
        ]
    )
    func others(_ url: String) {
        #expect(HubTopics(url) == nil)
    }

    @Test("Further topics are added to the query, which keeps its other parameters")
    func adding() {
        #expect(
            HubTopics("http://u:p@h/x/topics/a%2Fb?type=t#f")?.url(adding: ["c d", "a/b"])
                == "http://u:p@h/x/topics?topic=a%2Fb&topic=c%20d&type=t"
        )
        #expect(HubTopics("http://h/topics?topic=a&y")?.url(adding: ["b"]) == "http://h/topics?topic=a&topic=b&y")
    }

    @Test("A stream ends with the last of its topics, and never with a pattern")
    func ends() {
        var two = HubTopics("http://h/topics?topic=a&topic=b")
        #expect(two?.end("a") == false)
        #expect(two?.end("x") == false)
        #expect(two?.end("b") == true)
        var pattern = HubTopics("http://h/topics?topic=a", form: Array("match=b*".utf8))
        #expect(pattern?.end("a") == false)
        var none = HubTopics("http://h/topics")
        #expect(none?.end("a") == false)
    }
}
