/* The program under test: carries out the calls that the runner names, in the one thread that it
 * has, and knows nothing of what serves its sockets. Streams carry call_byte() of their position,
 * which is checked here on arrival. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/pkt/drill/call.h"

enum { BUF = 4 << 20 };

/* By the script's number. */
static struct fd {
	int real;	      /* + 1, 0: none */
	uint64_t rx, tx;      /* stream positions */
	int dgram, unchecked; /* urgent data takes bytes out of the stream */
} fds[CALL_FDS];
static uint8_t *buf;

static int real_of(int fd)
{
	return fd >= 0 && fd < CALL_FDS ? fds[fd].real - 1 : -1;
}

static void take_fd(const struct call_req *q, int real, int dgram)
{
	if (real >= 0 && q->want_fd >= 0 && q->want_fd < CALL_FDS)
		fds[q->want_fd] = (struct fd){.real = real + 1, .dgram = dgram};
}

/* The scripts speak of IPv4; with this they mean the same by IPv6: fd88::10.88.0.1. */
static bool six;

struct addr {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static struct addr addr_of(const struct call_req *q)
{
	struct addr a = {.len = six ? sizeof(a.in6) : sizeof(a.in)};
	uint32_t v4 = htonl(q->addr);

	if (six) {
		a.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(q->port)};
		if (q->addr) {
			a.in6.sin6_addr.s6_addr[0] = 0xfd;
			a.in6.sin6_addr.s6_addr[1] = 0x88;
			memcpy(a.in6.sin6_addr.s6_addr + 12, &v4, sizeof(v4));
		}
	} else {
		a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(q->port),
					    .sin_addr = {v4}};
	}
	if (q->unspec)
		a.any.sa_family = AF_UNSPEC;
	return a;
}

/* Options of IPv4 and those of IPv6 that do the same. */
static void option_of(const struct call_req *q, int *level, int *name)
{
	static const struct { int four, six; } same[] = {
		{IP_TTL, IPV6_UNICAST_HOPS}, {IP_TOS, IPV6_TCLASS}, {IP_MINTTL, IPV6_MINHOPCOUNT},
		{IP_MTU_DISCOVER, IPV6_MTU_DISCOVER}, {IP_RECVERR, IPV6_RECVERR}, {IP_MTU, IPV6_MTU},
	};

	*level = (int)q->a[0];
	*name = (int)q->a[1];
	for (size_t i = 0; six && *level == IPPROTO_IP && i < sizeof(same) / sizeof(same[0]); i++) {
		if (same[i].four != *name)
			continue;
		*level = IPPROTO_IPV6;
		*name = same[i].six;
	}
}

/* ---- bytes ---- */
static size_t room_of(const struct call_req *q)
{
	return q->a[0] < 0 || q->a[0] > BUF ? BUF : (size_t)q->a[0];
}

static int64_t send_bytes(const struct call_req *q, struct fd *f)
{
	struct addr a = addr_of(q);
	size_t n = room_of(q);
	int64_t r;

	for (size_t i = 0; i < n; i++)
		buf[i] = call_byte((f->dgram ? 0 : f->tx) + i);
	if (q->op == CALL_write)
		r = write(real_of(q->fd), buf, n);
	else if (q->op == CALL_sendto)
		r = sendto(real_of(q->fd), buf, n, (int)q->a[1], &a.any, a.len);
	else
		r = send(real_of(q->fd), buf, n, (int)q->a[1]);
	if (r > 0)
		f->tx += (uint64_t)r;
	return r;
}

static int64_t recv_bytes(const struct call_req *q, struct fd *f, struct call_rep *rep)
{
	size_t n = room_of(q);
	int flags = q->op == CALL_read ? 0 : (int)q->a[1];
	int64_t r;

	memset(buf, 0xee, n);
	if (q->op == CALL_read)
		r = read(real_of(q->fd), buf, n);
	else if (q->op == CALL_recv)
		r = recv(real_of(q->fd), buf, n, flags);
	else
		r = recvfrom(real_of(q->fd), buf, n, flags, NULL, NULL);
	if (flags & MSG_OOB)
		f->unchecked = 1;
	if (r <= 0 || f->unchecked || (flags & MSG_ERRQUEUE))
		return r;
	int64_t have = r > (int64_t)n ? (int64_t)n : r;
	for (int64_t i = 0; i < have && !((flags & MSG_TRUNC) && !f->dgram); i++) {
		if (buf[i] != call_byte((f->dgram ? 0 : f->rx) + (uint64_t)i)) {
			snprintf(rep->note, sizeof(rep->note),
				 "byte %lld of %lld is not what was sent", (long long)i,
				 (long long)r);
			break;
		}
	}
	if (!(flags & MSG_PEEK))
		f->rx += (uint64_t)r;
	return r;
}

/* ---- the others ---- */
static int64_t do_poll(const struct call_req *q, struct call_rep *rep)
{
	struct pollfd p[8] = {0};
	struct call_poll item[8];
	size_t n = q->len / sizeof(item[0]);

	memcpy(item, q->data, q->len);
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){.fd = real_of(item[i].fd), .events = (short)item[i].events};
	int r = poll(p, n, (int)q->a[1]);
	for (size_t i = 0; i < n; i++)
		item[i].revents = p[i].revents;
	memcpy(rep->data, item, q->len);
	rep->len = q->len;
	return r;
}

static int64_t do_getsockopt(const struct call_req *q, struct call_rep *rep)
{
	socklen_t len = sizeof(rep->data);
	int level, name;

	option_of(q, &level, &name);
	int r = getsockopt(real_of(q->fd), level, name, rep->data, &len);

	rep->len = r == 0 ? len : 0;
	return r;
}

static int64_t do_accept(const struct call_req *q)
{
	int r = q->op == CALL_accept ? accept(real_of(q->fd), NULL, NULL)
				     : accept4(real_of(q->fd), NULL, NULL, (int)q->a[0]);

	take_fd(q, r, 0);
	return r < 0 ? r : q->want_fd;
}

static int64_t do_socket(const struct call_req *q)
{
	int family = six && q->a[0] == AF_INET ? AF_INET6 : (int)q->a[0];
	int r = socket(family, (int)q->a[1], (int)q->a[2]);

	const char *cc = getenv("DRILL_CONGESTION");

	if (cc && r >= 0) /* of datagram sockets refused */
		setsockopt(r, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc));
	take_fd(q, r, ((int)q->a[1] & 15) == SOCK_DGRAM);
	return r < 0 ? r : q->want_fd;
}

static int64_t do_close(const struct call_req *q)
{
	int r = close(real_of(q->fd));

	if (q->fd >= 0 && q->fd < CALL_FDS)
		fds[q->fd].real = 0;
	return r;
}

static int64_t do_ioctl(const struct call_req *q, struct call_rep *rep)
{
	int v = 0, r = ioctl(real_of(q->fd), (unsigned long)q->a[0], &v);

	memcpy(rep->data, &v, rep->len = sizeof(v));
	return r;
}

static int64_t carry_out(const struct call_req *q, struct call_rep *rep)
{
	struct addr a = addr_of(q);
	struct fd none = {0}, *f = q->fd >= 0 && q->fd < CALL_FDS ? &fds[q->fd] : &none;
	int fd = real_of(q->fd), level, name;
	socklen_t len;

	switch ((enum call_op)q->op) {
	case CALL_socket:
		return do_socket(q);
	case CALL_bind:
		return bind(fd, &a.any, a.len);
	case CALL_listen:
		return listen(fd, (int)q->a[0]);
	case CALL_connect:
		return connect(fd, &a.any, a.len);
	case CALL_accept:
	case CALL_accept4:
		return do_accept(q);
	case CALL_read:
	case CALL_recv:
	case CALL_recvfrom:
		return recv_bytes(q, f, rep);
	case CALL_write:
	case CALL_send:
	case CALL_sendto:
		return send_bytes(q, f);
	case CALL_close:
		return do_close(q);
	case CALL_shutdown:
		return shutdown(fd, (int)q->a[0]);
	case CALL_setsockopt:
		option_of(q, &level, &name);
		return setsockopt(fd, level, name, q->data, q->len);
	case CALL_getsockopt:
		return do_getsockopt(q, rep);
	case CALL_fcntl:
		return fcntl(fd, (int)q->a[0], q->a[1]);
	case CALL_ioctl:
		return do_ioctl(q, rep);
	case CALL_poll:
		return do_poll(q, rep);
	case CALL_tcp_info:
		len = sizeof(rep->data);
		int r = getsockopt(fd, IPPROTO_TCP, TCP_INFO, rep->data, &len);
		rep->len = len;
		return r;
	default:
		errno = ENOSYS;
		return -1;
	}
}

int main(int argc, char **argv)
{
	struct call_req q;
	struct call_rep rep = {.ret = 0};
	int chan = argc > 1 ? atoi(argv[1]) : -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	six = getenv("DRILL_SIX") != NULL;
	signal(SIGPIPE, SIG_IGN);
	buf = malloc(BUF);
	if (!buf || write(chan, &rep, sizeof(rep)) != sizeof(rep)) /* here we are */
		return EXIT_FAILURE;
	while (read(chan, &q, sizeof(q)) == sizeof(q)) {
		rep = (struct call_rep){0};
		errno = 0;
		rep.ret = carry_out(&q, &rep);
		rep.err = rep.ret < 0 ? errno : 0;
		if (write(chan, &rep, sizeof(rep)) != sizeof(rep))
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
