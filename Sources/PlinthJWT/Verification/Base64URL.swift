// SPDX-License-Identifier: Apache-2.0

#if JWT
/// Base64url without padding (RFC 7515, section 2).
enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The value of each byte; 0xFF for those outside the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }()

    /// Decodes the one text that encodes these bytes.
    ///
    /// - Returns: The bytes; nil for padding, other characters, an impossible length, and bits that encode nothing but
    ///   are set: two texts would mean the same token.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        var pending: UInt32 = 0
        var count = 0
        for byte in text {
            let value = values[Int(byte)]
            guard value != 0xFF else { return nil }
            pending = pending << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(count)))
                pending &= (1 << UInt32(count)) - 1
            }
        }
        return pending == 0 ? bytes : nil
    }

    /// Encodes bytes.
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var pending: UInt32 = 0
        var count: UInt32 = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[Int(pending >> count) & 63])
            }
            pending &= (1 << count) - 1
        }
        if count > 0 { text.append(alphabet[Int(pending << (6 - count)) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }
}
#endif
