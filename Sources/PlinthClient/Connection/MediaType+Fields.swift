// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthStreams

extension MediaType {
    /// The media type of a response.
    ///
    /// Of several fields, the last valid one other than `*/*` counts, as in the Fetch standard's
    /// [extraction](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type). A comma does not split a field,
    /// as in Chromium.
    init?(_ fields: HTTPFields) {
        var found: MediaType?
        for value in fields[values: .contentType] {
            guard let type = MediaType(value), type.essence != "*/*" else { continue }
            let charset = type.essence == found?.essence ? found?.charset : nil
            found = type
            if type.charset == nil { found?.charset = charset }
        }
        guard let found else { return nil }
        self = found
    }
}
