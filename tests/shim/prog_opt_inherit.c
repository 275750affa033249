/* What an accepted connection takes over from its listener: every option that is a number, set on the
 * listener, read on the connection; and what it does not take over. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/time.h>

#define O(level, name, value) { level, name, #name, value }
static const struct {
	int level, name;
	const char *text;
	int value;
} rows[] = {
	O(SOL_SOCKET, SO_REUSEADDR, 1), O(SOL_SOCKET, SO_REUSEPORT, 1), O(SOL_SOCKET, SO_KEEPALIVE, 1),
	O(SOL_SOCKET, SO_OOBINLINE, 1), O(SOL_SOCKET, SO_DONTROUTE, 1), O(SOL_SOCKET, SO_BROADCAST, 1),
	O(SOL_SOCKET, SO_PRIORITY, 5), O(SOL_SOCKET, SO_MARK, 77), O(SOL_SOCKET, SO_RCVLOWAT, 9),
	O(SOL_SOCKET, SO_BUSY_POLL, 33), O(SOL_SOCKET, SO_RXQ_OVFL, 1), O(SOL_SOCKET, SO_NOFCS, 1),
	O(SOL_SOCKET, SO_ZEROCOPY, 1), O(SOL_SOCKET, SO_TIMESTAMP, 1), O(SOL_SOCKET, SO_TIMESTAMPNS, 1),
	O(SOL_SOCKET, SO_TIMESTAMPING, 24), O(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1),
	O(SOL_SOCKET, SO_LOCK_FILTER, 1), O(SOL_SOCKET, 11 /* NO_CHECK */, 1),
	O(SOL_SOCKET, 42 /* PEEK_OFF */, 3), O(SOL_SOCKET, 69 /* PREFER_BUSY_POLL */, 1),
	O(SOL_SOCKET, 72 /* BUF_LOCK */, 3), O(SOL_SOCKET, 74 /* TXREHASH */, 0),
	O(SOL_SOCKET, 75 /* RCVMARK */, 1), O(SOL_SOCKET, SO_DEBUG, 1),
	O(IPPROTO_IP, IP_TOS, 0x28), O(IPPROTO_IP, IP_TTL, 33), O(IPPROTO_IP, IP_RECVOPTS, 1),
	O(IPPROTO_IP, IP_RETOPTS, 1), O(IPPROTO_IP, IP_PKTINFO, 1), O(IPPROTO_IP, IP_MTU_DISCOVER, 2),
	O(IPPROTO_IP, IP_RECVERR, 1), O(IPPROTO_IP, IP_RECVTTL, 1), O(IPPROTO_IP, IP_RECVTOS, 1),
	O(IPPROTO_IP, IP_FREEBIND, 1), O(IPPROTO_IP, IP_PASSSEC, 1),
	O(IPPROTO_IP, IP_RECVORIGDSTADDR, 1), O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
	O(IPPROTO_IP, IP_MULTICAST_LOOP, 0), O(IPPROTO_IP, IP_MULTICAST_ALL, 0),
	O(IPPROTO_IP, 26 /* RECVERR_RFC4884 */, 1), O(IPPROTO_IP, 51 /* LOCAL_PORT_RANGE */, 0x9c409c3f),
	O(IPPROTO_TCP, TCP_NODELAY, 1), O(IPPROTO_TCP, TCP_CORK, 1), O(IPPROTO_TCP, TCP_KEEPIDLE, 66),
	O(IPPROTO_TCP, TCP_KEEPINTVL, 22), O(IPPROTO_TCP, TCP_KEEPCNT, 5), O(IPPROTO_TCP, TCP_SYNCNT, 3),
	O(IPPROTO_TCP, TCP_LINGER2, 17), O(IPPROTO_TCP, TCP_FASTOPEN, 5),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT, 4321), O(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9999),
	O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1), O(IPPROTO_TCP, TCP_THIN_DUPACK, 1),
	O(IPPROTO_TCP, 36 /* INQ */, 1),
};

static int get(int fd, int level, int name)
{
	int v = -9;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? -errno : v;
}

static int pair(int l, int *c)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(l, (struct sockaddr *)&a, &len);
	*c = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*c, (struct sockaddr *)&a, sizeof(a)) < 0)
		t_out("connect: %s", t_errname(errno));
	return accept(l, NULL, NULL);
}

/* Set before bind, or after listen. */
static void numbers(bool late)
{
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		struct sockaddr_in a = t_addr(0);
		int l = socket(AF_INET, SOCK_STREAM, 0), c, r = 0;

		if (!late)
			r = setsockopt(l, rows[i].level, rows[i].name, &rows[i].value, sizeof(int));
		bind(l, (struct sockaddr *)&a, sizeof(a));
		listen(l, 4);
		if (late)
			r = setsockopt(l, rows[i].level, rows[i].name, &rows[i].value, sizeof(int));
		int s = pair(l, &c);
		t_out("%s: set %d, listener %d, accepted %d, client %d", rows[i].text, r,
		      get(l, rows[i].level, rows[i].name), get(s, rows[i].level, rows[i].name),
		      get(c, rows[i].level, rows[i].name));
		close(s);
		close(c);
		close(l);
	}
}

static void set_before_bind(void) { numbers(false); }
static void set_after_listen(void) { numbers(true); }

static void structures(void)
{
	int l = t_listen(4, NULL), c, s;
	struct timeval in = { 3, 500000 }, out = { 4, 250000 }, tv;
	struct linger lg = { 1, 11 }, got;
	socklen_t len = sizeof(tv);

	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &in, sizeof(in));
	setsockopt(l, SOL_SOCKET, SO_SNDTIMEO, &out, sizeof(out));
	setsockopt(l, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	s = pair(l, &c);
	getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	t_out("receive %ld.%06ld", (long)tv.tv_sec, (long)tv.tv_usec);
	getsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, &len);
	t_out("send %ld.%06ld", (long)tv.tv_sec, (long)tv.tv_usec);
	len = sizeof(got);
	getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &len);
	t_out("linger %d %d", got.l_onoff, got.l_linger);
	t_out("flags %x %x", fcntl(s, F_GETFL), fcntl(s, F_GETFD));
	t_reset(s);
	close(c);
	close(l);
}

/* The type of service is a priority, too, until a priority is set. */
static void priority_follows_tos(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	for (int tos = 0; tos < 256; tos += 4) {
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
		t_out("tos %d priority %d", get(fd, IPPROTO_IP, IP_TOS), get(fd, SOL_SOCKET, SO_PRIORITY));
	}
	int v = 5;
	t_res("priority", setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, sizeof(v)));
	t_out("priority %d", get(fd, SOL_SOCKET, SO_PRIORITY));
	v = 0x10;
	t_res("tos", setsockopt(fd, IPPROTO_IP, IP_TOS, &v, sizeof(v)));
	t_out("priority %d", get(fd, SOL_SOCKET, SO_PRIORITY));
	close(fd);
}

T_MAIN(T_CASE(set_before_bind), T_CASE(set_after_listen), T_CASE(structures),
       T_CASE(priority_follows_tos))
