// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import PlinthStreams

/// Where in a token's claims the rights are: see ``JWTOptions/claim``.
struct ClaimPath: Sendable, Hashable {
    /// At least one, none of them empty.
    let names: [String]
    let text: String

    init(_ text: String) throws(JWTConfigurationError) {
        self.text = text
        var names: [String] = []
        for part in text.split(separator: "/", omittingEmptySubsequences: false) {
            // RFC 6901, section 4: `~1` first, so that `~01` is `~1`.
            var name = ""
            var rest = part.unicodeScalars.makeIterator()
            while let scalar = rest.next() {
                guard scalar == "~" else {
                    name.unicodeScalars.append(scalar)
                    continue
                }
                switch rest.next() {
                case "0": name += "~"
                case "1": name += "/"
                default: throw JWTConfigurationError(.badOptions, "in the claim's path, `~` is not followed by 0 or 1")
                }
            }
            guard !name.isEmpty else {
                throw JWTConfigurationError(.badOptions, "a name in the claim's path is empty; it begins with no `/`")
            }
            names.append(name)
        }
        self.names = names
    }

    /// The members of the claim; nil if a token does not have it.
    ///
    /// - Throws: `HubTokenError` if it, or what it is nested in, is no object.
    func members(in claims: JSONValue.Members) throws(HubTokenError) -> JSONValue.Members? {
        var members = claims
        for name in names {
            guard let value = members[name] else { return nil }
            guard let object = value.object else {
                throw HubTokenError(
                    .claim,
                    "in the token's claim \(JSONString.quoted(text)), \(JSONString.quoted(name)) is no object"
                )
            }
            members = object
        }
        return members
    }
}
#endif
