/* SPDX-License-Identifier: Apache-2.0
 *
 * Lets Valgrind 3.19 run a program that uses libdispatch: Valgrind removes signals from the mask given to rt_sigsuspend
 * in place, and libdispatch's is in read-only memory. This gives it a copy.
 *
 *   cc -O2 -shared -fPIC -o sigsuspend.so sigsuspend.c
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask)
{
    sigset_t copy = *mask;
    return (int)syscall(SYS_rt_sigsuspend, &copy, 8);
}
