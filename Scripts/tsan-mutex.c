/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Annotates the slow paths of Swift's Mutex for ThreadSanitizer.
 *
 * The fast paths are inlined into instrumented callers. Under contention the standard library locks through the kernel
 * (FUTEX_LOCK_PI); that code is not instrumented, so accesses that the Mutex guards would look like races. These
 * functions interpose the library's: locking acquires, unlocking releases. sanitize.sh links them into the tests.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

#define CONTEXT __attribute__((swift_context))
#define SWIFT __attribute__((swiftcall))

/* Synchronization._MutexHandle: _lockSlow(UInt32), _unlockSlow(). */
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef SWIFT void (*lock_function)(uint32_t, CONTEXT void *);
typedef SWIFT void (*unlock_function)(CONTEXT void *);

SWIFT void tsan_mutex_lock(uint32_t thread, CONTEXT void *handle) __asm__(LOCK);
SWIFT void tsan_mutex_unlock(CONTEXT void *handle) __asm__(UNLOCK);

SWIFT void tsan_mutex_lock(uint32_t thread, CONTEXT void *handle)
{
    ((lock_function)dlsym(RTLD_NEXT, LOCK))(thread, handle);
    __tsan_acquire(handle);
}

SWIFT void tsan_mutex_unlock(CONTEXT void *handle)
{
    __tsan_release(handle);
    ((unlock_function)dlsym(RTLD_NEXT, UNLOCK))(handle);
}
