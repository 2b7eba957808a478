/* SPDX-License-Identifier: Apache-2.0 */

/* What Swift's modules of the C library leave out. */

#ifndef CPLINTHLINUX_H
#define CPLINTHLINUX_H

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* `prctl` takes whatever it is given, which Swift does not import. At most 15 bytes count. */
static inline void plinth_name_thread(const char *name)
{
    prctl(PR_SET_NAME, name);
}

/* Fetches four lines of the processor's cache, and does not wait for them. The address is not read from: any will do. */
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
