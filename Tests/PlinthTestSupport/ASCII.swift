// SPDX-License-Identifier: Apache-2.0

/// Escapes JSON to pure ASCII, so that no line reader splits it at a character such as U+2028.
package func ascii(_ json: String) -> String {
    var result = ""
    for unit in json.utf16 {
        if unit < 0x7F, let scalar = Unicode.Scalar(unit) {
            result.unicodeScalars.append(scalar)
        } else {
            let digits = String(unit, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }
    return result
}
