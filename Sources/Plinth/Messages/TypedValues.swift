// SPDX-License-Identifier: Apache-2.0

/// A key for ``TypedValues``: its type names the value, so that a misspelt key does not compile.
///
/// ```swift
/// enum CurrentUser: ValueKey { typealias Value = User }
/// context.request.values[CurrentUser.self] = user
/// ```
public protocol ValueKey {
    /// What the key stands for.
    associatedtype Value: Sendable
}

/// Values by typed keys, which interceptors attach to a request or to a context.
public struct TypedValues: Sendable {
    private var storage: [ObjectIdentifier: any Sendable] = [:]

    /// No values.
    public init() {}

    /// The value of a key, nil if nothing has set it.
    public subscript<Key: ValueKey>(key: Key.Type) -> Key.Value? {
        get { storage[ObjectIdentifier(key)] as? Key.Value }
        set { storage[ObjectIdentifier(key)] = newValue }
    }
}
