// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import CPlinthLinux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Runs a closure on a thread of its own.
enum ReactorThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Starts a detached thread.
    ///
    /// - Parameter run: The thread's body.
    /// - Throws: ``ReactorError`` if the system cannot create a thread.
    static func start(_ run: @escaping @Sendable () -> Void) throws(ReactorError) {
        // Released by the thread, or below if it cannot be created.
        let body = unsafe Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        let error = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                // Blocks all signals but synchronous faults; other threads handle the rest.
                var signals = sigset_t()
                unsafe sigfillset(&signals)
                for own in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { unsafe sigdelset(&signals, own) }
                unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
                unsafe plinth_name_thread("plinth-reactor")
                guard let argument = unsafe argument else { return nil }
                // Balances `passRetained` above.
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            body.toOpaque()
        )
        guard error == 0 else {
            unsafe body.release()
            throw ReactorError(code: .thread, errorNumber: error)
        }
    }
}

#endif
