// SPDX-License-Identifier: Apache-2.0

/// A key for ``TypedValues``: keys are types, so a misspelt key does not compile.
///
/// ```swift
/// enum CurrentUser: ValueKey { typealias Value = User }
/// context.request.values[CurrentUser.self] = user
/// ```
public protocol ValueKey {
    /// The type of the value.
    associatedtype Value: Sendable
}

/// Values by typed key, attached by interceptors to a request or a context.
public struct TypedValues: Sendable {
    private var storage: [ObjectIdentifier: any Sendable] = [:]

    /// Creates an empty collection.
    public init() {}

    /// The value for a key, or nil if it is not set.
    public subscript<Key: ValueKey>(key: Key.Type) -> Key.Value? {
        get { storage[ObjectIdentifier(key)] as? Key.Value }
        set { storage[ObjectIdentifier(key)] = newValue }
    }
}
