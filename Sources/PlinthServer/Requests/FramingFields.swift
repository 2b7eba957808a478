// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOHTTP1

/// The header fields that decide where a request begins and ends, found in one pass over its head.
struct FramingFields {
    /// The first field of a name, and how many there are.
    struct Field {
        private(set) var first: String?
        private(set) var count = 0

        fileprivate mutating func add(_ value: String) {
            if count == 0 { first = value }
            count += 1
        }
    }

    private(set) var host = Field()
    private(set) var contentLength = Field()
    private(set) var transferEncoding = Field()
    /// Whether the client waits for `100 Continue`, as it says (RFC 9110, section 10.1.1).
    private(set) var expectsContinue = false
    private(set) var hasUpgrade = false

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            switch name.utf8.count {
            case 4 where Self.isSame(name, "host"): host.add(value)
            case 6 where Self.isSame(name, "expect"):
                expectsContinue = expectsContinue || value.lowercased() == "100-continue"
            case 7 where Self.isSame(name, "upgrade"): hasUpgrade = true
            case 14 where Self.isSame(name, "content-length"): contentLength.add(value)
            case 17 where Self.isSame(name, "transfer-encoding"): transferEncoding.add(value)
            default: break
            }
        }
    }

    /// Whether a field's name is another one, in lower case.
    private static func isSame(_ name: String, _ lowercased: StaticString) -> Bool {
        var name = name
        return name.withUTF8 { name in
            guard name.count == lowercased.utf8CodeUnitCount else { return false }
            for (index, byte) in name.enumerated() {
                let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                guard (isUpper ? byte | 0x20 : byte) == lowercased.utf8Start[index] else { return false }
            }
            return true
        }
    }
}

#endif
