// SPDX-License-Identifier: Apache-2.0

extension TrustedProxies {
    /// More proxies are not followed.
    private static let maximumHops = 32

    /// What a request's proxies report of its client; nil if its peer is not trusted or reports nothing.
    func origin(of request: Request) -> ForwardedOrigin? {
        guard containsPeer(of: request) else { return nil }
        let standard = request.headers.value(of: .forwarded).map { field in
            var elements = ForwardedElements(field)
            return follow { elements.next() }
        }
        let common = commonOrigin(in: request.headers)
        guard let standard, let common else { return standard ?? common }
        // One of them may be the client's own, which a proxy passed on that sets the other only.
        return ForwardedOrigin(
            address: standard.address == common.address ? standard.address : nil,
            isSecure: standard.isSecure == common.isSecure ? standard.isSecure : nil,
            authority: standard.authority == common.authority ? standard.authority : nil
        )
    }

    /// What the `X-Forwarded-` fields report; nil if there are none.
    ///
    /// Of several values for protocol or host the last one counts: that of the peer, which is trusted.
    private func commonOrigin(in headers: HTTPFields) -> ForwardedOrigin? {
        let clients = headers.value(of: .xForwardedFor)
        let proto = headers.value(of: .xForwardedProto)
        let host = headers.value(of: .xForwardedHost)
        guard clients != nil || proto != nil || host != nil else { return nil }
        var addresses = ListFromTheRight(clients ?? "")
        var origin = follow { addresses.next().map { ForwardedElement(address: ForwardedElement.address($0)) } }
        var values = ListFromTheRight(proto ?? "")
        origin.isSecure = values.next().flatMap(ForwardedElement.isSecure)
        values = ListFromTheRight(host ?? "")
        origin.authority = values.next().flatMap(ForwardedElement.authority)
        return origin
    }

    /// Follows elements from the nearest proxy to the first whose client is not a trusted proxy.
    private func follow(_ next: () -> ForwardedElement?) -> ForwardedOrigin {
        var origin = ForwardedOrigin()
        for _ in 0..<Self.maximumHops {
            guard let element = next() else { break }
            origin.isSecure = element.isSecure
            origin.authority = element.authority
            guard let address = element.address else { break }
            origin.address = "\(address)"
            guard contains(address) else { break }
        }
        return origin
    }
}

/// The values of a comma-separated field from the right, without the spaces around them; empty ones are skipped.
private struct ListFromTheRight {
    private var rest: Substring.UTF8View

    init(_ field: String) {
        rest = field[...].utf8
    }

    mutating func next() -> Substring.UTF8View? {
        while !rest.isEmpty {
            let comma = rest.lastIndex(of: UInt8(ascii: ","))
            var value = rest[(comma.map { rest.index(after: $0) } ?? rest.startIndex)...]
            rest = rest[..<(comma ?? rest.startIndex)]
            while let first = value.first, ForwardedElement.isSpace(first) { value.removeFirst() }
            while let last = value.last, ForwardedElement.isSpace(last) { value.removeLast() }
            if !value.isEmpty { return value }
        }
        return nil
    }
}

extension HTTPField.Name {
    fileprivate static let forwarded = named("Forwarded")
    fileprivate static let xForwardedFor = named("X-Forwarded-For")
    fileprivate static let xForwardedProto = named("X-Forwarded-Proto")
    fileprivate static let xForwardedHost = named("X-Forwarded-Host")

    private static func named(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("a token is a field's name") }
        return name
    }
}
