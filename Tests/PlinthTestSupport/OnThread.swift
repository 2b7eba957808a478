// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Runs what blocks on a thread of its own: a blocked thread of the pool would be missing to what is tested.
package func onThread<Result: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () throws(Failure) -> Result
) async throws(Failure) -> Result {
    let result: Swift.Result<Result, Failure> = await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(returning: Swift.Result { () throws(Failure) in try body() })
        }
    }
    return try result.get()
}
