// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient

/// Advice on connection failures in terms of command-line options, shared by `listen`, `wait`, `publish` and `bench`.
enum ConnectionAdvice {
    /// A sentence to append to an error's text; nil if there is no advice.
    static func sentence(for code: EventSourceError.Code, cause: (any Error)?) -> String? {
        switch code {
        case .certificateRejected: "--ca-certificates FILE trusts a certificate's issuer; --insecure trusts any."
        case .proxyFailed: "Set the proxy and its user with --proxy http://USER:PASSWORD@HOST."
        case .connectionFailed, .connectionLost, .handshakeFailed: cause.map { "(\($0))" }
        default: nil
        }
    }

    /// Why a request failed, with advice, for use within a sentence.
    static func clause(for error: any Error) -> String {
        let known = EventSourceTransportError.of(error)
        let sentences = [known.message, sentence(for: known.code, cause: known.cause)].compactMap(\.self)
        let text = sentences.joined(separator: " ")
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}
#endif
