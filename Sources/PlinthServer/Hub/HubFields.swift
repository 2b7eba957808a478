// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

extension HTTPField.Name {
    /// A name that is known to be valid.
    private static func named(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("`\(name)` is no field name") }
        return name
    }

    static let producerID = named("Producer-ID")
    static let producerEpoch = named("Producer-Epoch")
    static let producerSequence = named("Producer-Sequence")
    static let producerExpectedSequence = named("Producer-Expected-Sequence")
    static let idempotencyKey = named("Idempotency-Key")
    static let idempotentReplayed = named("Idempotent-Replayed")
    static let topicEnded = named("Topic-Ended")
}

extension Request {
    /// Whether a field may be one of ``producerStamp()`` or ``idempotencyKey()``: most publishers send none that begins
    /// like them, and one pass is cheaper than four searches.
    var mayRepeat: Bool {
        for field in headers {
            switch field.name.canonicalName.utf8.first {
            case UInt8(ascii: "p"), UInt8(ascii: "i"): return true
            default: continue
            }
        }
        return false
    }

    /// The producer's stamp; nil without its fields.
    ///
    /// - Throws: ``/Plinth/HTTPError`` with 400 if one of the three is missing or invalid.
    func producerStamp() throws -> ProducerStamp? {
        let id = headers[.producerID]
        let epoch = headers[.producerEpoch]
        let sequence = headers[.producerSequence]
        if id == nil, epoch == nil, sequence == nil { return nil }
        guard let id, let epoch, let sequence else {
            throw HTTPError(
                .badRequest,
                .badField,
                "Producer-ID, Producer-Epoch and Producer-Sequence go together; one of them is missing"
            )
        }
        return ProducerStamp(
            id: try Self.producerID(id),
            epoch: try Self.number(epoch, "Producer-Epoch"),
            sequence: try Self.number(sequence, "Producer-Sequence")
        )
    }

    /// The producer whose state a `HEAD` asks for; nil without its field.
    func producerID() throws -> ProducerID? { try headers[.producerID].map(Self.producerID) }

    private static func producerID(_ text: String) throws -> ProducerID {
        guard let id = ProducerID(Array(text.utf8)) else {
            throw HTTPError(.badRequest, .badField, "Producer-ID is 1 to \(ProducerID.maximumLength) bytes long")
        }
        return id
    }

    private static func number(_ text: String, _ name: String) throws -> UInt64 {
        let isDecimal = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isDecimal, let number = UInt64(text), number <= ProducerStamp.maximumNumber else {
            throw HTTPError(
                .badRequest,
                .badField,
                "\(name) is not a decimal number from 0 to \(ProducerStamp.maximumNumber)"
            )
        }
        return number
    }

    /// The idempotency key; nil without its field.
    func idempotencyKey() throws -> IdempotencyKey? {
        guard let text = headers[.idempotencyKey] else { return nil }
        guard let key = IdempotencyKey(Array(text.utf8)) else {
            throw HTTPError(
                .badRequest,
                .badField,
                "Idempotency-Key is 1 to \(IdempotencyKey.maximumLength) bytes long"
            )
        }
        return key
    }
}

#endif
