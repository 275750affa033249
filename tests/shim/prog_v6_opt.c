/* Every option of IPv6 in every state of a stream and of a datagram socket: read and set with good and bad
 * lengths and values. As prog_opt_matrix.c and prog_udp_opt.c, but the peers are IPv6 ones. */
// SPDX-License-Identifier: MIT
#include "tests/shim/opt_line.h"
#include "tests/shim/six.h"

static int peer = -1;
static struct sockaddr_in6 there; /* a datagram socket's */

static int bound(int type)
{
	struct sockaddr_in6 at = six_addr(0);
	int fd = six_socket(type, -1);

	if (bind(fd, (void *)&at, sizeof(at)) < 0)
		t_out("bind: %s", t_errname(errno));
	return fd;
}
static int make_bound(void) { return bound(SOCK_STREAM); }
static int make_fresh(void) { return six_socket(SOCK_STREAM, -1); }
static int make_listening(void)
{
	int fd = bound(SOCK_STREAM);

	listen(fd, 4);
	return fd;
}

static int pair(const struct sockaddr_in6 *(*to)(int port), int want_accepted)
{
	struct sockaddr_in6 any = six_of(NULL, 0);
	int l = six_socket(SOCK_STREAM, 0), c = six_socket(SOCK_STREAM, -1), s;

	if (bind(l, (void *)&any, sizeof(any)) < 0 || listen(l, 4) < 0)
		t_out("listen: %s", t_errname(errno));
	s = connect(c, (const void *)to(six_port(l)), sizeof(any)) < 0 ? -1 : accept(l, NULL, NULL);
	if (s < 0)
		t_out("connect or accept: %s", t_errname(errno));
	close(l);
	peer = want_accepted ? c : s;
	return want_accepted ? s : c;
}
static const struct sockaddr_in6 *by_six(int port)
{
	static struct sockaddr_in6 a;

	a = six_addr(port);
	return &a;
}
static const struct sockaddr_in6 *by_four(int port)
{
	static struct sockaddr_in6 a;

	a = six_mapped(port);
	return &a;
}
static int make_connected(void) { return pair(by_six, 0); }
static int make_accepted(void) { return pair(by_six, 1); }
static int make_mapped(void) { return pair(by_four, 0); }

static int make_datagrams(void) { return six_socket(SOCK_DGRAM, -1); }
static int make_datagrams_bound(void) { return bound(SOCK_DGRAM); }
static int make_datagrams_connected(void)
{
	int fd = six_socket(SOCK_DGRAM, -1);

	connect(fd, (void *)&there, sizeof(there));
	return fd;
}

static const struct {
	const char *name;
	int (*make)(void);
} states[] = {
	{ "fresh", make_fresh }, { "bound", make_bound }, { "listening", make_listening },
	{ "connected", make_connected }, { "accepted", make_accepted }, { "mapped", make_mapped },
	{ "datagrams", make_datagrams }, { "datagrams-bound", make_datagrams_bound },
	{ "datagrams-connected", make_datagrams_connected },
};
static char line[T_COUNT(states)][LINE];

static void show(int name)
{
	for (size_t i = 0; i < T_COUNT(states); i++) {
		char names[256];

		if (!line[i][0])
			continue;
		size_t n = (size_t)sprintf(names, "%s", states[i].name);
		for (size_t k = i + 1; k < T_COUNT(states); k++) {
			if (strcmp(line[i], line[k]))
				continue;
			n += (size_t)sprintf(names + n, ",%s", states[k].name);
			line[k][0] = '\0';
		}
		t_out("%d %s:%s", name, names, line[i]);
	}
}

static void matrix(void)
{
	int d = bound(SOCK_DGRAM);

	there = six_addr(six_port(d));
	for (int name = 0; name < NAMES; name++) {
		for (size_t i = 0; i < T_COUNT(states); i++) {
			int fd = states[i].make();

			one(IPPROTO_IPV6, name, fd, line[i]);
			close(fd);
			if (peer >= 0)
				close(peer);
			peer = -1;
		}
		show(name);
	}
	close(d);
}

/* RFC 5014 5.1: what goes together, what stays. */
static void preferences(void)
{
	static const int values[] = { 0x1, 0x2, 0x100, 0x4, 0x400, 0x8, 0x800, 0x3, 0x101, 0x102,
				      0x404, 0x808, 0x5, 0x402, 0x905, 0x10000, 0, -1 };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (size_t t = 0; t < T_COUNT(types); t++) {
		int fd = six_socket(types[t], -1);

		for (size_t i = 0; i < T_COUNT(values); i++) {
			int v = values[i], r;
			socklen_t len = sizeof(v);

			r = setsockopt(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, &v, sizeof(v));
			t_out("%x: %s", values[i], r < 0 ? t_errname(errno) : "ok");
			r = getsockopt(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, &v, &len);
			t_out("  %x len %u %d", v, len, r);
		}
		close(fd);
	}
}

T_MAIN(T_CASE(matrix), T_CASE(preferences))
