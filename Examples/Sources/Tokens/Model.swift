// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A deterministic stand-in for a model: answers with the words of the prompt in reverse, one per interval.
///
/// `"overloaded"` as the first word makes it fail before the first token; a word `"break"` makes it fail at that word.
struct Model {
    let interval: Duration
    /// Limits how many generations run at once.
    let places: Places

    /// Returns the tokens of an answer, generated as they are read.
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

    /// A bounded number of concurrent generations, since each costs model time.
    final class Places: Sendable {
        private let free: Mutex<Int>

        init(_ count: Int) {
            free = Mutex(count)
        }

        /// Runs a generation if a place is free.
        ///
        /// - Throws: ``ModelError/busy`` if none is.
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

/// An error of a generation.
enum ModelError: String, Error {
    /// All places are taken.
    case busy = "all places are taken"
    /// The model is overloaded.
    case overloaded = "the model is overloaded"
    /// The model failed in the middle of an answer.
    case broken = "the model failed"
}
