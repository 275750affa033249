/* Exported: the socket calls that do not move bytes. Argument plumbing only. */
// SPDX-License-Identifier: MIT
#include <sys/stat.h>
#include "shim/dgram.h"
#include "shim/ifaddr.h"
#include "shim/libc.h"
#include "shim/resolve.h"
#include "shim/sock.h"
#include "shim/sock_urgent.h"

/* A socket of ours does OURS and answers; a foreign one, or one that has meanwhile gone to the kernel,
 * does REAL. */
#define SOCK_CALL(ours, real) SOCK_CALL_AFTER(sock_enter, ours, real)
#define SOCK_CALL_AFTER(enter, ours, real) \
	struct sock *s = enter(&fd); \
	int r; \
\
	if (likely(!s)) \
		return real; \
	r = ours; \
	sock_put(s); \
	return r == SOCK_TO_KERNEL ? real : (int)to_errno(r)

/* The function of the kind of socket that s is. */
#define OURS(name, ...) (unlikely(sock_is_dgram(s)) ? dgram_##name(s, fd, __VA_ARGS__) : \
						       sock_##name(s, __VA_ARGS__))
/* What only streams do. */
#define IF_STREAM(call) (unlikely(sock_is_dgram(s)) ? SOCK_TO_KERNEL : (call))

EXPORT int socket(int domain, int type, int protocol)
{
	int r = sock_open(domain, type, protocol);

	if (r != SOCK_TO_KERNEL)
		return (int)to_errno(r);
	r = libc.socket(domain, type, protocol);
	return r < 0 ? r : fdtab_fresh(r);
}
EXPORT_ALIAS(__socket, socket);

EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	SOCK_CALL(OURS(bind, addr, len), libc.bind(fd, addr, len));
}

EXPORT int listen(int fd, int backlog)
{
	SOCK_CALL(IF_STREAM(sock_listen(s, backlog)), libc.listen(fd, backlog));
}

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sock *s = sock_enter_point(&fd);
	int r = SOCK_TO_KERNEL;

	if (s) {
		r = IF_STREAM(sock_accept(s, fd, addr, len, 0));
		sock_put(s);
	}
	if (r == SOCK_TO_KERNEL) {
		r = libc.accept(fd, addr, len);
		return r < 0 ? r : fdtab_fresh(r);
	}
	return (int)to_errno(r);
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct sock *s = sock_enter_point(&fd);
	int r = SOCK_TO_KERNEL;

	if (s) {
		r = IF_STREAM(sock_accept(s, fd, addr, len, flags));
		sock_put(s);
	}
	if (r == SOCK_TO_KERNEL) {
		r = libc.accept4(fd, addr, len, flags);
		return r < 0 ? r : fdtab_fresh(r);
	}
	return (int)to_errno(r);
}

EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	SOCK_CALL_AFTER(sock_enter_point, OURS(connect, addr, len), libc.connect(fd, addr, len));
}
EXPORT_ALIAS(__connect, connect);

EXPORT int shutdown(int fd, int how)
{
	SOCK_CALL(OURS(shutdown, how), libc.shutdown(fd, how));
}

EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	SOCK_CALL(OURS(getname, addr, len), libc.getsockname(fd, addr, len));
}

EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	SOCK_CALL(OURS(getpeer, addr, len), libc.getpeername(fd, addr, len));
}

EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	SOCK_CALL(OURS(getopt, level, name, val, len), libc.getsockopt(fd, level, name, val, len));
}

EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	SOCK_CALL(OURS(setopt, level, name, val, len), libc.setsockopt(fd, level, name, val, len));
}

EXPORT int sockatmark(int fd)
{
	SOCK_CALL(IF_STREAM(sock_at_mark(s)), libc.sockatmark(fd));
}

EXPORT int isfdtype(int fd, int type)
{
	SOCK_CALL((type & S_IFMT) == S_IFSOCK, libc.isfdtype(fd, type));
}

EXPORT int getifaddrs(struct ifaddrs **list)
{
	return ifaddr_list(list);
}

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **list)
{
	return resolve_addresses(node, service, hints, list);
}
