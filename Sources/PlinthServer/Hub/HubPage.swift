// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthHub

/// A hub's page and the files it loads: those in `Page/`, which SwiftPM embeds, so that a server needs no files at run
/// time.
///
/// All URLs are relative, so the page works under any path that ends with a slash.
enum HubPage {
    /// A file of the page.
    struct File: Sendable {
        /// The path relative to the page; empty for the page itself.
        let path: String
        let contentType: String
        /// A strong entity tag with its quotes, derived from the bytes.
        let entityTag: String
        let bytes: [UInt8]

        init(_ path: String, _ contentType: String, _ bytes: [UInt8]) {
            self.path = path
            self.contentType = contentType
            self.bytes = bytes
            // FNV-1a: not a security measure, it only distinguishes builds.
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            entityTag = "\"\(String(hash, radix: 16))\""
        }
    }

    /// The page's settings: the types of the hub's own events.
    static func settings(_ options: StreamOptions) -> File {
        let heartbeat = JSONString.quoted(options.heartbeatEvent)
        let text = "{\"gapType\":\(JSONString.quoted(options.gapType)),\"heartbeatEvent\":\(heartbeat)}\n"
        return File("hub.json", "application/json", Array(text.utf8))
    }

    static let files = [
        File("", "text/html; charset=utf-8", PackageResources.hub_html),
        File("hub.css", "text/css; charset=utf-8", PackageResources.hub_css),
        File("hub.js", "text/javascript; charset=utf-8", PackageResources.hub_js),
        File("hub-worker.js", "text/javascript; charset=utf-8", PackageResources.hub_worker_js),
    ]
}

#endif
