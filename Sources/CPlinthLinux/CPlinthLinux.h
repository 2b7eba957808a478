/* SPDX-License-Identifier: Apache-2.0 */

/* What Swift's Glibc and Musl modules lack. */

#ifndef CPLINTHLINUX_H
#define CPLINTHLINUX_H

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* `prctl` is variadic, which Swift does not import. The kernel keeps 15 bytes of the name. */
static inline void plinth_name_thread(const char *name)
{
    prctl(PR_SET_NAME, name);
}

/* Prefetches four cache lines without waiting. Prefetching cannot fault, so any address is valid. */
static inline void plinth_prefetch(const void *address)
{
    const char *line = (const char *)address;
    __builtin_prefetch(line);
    __builtin_prefetch(line + 64);
    __builtin_prefetch(line + 128);
    __builtin_prefetch(line + 192);
}
#endif

#endif
