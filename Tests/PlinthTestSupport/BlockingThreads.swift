// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Threads for tests that block, for example while waiting for child processes.
///
/// Swift's global executor has one thread per core, and the code under test needs them. Whatever a blocked test waits
/// for must not need these four threads. Their number also limits how many programs run at once, so that a small
/// machine finishes within the tests' time limits.
package final class BlockingThreads: TaskExecutor {
    package static let shared = BlockingThreads(count: 4)

    private let jobs = Mutex<[UnownedJob]>([])
    private let available = DispatchSemaphore(value: 0)

    private init(count: Int) {
        for _ in 0..<count {
            Thread.detachNewThread {
                withSignalsUnblocked {
                    while true {
                        self.available.wait()
                        let job = self.jobs.withLock { $0.removeFirst() }
                        job.runSynchronously(on: self.asUnownedTaskExecutor())
                    }
                }
            }
        }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        available.signal()
    }
}
