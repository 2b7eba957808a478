// SPDX-License-Identifier: Apache-2.0

extension HTTPFields {
    /// The value of a field, as the subscript returns it, which joins even a single value at some cost.
    ///
    /// - Parameter name: The field's name.
    /// - Returns: The value; nil if there is no such field; with several, all of them, joined with commas.
    package func value(of name: HTTPField.Name) -> String? {
        var found: String?
        for field in self where field.name == name {
            if found != nil { return self[name] }
            found = field.value
        }
        return found
    }
}
