// SPDX-License-Identifier: Apache-2.0

#if Command
import PlinthTestSupport
import Testing

/// Runs a suite's tests on ``BlockingThreads``, so that they may block.
struct BlockingTests: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        try await withTaskExecutorPreference(BlockingThreads.shared) { try await function() }
    }
}

extension SuiteTrait where Self == BlockingTests {
    static var blocking: Self { Self() }
}
#endif
