// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
public import Logging
import NIOCore
public import PlinthHub
#if os(Linux)
import PlinthReactor
#endif
public import ServiceLifecycle
import Synchronization

/// Serves the streams of a hub over HTTP: on sockets of its own, or on the event loops of a connector.
///
/// Run it beside the connector whose routes lead here, so that a shutdown ends its streams properly:
///
/// ```swift
/// let hub = HubService(try await Hub())
/// let connector = try Connector(Chain(.default, HubEndpoints(hub).routes()))
/// try await connector.runService(alongside: [hub])
/// ```
public final class HubService: Service {
    /// How streams are served, and how many.
    public struct Configuration: Sendable {
        /// Who holds a subscriber's connection.
        public enum Transport: Sendable, Hashable {
            /// A reactor where there is one and the connection allows it, otherwise an event loop.
            case automatic
            /// Always the event loop that accepted the connection.
            case eventLoops
        }

        /// Who holds a subscriber's connection.
        ///
        /// A reactor unless set: plaintext HTTP/1 on Linux moves to a thread that holds nothing but sockets; all else
        /// stays on its event loop.
        public var transport: Transport
        /// How many reactors there are, each a thread.
        ///
        /// One for every two processors unless set.
        public var reactors: Int
        /// How many streams this service may have open.
        ///
        /// What the process's limit of descriptors allows, less some for all else, unless set.
        public var maximumStreams: Int
        /// How long a shutdown waits for streams to end.
        ///
        /// 10 s unless set.
        public var shutdownTimeout: Duration

        /// A configuration.
        ///
        /// - Parameters:
        ///   - transport: Who holds a subscriber's connection.
        ///   - reactors: How many reactors there are, at least 1; one for every two processors if nil.
        ///   - maximumStreams: How many streams may be open; as many as there are descriptors for if nil.
        ///   - shutdownTimeout: How long a shutdown waits for streams to end.
        public init(
            transport: Transport = .automatic,
            reactors: Int? = nil,
            maximumStreams: Int? = nil,
            shutdownTimeout: Duration = .seconds(10)
        ) {
            self.transport = transport
            self.reactors = max(1, reactors ?? System.coreCount / 2)
            self.maximumStreams = max(0, maximumStreams ?? DescriptorLimit.streams)
            self.shutdownTimeout = shutdownTimeout
        }
    }

    private struct Groups {
        var loops: [ObjectIdentifier: HubLoopGroup] = [:]
        #if os(Linux)
        var reactors: [Reactor]?
        #endif
        var next = 0
        var isDraining = false
        var lastComplaint = MonotonicTime(nanoseconds: .min)
    }

    /// The hub.
    public let hub: Hub
    /// The configuration that it was made with.
    public let configuration: Configuration
    /// Room for streams.
    let limit: StreamLimit
    private let logger: Logger
    private let groups = Mutex(Groups())

    /// A service for a hub.
    ///
    /// - Parameters:
    ///   - hub: The hub; it may have other subscribers, in this process or in other services.
    ///   - configuration: How streams are served, and how many.
    ///   - logger: Where log lines go; one labelled `plinth.hub` unless given.
    public init(
        _ hub: Hub,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "plinth.hub")
    ) {
        self.hub = hub
        self.configuration = configuration
        self.logger = logger
        limit = StreamLimit(maximum: configuration.maximumStreams)
    }

    deinit {
        let (loops, reactors) = takeGroups()
        for group in loops { hub.remove(group: group) }
        #if os(Linux)
        for reactor in reactors {
            hub.remove(group: reactor)
            reactor.stop()
        }
        #endif
    }

    /// Runs until a graceful shutdown, which ends every stream, or until its task is cancelled, which closes them.
    ///
    /// - Throws: Nothing; it is there for `Service`.
    public func run() async throws {
        logger.info(
            "the hub serves streams",
            metadata: ["limit": "\(configuration.maximumStreams)", "descriptors": "\(DescriptorLimit.current)"]
        )
        // Not a child task, which would be waited for: a history that does not answer must not hold up a shutdown.
        let housekeeping = Task { await self.keepHouse() }
        try? await gracefulShutdown()
        housekeeping.cancel()
        await drain()
    }

    /// Ends streams properly; their clients may come back.
    ///
    /// - Parameter isMeant: Which, by what they get. Called for each stream, on the threads that serve them.
    public func endStreams(where isMeant: @escaping @Sendable (Selection) -> Bool) {
        let groups = self.groups.withLock { $0 }
        for group in groups.loops.values { group.end(where: isMeant, .ended) }
        #if os(Linux)
        for reactor in groups.reactors ?? [] { reactor.end(where: isMeant, reason: .ended) }
        #endif
    }

    /// Old events leave history, and what was done is counted, also while nothing is published.
    private func keepHouse() async {
        while !Task.isCancelled {
            // The wall clock is what this is about: events age by it. Cancelled, it ends at once.
            try? await Task.sleep(for: .seconds(1))
            await hub.history.expire()
            report()
        }
    }

    private func report() {
        let groups = self.groups.withLock { $0 }
        for group in groups.loops.values { hub.add(group.takeTally(), .eventLoop) }
        #if os(Linux)
        for reactor in groups.reactors ?? [] { hub.add(reactor.takeTally(), .reactor) }
        #endif
    }

    /// Ends every stream, and waits for that.
    private func drain() async {
        let groups = self.groups.withLock { groups in
            groups.isDraining = true
            return groups
        }
        for group in groups.loops.values { group.drain() }
        #if os(Linux)
        let reactors = groups.reactors ?? []
        for reactor in reactors { reactor.drain() }
        let timeout = configuration.shutdownTimeout
        // Whichever is over first; the other ends when it is cancelled.
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for reactor in reactors { await reactor.waitUntilEmpty() } }
            group.addTask { try? await Task.sleep(for: timeout) }
            await group.next()
            group.cancelAll()
        }
        for reactor in reactors { reactor.stop() }
        // Their owners are told of those that were closed.
        for reactor in reactors { await reactor.waitUntilEmpty() }
        #endif
        report()
    }

    // MARK: - For connections

    /// Whether sockets are handed to a reactor.
    var usesReactor: Bool {
        #if os(Linux)
        configuration.transport == .automatic
        #else
        false
        #endif
    }

    /// Whether a shutdown has begun to end the streams.
    var isDraining: Bool { groups.withLock { $0.isDraining } }

    /// Takes a socket whose head has been written.
    ///
    /// - Returns: Whether it has; if not, the stream stays where it is.
    func handOff(_ descriptor: CInt, _ request: HubStreamBody.Request) -> Bool {
        #if os(Linux)
        switch nextReactor() {
        case .reactor(let reactor):
            reactor.handOff(descriptor, streamRequest(request, .reactor))
            return true
        case .draining:
            close(descriptor)
            refused(request, .serverDraining)
            return true
        case .none:
            close(descriptor)
            return false
        }
        #else
        close(descriptor)
        return false
        #endif
    }

    /// A stream that has its connection.
    func streamRequest(_ request: HubStreamBody.Request, _ transport: HubStream.Transport) -> StreamRequest {
        let hub = self.hub
        let stream = hub.began(request.selection, request.start, transport, attachment: request.attachment)
        let permit = request.permit
        return StreamRequest(
            selection: request.selection,
            start: request.located,
            form: request.form,
            onEnd: { end in
                permit.release()
                hub.ended(stream, end)
            }
        )
    }

    /// A stream whose connection was gone before it began.
    func refused(_ request: HubStreamBody.Request, _ end: StreamEnd) {
        let stream = hub.began(request.selection, request.start, .eventLoop, attachment: request.attachment)
        request.permit.release()
        hub.ended(stream, end)
    }

    /// There is no descriptor for a hand-off: the stream stays where it is.
    func lacksDescriptors() {
        let now = MonotonicTime.now()
        let complains = groups.withLock { groups in
            guard
                groups.lastComplaint.nanoseconds == .min
                    || now.nanoseconds - groups.lastComplaint.nanoseconds > 10_000_000_000
            else { return false }
            groups.lastComplaint = now
            return true
        }
        guard complains else { return }
        logger.warning(
            "no descriptor is left to hand a stream to the reactor; raise the limit, or allow fewer streams",
            metadata: ["limit": "\(DescriptorLimit.current)", "streams": "\(hub.subscriberCount)"]
        )
    }

    /// The subscribers of an event loop.
    func group(of loop: LoopContext) -> HubLoopGroup {
        groups.withLock { groups in
            if let group = groups.loops[ObjectIdentifier(loop)] { return group }
            let group = hub.add { HubLoopGroup(hub: hub, loop: loop, head: $0) }
            groups.loops[ObjectIdentifier(loop)] = group
            return group
        }
    }

    #if os(Linux)
    private enum Next {
        case reactor(Reactor)
        case draining
        case none
    }

    private func nextReactor() -> Next {
        groups.withLock { groups in
            if groups.isDraining { return .draining }
            let reactors = groups.reactors ?? makeReactors()
            // Without any, for want of descriptors perhaps, the next stream asks again.
            guard !reactors.isEmpty else { return .none }
            groups.reactors = reactors
            groups.next = (groups.next + 1) % reactors.count
            return .reactor(reactors[groups.next])
        }
    }

    private func makeReactors() -> [Reactor] {
        (0..<configuration.reactors).compactMap { _ in
            do {
                let reactor = try hub.add { head in
                    try Reactor(history: hub.history, options: hub.options, head: head, logger: logger)
                }
                do {
                    try reactor.start()
                } catch {
                    hub.remove(group: reactor)
                    throw error
                }
                return reactor
            } catch {
                logger.debug("a reactor cannot be started", metadata: ["error": "\(error)"])
                return nil
            }
        }
    }

    private func takeGroups() -> (loops: [HubLoopGroup], reactors: [Reactor]) {
        groups.withLock { groups in
            defer { groups = Groups() }
            return (Array(groups.loops.values), groups.reactors ?? [])
        }
    }
    #else
    private func takeGroups() -> (loops: [HubLoopGroup], reactors: Void) {
        groups.withLock { groups in
            defer { groups = Groups() }
            return (Array(groups.loops.values), ())
        }
    }
    #endif
}

#endif
