// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import CPlinthLinux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The kernel's list of descriptors to watch, and a descriptor that wakes whoever waits for it.
///
/// All are watched edge-triggered and are added once: what is ready is told once, and nothing is changed later for a socket
/// that fills up or has room again.
struct Poller: ~Copyable {
    /// What the kernel says of a descriptor (`sys/epoll.h`, whose constants the C libraries declare in different ways).
    struct Readiness: OptionSet {
        let rawValue: UInt32

        static let input = Readiness(rawValue: 0x1)
        static let output = Readiness(rawValue: 0x4)
        static let error = Readiness(rawValue: 0x8)
        static let hangUp = Readiness(rawValue: 0x10)
        static let inputEnd = Readiness(rawValue: 0x2000)
        static let edgeTriggered = Readiness(rawValue: 1 << 31)
    }

    /// The tag of the wake-up.
    static let wakeTag = UInt64.max

    private static let add: CInt = 1
    private static let modify: CInt = 3

    private let epoll: CInt
    private let wakeUp: CInt

    /// Takes over two descriptors, and closes them in the end.
    private init(epoll: CInt, wakeUp: CInt) {
        self.epoll = epoll
        self.wakeUp = wakeUp
    }

    static func open() throws(ReactorError) -> Poller {
        let epoll = epoll_create1(O_CLOEXEC)
        guard epoll >= 0 else { throw ReactorError(code: .descriptor, errorNumber: errno) }
        let wakeUp = eventfd(0, O_CLOEXEC | O_NONBLOCK)
        guard wakeUp >= 0 else {
            let error = ReactorError(code: .descriptor, errorNumber: errno)
            closeDescriptor(epoll)
            throw error
        }
        let poller = Poller(epoll: epoll, wakeUp: wakeUp)
        let error = poller.watch(wakeUp, [.input, .edgeTriggered], tag: wakeTag, add)
        guard error == 0 else { throw ReactorError(code: .descriptor, errorNumber: error) }
        return poller
    }

    deinit {
        closeDescriptor(wakeUp)
        closeDescriptor(epoll)
    }

    /// Watches a socket.
    ///
    /// - Returns: 0, or the number of the error.
    func add(_ descriptor: CInt, tag: UInt64) -> CInt {
        watch(descriptor, [.input, .inputEnd, .output, .edgeTriggered], tag: tag, Self.add)
    }

    /// Gives a socket that is watched another tag; what it is ready for is told again.
    func retag(_ descriptor: CInt, tag: UInt64) -> CInt {
        watch(descriptor, [.input, .inputEnd, .edgeTriggered], tag: tag, Self.modify)
    }

    private func watch(_ descriptor: CInt, _ readiness: Readiness, tag: UInt64, _ operation: CInt) -> CInt {
        var event = unsafe epoll_event()
        unsafe event.events = readiness.rawValue
        unsafe event.data.u64 = tag
        // The kernel copies the event.
        return unsafe epoll_ctl(epoll, operation, descriptor, &event) == 0 ? 0 : errno
    }

    /// Makes ``wait(_:timeout:)`` return, now or when it is called next.
    func wake() {
        // Watched edge-triggered, the counter need not be read. It would take centuries to fill it, and then it wakes all
        // the same.
        _ = eventfd_write(wakeUp, 1)
    }

    /// Waits until something is ready.
    ///
    /// - Parameters:
    ///   - events: Where to put what is ready.
    ///   - timeout: In milliseconds; negative for no limit.
    /// - Returns: How many there are; none after the time, or after a signal.
    func wait(_ events: UnsafeMutableBufferPointer<epoll_event>, timeout: CInt) -> Int {
        // The kernel writes no more than the buffer's count.
        unsafe max(0, Int(epoll_wait(epoll, events.baseAddress, CInt(clamping: events.count), timeout)))
    }
}

/// Closes a descriptor.
///
/// Never twice, not even after an error: on Linux it is closed then, and its number may already be somebody else's.
func closeDescriptor(_ descriptor: CInt) { _ = close(descriptor) }

#endif
