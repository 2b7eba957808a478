// SPDX-License-Identifier: Apache-2.0

#if JWT
public import Logging
public import PlinthHub
import PlinthStreams
import Synchronization

/// Where a ``JWTVerifier`` has its keys from: fixed ones, or a set that is fetched again and again.
///
/// ```swift
/// let keys = try JWTKeySource { try await download("https://id.example.org/keys") }
/// keys.onKeysRemoved { /* end the streams whose grants are not current any more */ }
/// await keys.run()   // in a task of its own
/// ```
///
/// A set is fetched when ``run()`` begins, every 15 minutes, and for a token whose key it does not have; at most once
/// in 60 s whatever is asked. A fetch that fails opens nothing: the last set is used for up to 24 hours, and tokens of
/// unknown keys are refused with `keys-unavailable`.
public final class JWTKeySource: Sendable {
    /// The most tokens that wait for a fetch: 1,000; others are refused as if it had failed.
    public static let maximumWaiting = 1000

    private struct State {
        var set = KeySetState()
        /// The tokens that wait for the fetch under way, or for the one that ``run()`` was woken for.
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiting: UInt64 = 0
        /// Wakes ``run()``; nil while it does not run.
        var wake: AsyncStream<Void>.Continuation?
        var onKeysRemoved: (@Sendable () -> Void)?

        mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
            defer { waiting = [:] }
            return Array(waiting.values)
        }
    }

    private let fixed: JWTKeys?
    private let fetch: @Sendable () async throws -> [UInt8]
    private let algorithm: JWTKeys.Algorithm
    private let logger: Logger
    private let now: @Sendable () -> MonotonicTime
    private let state = Mutex(State())
    private let changes = Atomic(0)

    /// Fixed keys; ``run()`` has nothing to do for them.
    ///
    /// - Parameter keys: The keys.
    public init(_ keys: JWTKeys) {
        fixed = keys
        fetch = { [] }
        algorithm = .rs256
        logger = Logger(label: "plinth.jwt")
        now = MonotonicTime.now
    }

    /// A key set that is fetched.
    ///
    /// - Parameters:
    ///   - algorithm: The algorithm of RSA keys without `alg`. Default: RS256.
    ///   - logger: Receives failures and skipped keys. Default: a logger named `plinth.jwt`.
    ///   - fetch: Fetches the set's JSON, at most ``JWTKeys/maximumSetLength`` bytes. It has to end by itself, as after
    ///     a timeout: tokens wait for it.
    /// - Throws: ``JWTConfigurationError`` if the algorithm is none of RSA.
    public convenience init(
        algorithm: JWTKeys.Algorithm = .rs256,
        logger: Logger = Logger(label: "plinth.jwt"),
        fetch: @escaping @Sendable () async throws -> [UInt8]
    ) throws(JWTConfigurationError) {
        try self.init(algorithm: algorithm, logger: logger, now: MonotonicTime.now, fetch: fetch)
    }

    init(
        algorithm: JWTKeys.Algorithm,
        logger: Logger,
        now: @escaping @Sendable () -> MonotonicTime,
        fetch: @escaping @Sendable () async throws -> [UInt8]
    ) throws(JWTConfigurationError) {
        try JWTKeys.checkSetAlgorithm(algorithm)
        fixed = nil
        self.fetch = fetch
        self.algorithm = algorithm
        self.logger = logger
        self.now = now
    }

    // MARK: - Keys

    /// Whether keys are chosen by `kid`.
    var isSet: Bool { fixed?.isSet ?? true }

    /// A number that grows with each change of the keys.
    var generation: Int { changes.load(ordering: .acquiring) }

    /// The current keys, nil if there are none now; and what to do about a token whose key they do not have.
    ///
    /// Both are of one moment: a fetch that ends between would refuse a token by a set that was just replaced.
    var current: (keys: JWTKeys?, missing: KeySetState.Missing) {
        if let fixed { return (fixed, .refuse) }
        return state.withLock { state in
            let missing = state.set.missing(at: now())
            return (state.set.keys, missing == .wait && state.wake == nil ? .unavailable : missing)
        }
    }

    /// Whether the key that verified a grant's token is still there.
    ///
    /// Ask it for each open stream in ``onKeysRemoved(_:)``, and once more for a stream that has just been opened,
    /// since its key may have gone meanwhile.
    ///
    /// - Parameter grant: The grant.
    /// - Returns: Whether it is; true for a grant whose `attachment` is no ``JWTKeyReference``.
    public func isCurrent(_ grant: HubGrant) -> Bool {
        guard let reference = grant.attachment as? JWTKeyReference else { return true }
        return current.keys?.keys.contains { $0.reference == reference } ?? false
    }

    /// Sets what is called when a key is gone, replacing what was set before.
    ///
    /// It is called on the task of ``run()``, after verifiers have forgotten the tokens that they had verified.
    ///
    /// - Parameter handler: Ends the streams whose grants are not current any more: see ``isCurrent(_:)``.
    public func onKeysRemoved(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.onKeysRemoved = handler }
    }

    /// Waits for the fetch that is under way, or for a new one.
    ///
    /// - Throws: `CancellationError`.
    func refresh() async throws {
        let id = state.withLock { state in
            state.nextWaiting &+= 1
            return state.nextWaiting
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isWaiting = state.withLock { state in
                    // A cancellation that came first found nothing to resume.
                    guard let wake = state.wake, state.waiting.count < Self.maximumWaiting, !Task.isCancelled,
                        state.set.missing(at: now()) == .wait
                    else { return false }
                    state.set.want()
                    state.waiting[id] = continuation
                    wake.yield()
                    return true
                }
                if !isWaiting { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }

    // MARK: - Fetching

    /// Fetches the set until the task is cancelled; returns at once for fixed keys.
    ///
    /// Without it no set is fetched, and tokens are refused as `keys-unavailable`. One call at a time.
    public func run() async {
        await run { wake in
            // Far below all of the state machine's times, which decides whether a fetch is due.
            while (try? await Task.sleep(for: .seconds(5))) != nil { wake() }
        }
    }

    /// Runs with a clock, which wakes it now and then.
    func run(clock: @escaping @Sendable (_ wake: @escaping @Sendable () -> Void) async -> Void) async {
        guard fixed == nil else { return }
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let isFirst = state.withLock { state in
            guard state.wake == nil else { return false }
            state.wake = wake
            return true
        }
        precondition(isFirst, "a key source's run() was called while it ran")
        wake.yield()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await clock { wake.yield() } }
            for await _ in wakes { await fetchIfDue() }
            group.cancelAll()
        }
        let waiting = state.withLock { state in
            state.wake = nil
            return state.takeWaiting()
        }
        for continuation in waiting { continuation.resume() }
    }

    private func fetchIfDue() async {
        guard state.withLock({ $0.set.begin(at: now()) }) else { return change { $0.expire(at: now()) } }
        var keys: JWTKeys?
        do {
            keys = try JWTKeys.fetchedSet(try await fetch(), algorithm, logger)
        } catch  where Task.isCancelled {
            // The server stops.
        } catch {
            let reason = TerminalText.visible("\(error)", upTo: 500)
            logger.warning("cannot fetch the key set", metadata: ["error": "\(reason)"])
        }
        change { $0.finish(keys, at: now()) }
        for continuation in state.withLock({ $0.takeWaiting() }) { continuation.resume() }
    }

    /// Changes the set, and notifies outside the lock.
    private func change(_ body: (inout KeySetState) -> KeySetState.Change) {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            let change = body(&state.set)
            if change.hasChanged { changes.wrappingAdd(1, ordering: .releasing) }
            return change.hasRemoved ? state.onKeysRemoved : nil
        }
        handler?()
    }
}
#endif
