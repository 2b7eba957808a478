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

    /// Begins a thread, which nobody waits for.
    ///
    /// - Parameter run: What it does; then it ends.
    /// - Throws: ``ReactorError`` if the system has no thread.
    static func start(_ run: @escaping @Sendable () -> Void) throws(ReactorError) {
        // Kept by the thread, which releases it; or here, if there is none.
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
                // Signals are for the threads that wait for them, except those that this one would have caused.
                var signals = sigset_t()
                unsafe sigfillset(&signals)
                for own in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { unsafe sigdelset(&signals, own) }
                unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
                unsafe plinth_name_thread("plinth-reactor")
                guard let argument = unsafe argument else { return nil }
                // What `start` retained for this thread alone.
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
