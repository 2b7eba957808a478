// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A few threads for tests that block them, as those do that wait for programs.
///
/// Of the threads of Swift's own pool there are as many as cores: blocked ones are missing to what is tested. What these
/// tests wait for must not need these threads itself. More than four tests at once would start more programs than a
/// small machine runs in the time that the tests have.
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
