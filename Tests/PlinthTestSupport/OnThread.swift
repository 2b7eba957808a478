// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Runs blocking code on a new thread, so that it does not block a thread of Swift's global executor.
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
