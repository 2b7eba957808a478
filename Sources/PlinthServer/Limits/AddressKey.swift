// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth

/// A client's address as limits count it: an IPv4 address as a whole, an IPv6 address by its first 64 bits.
///
/// One customer commonly has 2^64 IPv6 addresses or more (RFC 6177), so a limit for each of them would limit nothing.
struct AddressKey: Sendable, Hashable {
    private let bits: UInt128

    /// Creates the key of an address as text, as in ``/Plinth/Request/clientAddress``.
    ///
    /// An IPv4-mapped IPv6 address has the key of its IPv4 address. Nil if the text is no address, as for a Unix socket.
    init?(_ text: String) {
        guard let address = IPAddress(text) else { return nil }
        // Not equal to the key of an IPv4 address, which has bits in the second half.
        bits = address.isIPv4 ? address.bits : (address.bits >> 64) << 64
    }
}

#endif
