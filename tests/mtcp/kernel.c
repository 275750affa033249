/* The part of mTCP's interface that epserve and epload use, on the kernel's sockets: so that the same
 * programs are the other side of a wire, and, preloaded, what the native interface is compared with. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <mtcp_api.h>
#include <mtcp_epoll.h>

struct mtcp_context {
	int cpu;
};
static struct mtcp_conf config = { .num_cores = 16, .max_concurrency = 10000 };

int mtcp_init(const char *config_file)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return 0;
}
void mtcp_destroy(void) {}
int mtcp_getconf(struct mtcp_conf *conf)
{
	*conf = config;
	return 0;
}
int mtcp_setconf(const struct mtcp_conf *conf)
{
	config = *conf;
	return 0;
}
mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler)
{
	struct sigaction sa = { .sa_handler = handler }, old;

	sigaction(signum, &sa, &old);
	return old.sa_handler;
}
int mtcp_core_affinitize(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}
mctx_t mtcp_create_context(int cpu)
{
	struct mtcp_context *m = calloc(1, sizeof(*m));

	if (m)
		m->cpu = cpu;
	return m;
}
void mtcp_destroy_context(mctx_t m) { free(m); }
int mtcp_init_rss(mctx_t m, in_addr_t base, int n, in_addr_t daddr, in_addr_t dport) { return 0; }

static int at_once(int fd)
{
	int one = 1;

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}
int mtcp_socket(mctx_t m, int domain, int type, int protocol)
{
	return at_once(socket(domain, type | SOCK_NONBLOCK, protocol));
}
int mtcp_bind(mctx_t m, int id, const struct sockaddr *addr, socklen_t len)
{
	int one = 1;

	setsockopt(id, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(id, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return bind(id, addr, len);
}
int mtcp_listen(mctx_t m, int id, int backlog) { return listen(id, backlog); }
int mtcp_accept(mctx_t m, int id, struct sockaddr *addr, socklen_t *len)
{
	return at_once(accept4(id, addr, len, SOCK_NONBLOCK));
}
int mtcp_connect(mctx_t m, int id, const struct sockaddr *addr, socklen_t len)
{
	return connect(id, addr, len);
}
int mtcp_close(mctx_t m, int id) { return close(id); }
int mtcp_setsock_nonblock(mctx_t m, int id) { return 0; }
int mtcp_getsockopt(mctx_t m, int id, int level, int name, void *val, socklen_t *len)
{
	return getsockopt(id, level, name, val, len);
}
ssize_t mtcp_read(mctx_t m, int id, char *buf, size_t len) { return recv(id, buf, len, 0); }
ssize_t mtcp_write(mctx_t m, int id, const char *buf, size_t len)
{
	return send(id, buf, len, MSG_NOSIGNAL);
}
int mtcp_epoll_create(mctx_t m, int size) { return epoll_create1(EPOLL_CLOEXEC); }
int mtcp_epoll_ctl(mctx_t m, int epid, int op, int id, struct mtcp_epoll_event *event)
{
	struct epoll_event ev = { .events = event->events, .data.u64 = event->data.u64 };

	return epoll_ctl(epid, op, id, &ev);
}
int mtcp_epoll_wait(mctx_t m, int epid, struct mtcp_epoll_event *events, int max, int timeout)
{
	_Static_assert(sizeof(struct mtcp_epoll_event) == sizeof(struct epoll_event), "one layout");
	/* Signals do not reach a thread that sleeps here: it looks now and then. */
	return epoll_wait(epid, (struct epoll_event *)events, max, timeout < 0 ? 100 : timeout);
}
