/* The kernel's own limits for socket options, read when they are first needed. */
// SPDX-License-Identifier: MIT
#include "shim/sock_limit.h"
#include <sys/time.h>
#include "shim/libc.h"
#include "shim/sock.h"
#include "stack/base/sys.h"

/* The last number in a file of /proc/sys/net, otherwise when it can't be read. */
static int sysctl_last(const char *path, int otherwise)
{
	char buf[64];
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0), v = 0, last = otherwise;
	long n = fd < 0 ? 0 : sys_read(fd, buf, sizeof(buf));

	if (fd >= 0)
		sys_close(fd);
	for (long i = 0; i < n; i++) {
		if (buf[i] >= '0' && buf[i] <= '9')
			last = v = v * 10 + (buf[i] - '0');
		else
			v = 0;
	}
	return last;
}

static int limit_of(_Atomic int *cache, const char *path, int otherwise)
{
	int v = atomic_load_explicit(cache, memory_order_relaxed);

	if (!v) {
		v = sysctl_last(path, otherwise);
		atomic_store_explicit(cache, v, memory_order_relaxed);
	}
	return v;
}

int sock_buffer_max(int name)
{
	static _Atomic int rmem, wmem;

	return name == SO_SNDBUF ? limit_of(&wmem, "/proc/sys/net/core/wmem_max", 212992) :
				   limit_of(&rmem, "/proc/sys/net/core/rmem_max", 212992);
}

int sock_backlog_max(void)
{
	static _Atomic int max;

	return limit_of(&max, "/proc/sys/net/core/somaxconn", 4096);
}

int sock_groups_max(void)
{
	static _Atomic int max;

	return limit_of(&max, "/proc/sys/net/ipv4/igmp_max_memberships", 20);
}

int sock_sources_max(bool six)
{
	static _Atomic int max, max6;

	return six ? limit_of(&max6, "/proc/sys/net/ipv6/mld_max_msf", 64) :
		     limit_of(&max, "/proc/sys/net/ipv4/igmp_max_msf", 10);
}

int sock_lowat_max(const struct sock *s)
{
	static _Atomic int tcp_rmem;

	if (s->b->opts.rcvbuf)
		return (int)s->b->opts.rcvbuf;
	return limit_of(&tcp_rmem, "/proc/sys/net/ipv4/tcp_rmem", 6291456) / 2;
}

/* Seen in what the placeholder makes of one microsecond. */
uint32_t sock_tick_ms(struct sock *s)
{
	static _Atomic uint32_t tick;
	struct timeval tv = { .tv_usec = 1 };
	socklen_t len = sizeof(tv);
	uint32_t v = atomic_load_explicit(&tick, memory_order_relaxed);
	int fd = v ? -1 : sock_fd(s);

	if (v)
		return v;
	if (fd < 0 || libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, len) < 0 ||
	    libc.getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) < 0)
		return 1;
	v = max_u32((uint32_t)(tv.tv_usec / 1000), 1);
	tv = (struct timeval){ 0 };
	libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	atomic_store_explicit(&tick, v, memory_order_relaxed);
	return v;
}
