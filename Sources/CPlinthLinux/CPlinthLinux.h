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
#endif

#endif
