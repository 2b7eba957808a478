// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient

/// What to do about a failure with the options of the command; `listen`, `publish` and `bench` say it alike.
enum ConnectionAdvice {
    /// A sentence to put behind an error's text, or nil if that says enough.
    static func sentence(for code: EventSourceError.Code, cause: (any Error)?) -> String? {
        switch code {
        case .certificateRejected: "--ca-certificates FILE trusts the issuer of a certificate, --insecure any."
        case .proxyFailed: "--proxy http://USER:PASSWORD@HOST names the proxy and the user."
        case .connectionFailed, .connectionLost, .handshakeFailed: cause.map { "(\($0))" }
        default: nil
        }
    }

    /// Why a request had no answer and what to do about it, to be put into a sentence.
    static func clause(for error: any Error) -> String {
        let known = EventSourceTransportError.of(error)
        let sentences = [known.message, sentence(for: known.code, cause: known.cause)].compactMap(\.self)
        let text = sentences.joined(separator: " ")
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}
#endif
