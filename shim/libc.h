/* The real libc functions behind the names that the shim takes over, and how to export a name.
 *
 * Each member starts as a stub that resolves them all on the first call, so a call is right at any
 * time, also before any constructor has run, and costs nothing later. Inside the shim (and the parts
 * of stack/ that are linked into it) a plain `close(fd)` already means the real one: the linker wraps
 * every listed name (CMakeLists.txt), so only the deep hooks and the exported functions write
 * `libc.close(fd)` themselves. */
// SPDX-License-Identifier: MIT
#pragma once
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include "shim/calls.h"

struct libc {
#define X(ret, name, params) ret(*name) params;
	LIBC_CALLS(X)
#undef X
};
extern struct libc libc;

/* Looks all of them up now; harmless to repeat. Uses no malloc. */
void libc_resolve(void);

#define EXPORT __attribute__((visibility("default")))
/* A second exported name of a function defined above in the same file. */
#define EXPORT_ALIAS(other, name) \
	extern __typeof(name) other __attribute__((copy(name), alias(#name), visibility("default")))

/* The exported function itself, for the few places of the shim that want the program's view. */
#define LIBC_OURS(name) __real_##name
extern __typeof(read) LIBC_OURS(read);
extern __typeof(write) LIBC_OURS(write);
extern __typeof(close) LIBC_OURS(close);

/* The edge: 0 or a count, or -errno, becomes what libc returns. */
static inline ssize_t to_errno(ssize_t r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}
