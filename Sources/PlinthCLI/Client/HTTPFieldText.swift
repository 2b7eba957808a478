// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import HTTPTypes

/// Text that is sent as a header field's value.
enum HTTPFieldText {
    /// Whether a recipient gets the text unchanged: without control characters, and spaces at its ends.
    static func isValid(_ text: String) -> Bool {
        let ends = [text.utf8.first, text.utf8.last]
        return HTTPField.isValidValue(text) && !ends.contains(0x20) && !ends.contains(0x09)
    }
}
#endif
