// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Stands for a model: answers with the words of the prompt in reverse, one after each interval, always the same.
///
/// It fails as models do: `"overloaded"` as the first word makes it fail before the first token, a word `"break"` when it
/// comes to that.
struct Model {
    let interval: Duration
    /// How many generations may run at once.
    let places: Places

    /// The tokens of an answer, generated while they are read.
    func tokens(for prompt: String) -> Tokens {
        Tokens(words: prompt.split(whereSeparator: \.isWhitespace).map { String($0) }, interval: interval)
    }

    /// The tokens of an answer.
    struct Tokens: AsyncSequence, Sendable {
        let words: [String]
        let interval: Duration

        struct AsyncIterator: AsyncIteratorProtocol {
            var words: [String]
            let interval: Duration

            mutating func next() async throws -> String? {
                if words.first == "overloaded" { throw ModelError.overloaded }
                guard let word = words.popLast() else { return nil }
                try await Task.sleep(for: interval)
                if word == "break" { throw ModelError.broken }
                return word + " "
            }
        }

        func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(words: words, interval: interval)
        }
    }

    /// A bounded number of places, since each generation costs a model's time.
    final class Places: Sendable {
        private let free: Mutex<Int>

        init(_ count: Int) {
            free = Mutex(count)
        }

        /// Runs a generation if there is a place for it.
        func withPlace<Result>(_ generate: () async throws -> Result) async throws -> Result {
            let isFree = free.withLock { free in
                guard free > 0 else { return false }
                free -= 1
                return true
            }
            guard isFree else { throw ModelError.busy }
            defer { free.withLock { $0 += 1 } }
            return try await generate()
        }
    }
}

/// What can go wrong with a generation.
enum ModelError: String, Error {
    /// All places are taken.
    case busy = "all places are taken"
    /// The model takes no work now.
    case overloaded = "the model takes no work now"
    /// The model failed in the middle of an answer.
    case broken = "the model failed"
}
