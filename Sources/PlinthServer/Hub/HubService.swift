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
import NIOPosix
import Plinth
public import PlinthHub
#if os(Linux)
import PlinthReactor
#endif
public import ServiceLifecycle
import Synchronization

/// Serves the streams of a hub over HTTP, on its own reactors or on the event loops of a connector.
///
/// Run it alongside the connector that has its routes, so that a shutdown ends the streams gracefully:
///
/// ```swift
/// let hub = HubService(try await Hub())
/// let connector = Connector(Chain.default(try Routes(HubEndpoints(hub).routes())))
/// try await connector.runService(alongside: [hub])
/// ```
public final class HubService: Service {
    /// How streams are served, and the limit of them.
    public struct Configuration: Sendable {
        /// Which connections of subscribers are handed off to a reactor.
        public struct HandOff: Sendable, Hashable {
            let isEnabled: Bool

            /// On Linux, plaintext HTTP/1; all others stay on the event loop that accepted them.
            public static let automatic = HandOff(isEnabled: true)
            /// None.
            public static let never = HandOff(isEnabled: false)
        }

        /// Which connections are handed off to a reactor, a thread that serves only their sockets.
        ///
        /// Default: `automatic`.
        public var handOff: HandOff
        /// The number of reactors, each with its own thread.
        ///
        /// Default: one for every two processors.
        public var reactors: Int { didSet { reactors = max(1, reactors) } }
        /// The most open streams of this service.
        ///
        /// Default: the process's limit of file descriptors, less some for everything else.
        public var maximumStreams: Int { didSet { maximumStreams = max(0, maximumStreams) } }
        /// The most open streams of one client address, by ``/Plinth/Request/clientAddress``; an IPv6 address counts with
        /// all that have the same first 64 bits.
        ///
        /// Default: nil, no limit.
        public var maximumStreamsPerAddress: Int? {
            didSet { maximumStreamsPerAddress = maximumStreamsPerAddress.map { max(0, $0) } }
        }
        /// The most open streams of one subject, as an authorizer identified it.
        ///
        /// Default: nil, no limit.
        public var maximumStreamsPerSubject: Int? {
            didSet { maximumStreamsPerSubject = maximumStreamsPerSubject.map { max(0, $0) } }
        }
        /// How long a shutdown waits for streams to end.
        ///
        /// Default: 10 s.
        public var shutdownTimeout: Duration

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - handOff: Which connections are handed off to a reactor. Default: `automatic`.
        ///   - reactors: The number of reactors, at least 1. Default: nil, one for every two processors.
        ///   - maximumStreams: The most open streams. Default: nil, limited by file descriptors only.
        ///   - maximumStreamsPerAddress: The most of one client address. Default: nil, no limit.
        ///   - maximumStreamsPerSubject: The most of one subject. Default: nil, no limit.
        ///   - shutdownTimeout: How long a shutdown waits for streams to end. Default: 10 s.
        public init(
            handOff: HandOff = .automatic,
            reactors: Int? = nil,
            maximumStreams: Int? = nil,
            maximumStreamsPerAddress: Int? = nil,
            maximumStreamsPerSubject: Int? = nil,
            shutdownTimeout: Duration = .seconds(10)
        ) {
            self.handOff = handOff
            self.reactors = max(1, reactors ?? System.coreCount / 2)
            self.maximumStreams = max(0, maximumStreams ?? DescriptorLimit.streams)
            self.maximumStreamsPerAddress = maximumStreamsPerAddress.map { max(0, $0) }
            self.maximumStreamsPerSubject = maximumStreamsPerSubject.map { max(0, $0) }
            self.shutdownTimeout = shutdownTimeout
        }
    }

    private struct Groups {
        var loops: [ObjectIdentifier: HubLoopGroup] = [:]
        /// Streams of tests without a socket.
        var memory: [ObjectIdentifier: HubMemoryStream] = [:]
        #if os(Linux)
        var reactors: [Reactor]?
        #endif
        var next = 0
        var isDraining = false
        var lastComplaint = MonotonicTime(nanoseconds: .min)
    }

    /// The hub.
    public let hub: Hub
    /// The service's configuration.
    public let configuration: Configuration
    /// Counts streams up to the limit.
    let limit: OpenCounts
    private let logger: Logger
    private let groups = Mutex(Groups())
    private let drainSignal = DrainSignal()

    /// Creates a service for a hub.
    ///
    /// - Parameters:
    ///   - hub: The hub; it may have other subscribers, in this process or in other services.
    ///   - configuration: How streams are served. Default: all defaults.
    ///   - logger: Receives log messages. Default: a logger labelled `plinth.hub`.
    public init(
        _ hub: Hub,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "plinth.hub")
    ) {
        self.hub = hub
        self.configuration = configuration
        self.logger = logger
        limit = OpenCounts(
            OpenCounts.Limits(
                total: configuration.maximumStreams,
                ofAddress: configuration.maximumStreamsPerAddress,
                ofSubject: configuration.maximumStreamsPerSubject
            )
        )
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
    /// - Throws: Nothing; `Service` requires `throws`.
    public func run() async throws {
        logger.info(
            "serving the hub's streams",
            metadata: ["limit": "\(configuration.maximumStreams)", "descriptors": "\(DescriptorLimit.current)"]
        )
        // Not a child task, which would be awaited: a history that does not return must not delay a shutdown.
        let housekeeping = Task { await self.keepHouse() }
        try? await gracefulShutdown()
        housekeeping.cancel()
        await drain()
    }

    /// Ends streams gracefully; their clients may reconnect.
    ///
    /// - Parameter isMeant: Selects streams by their topics. Called for each stream, on the thread that serves it.
    public func endStreams(where isMeant: @escaping @Sendable (Selection) -> Bool) {
        endStreams { selection, _ in isMeant(selection) }
    }

    /// Ends the streams of a subject gracefully, as after its revocation; its clients may reconnect, with another grant.
    ///
    /// On return, no further event reaches them.
    ///
    /// - Parameters:
    ///   - subject: The subject's name, in every source.
    ///   - issuer: The only issuer concerned. Default: nil, all.
    public func endStreams(of subject: String, issuer: String? = nil) async {
        await haveEnded { owner in
            guard let own = owner.grant.subject, own.name.utf8.elementsEqual(subject.utf8) else { return false }
            return issuer.map { own.issuer?.utf8.elementsEqual($0.utf8) ?? false } ?? true
        }
    }

    /// Ends streams gracefully by what they were granted; those without a grant go on.
    ///
    /// - Parameter isMeant: Selects streams by their grants. Called for each stream, on the thread that serves it.
    public func endGrantedStreams(where isMeant: @escaping @Sendable (HubGrant) -> Bool) {
        endStreams(whereOwner: { isMeant($0.grant) })
    }

    /// Ends the streams of owners that satisfy a predicate.
    private func endStreams(whereOwner isMeant: @escaping @Sendable (StreamOwner) -> Bool) {
        endStreams { _, owner in owner.map(isMeant) ?? false }
    }

    /// Ends the streams of owners that satisfy a predicate; on return, no further event reaches them.
    func haveEnded(whereOwner isMeant: @escaping @Sendable (StreamOwner) -> Bool) async {
        endStreams(whereOwner: isMeant)
        let groups = self.groups.withLock { $0 }
        for group in groups.loops.values { await group.performed() }
        #if os(Linux)
        // A command is performed after those before it.
        for reactor in groups.reactors ?? [] { _ = await reactor.countBehind() }
        #endif
    }

    private func endStreams(_ isMeant: @escaping StreamPredicate) {
        let groups = self.groups.withLock { $0 }
        for group in groups.loops.values { group.end(where: isMeant, .ended) }
        for stream in groups.memory.values { stream.end(where: isMeant, .ended) }
        #if os(Linux)
        for reactor in groups.reactors ?? [] { reactor.end(where: isMeant, reason: .ended) }
        #endif
    }

    /// Expires old events and reports deliveries every second, even while nothing is published.
    private func keepHouse() async {
        while !Task.isCancelled {
            // Real time, by which events age. Cancellation ends the sleep at once.
            try? await Task.sleep(for: .seconds(1))
            await hub.keepHouse()
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

    /// Ends every stream, and waits for the ends.
    private func drain() async {
        let groups = self.groups.withLock { groups in
            groups.isDraining = true
            return groups
        }
        drainSignal.begin()
        for group in groups.loops.values { group.drain() }
        for stream in groups.memory.values { stream.drain() }
        #if os(Linux)
        let reactors = groups.reactors ?? []
        for reactor in reactors { reactor.drain() }
        let timeout = configuration.shutdownTimeout
        // Waits for the first to finish, and cancels the other.
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for reactor in reactors { await reactor.waitUntilEmpty() } }
            // The time that clients have to take what they were sent.
            group.addTask { try? await Task.sleep(for: timeout) }
            await group.next()
            group.cancelAll()
        }
        for reactor in reactors { reactor.stop() }
        // Owners of closed streams are still notified.
        for reactor in reactors { await reactor.waitUntilEmpty() }
        #endif
        report()
    }

    // MARK: - For connections

    /// Whether sockets are handed off to a reactor.
    var usesReactor: Bool {
        #if os(Linux)
        configuration.handOff.isEnabled
        #else
        false
        #endif
    }

    /// Whether a shutdown has begun to end the streams.
    var isDraining: Bool { groups.withLock { $0.isDraining } }

    /// Waits for a time, or until a shutdown begins.
    func wait(for time: Duration) async {
        let pause = hub.options.pause
        let wait = Task { _ = try? await pause(time) }
        // The connector's shutdown begins first, and waits for its requests.
        let drains = [DrainSignal.current, drainSignal].compactMap { $0 }
        let numbers = drains.map { $0.add { wait.cancel() } }
        await withTaskCancellationHandler {
            await wait.value
        } onCancel: {
            wait.cancel()
        }
        for (drain, number) in zip(drains, numbers) { drain.remove(number) }
    }

    /// Takes ownership of a socket whose head has been written.
    ///
    /// - Returns: False if there is no reactor; the stream then stays on its event loop.
    func handOff(_ descriptor: CInt, _ stream: AdmittedStream) -> Bool {
        #if os(Linux)
        switch nextReactor() {
        case .reactor(let reactor):
            reactor.handOff(descriptor, streamRequest(stream, .reactor))
            return true
        case .draining:
            close(descriptor)
            refused(stream, .serverDraining)
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

    /// Begins a stream that has its connection.
    func streamRequest(_ stream: AdmittedStream, _ transport: HubStream.Transport) -> StreamRequest {
        let hub = self.hub
        let began = began(stream, transport)
        let permit = stream.permit
        return StreamRequest(
            selection: stream.selection,
            start: stream.located,
            form: stream.form,
            owner: stream.owner,
            lifetime: stream.lifetime(),
            onEnd: { end in
                permit.release()
                hub.ended(began, end)
            }
        )
    }

    private func began(_ stream: AdmittedStream, _ transport: HubStream.Transport) -> HubStream {
        let grant = stream.owner?.grant
        return hub.began(
            stream.selection,
            stream.start,
            transport,
            subject: grant?.subject,
            attachment: grant?.attachment
        )
    }

    /// Reports a stream that ended before it could be served.
    func refused(_ stream: AdmittedStream, _ end: StreamEnd) {
        let began = began(stream, .eventLoop)
        stream.permit.release()
        hub.ended(began, end)
    }

    /// Logs, at most every 10 s, that a hand-off failed; the stream stays on its event loop.
    func couldNotHandOff() {
        // By the process's clock: any event loop may call, and the log is for people.
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
            "no descriptor is left to hand off a stream to a reactor; raise the limit, or allow fewer streams",
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

    /// A group of its own for a stream without a socket.
    func addMemoryStream(on connection: any MemoryConnection) -> HubMemoryStream {
        let stream = hub.add { HubMemoryStream(hub: hub, head: $0, connection: connection) }
        groups.withLock { $0.memory[ObjectIdentifier(stream)] = stream }
        return stream
    }

    func removeMemoryStream(_ stream: HubMemoryStream) {
        hub.remove(group: stream)
        groups.withLock { $0.memory[ObjectIdentifier(stream)] = nil }
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
            // If none could be started, perhaps for lack of descriptors, the next stream tries again.
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
                    try Reactor(
                        history: hub.history,
                        options: hub.options,
                        head: head,
                        logger: logger,
                        currentTurn: Self.currentTurn
                    )
                }
                do {
                    try reactor.start()
                } catch {
                    hub.remove(group: reactor)
                    throw error
                }
                return reactor
            } catch {
                logger.debug("cannot start a reactor", metadata: ["error": "\(error)"])
                return nil
            }
        }
    }

    /// The turn of the event loop that runs on this thread, which ends when it has handled what it has read.
    @Sendable
    private static func currentTurn() -> Turn? {
        guard let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return nil }
        return Turn(id: ObjectIdentifier(loop)) { loop.execute($0) }
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
