// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import CPlinthLinux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// An epoll instance, and an eventfd that wakes the thread waiting for it.
///
/// Descriptors are registered once, edge-triggered: a socket that fills or drains needs no further `epoll_ctl`.
struct Poller: ~Copyable {
    /// A descriptor's readiness (`sys/epoll.h`, whose constants Glibc and Musl declare differently).
    struct Readiness: OptionSet {
        let rawValue: UInt32

        static let input = Readiness(rawValue: 0x1)
        static let output = Readiness(rawValue: 0x4)
        static let error = Readiness(rawValue: 0x8)
        static let hangUp = Readiness(rawValue: 0x10)
        static let inputEnd = Readiness(rawValue: 0x2000)
        static let edgeTriggered = Readiness(rawValue: 1 << 31)
    }

    /// The eventfd's tag.
    static let wakeTag = UInt64.max

    private static let add: CInt = 1
    private static let modify: CInt = 3

    private let epoll: CInt
    private let wakeUp: CInt

    /// Takes ownership of both descriptors; `deinit` closes them.
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
    /// - Returns: 0, or the error number.
    func add(_ descriptor: CInt, tag: UInt64) -> CInt {
        watch(descriptor, [.input, .inputEnd, .output, .edgeTriggered], tag: tag, Self.add)
    }

    /// Changes a watched socket's tag, and watches its input only; its readiness is reported again.
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

    /// Makes the current or the next ``wait(_:timeout:)`` return.
    func wake() {
        // Edge-triggered, so the counter need not be read; filling it would take centuries.
        _ = eventfd_write(wakeUp, 1)
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Parameters:
    ///   - events: Receives the ready descriptors.
    ///   - timeout: In milliseconds; negative for no limit.
    /// - Returns: The number of ready descriptors; 0 after the timeout or a signal.
    func wait(_ events: UnsafeMutableBufferPointer<epoll_event>, timeout: CInt) -> Int {
        // The kernel writes no more than the buffer's count.
        unsafe max(0, Int(epoll_wait(epoll, events.baseAddress, CInt(clamping: events.count), timeout)))
    }
}

/// Closes a descriptor.
///
/// Never retried after an error: on Linux the descriptor is closed even then, and its number may have been reused.
func closeDescriptor(_ descriptor: CInt) { _ = close(descriptor) }

#endif
