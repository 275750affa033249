/* Every option number at every level in every state of a stream socket, read and set with good and bad
 * lengths and values. One line for each different behaviour, with the states that show it: what is read
 * with eight lengths, a bad pointer and no length | what is set by ten values and eleven lengths, each with
 * the value read back. Options without any effect print nothing; numbers that belong to a machine or
 * a moment print as "*". */
// SPDX-License-Identifier: MIT
#include "tests/shim/opt_line.h"
#include "tests/shim/states.h"

static const struct {
	int level;
	const char *name;
} levels[] = {
	{ SOL_SOCKET, "SOCKET" }, { IPPROTO_IP, "IP" },	  { IPPROTO_IPV6, "IPV6" },
	{ IPPROTO_TCP, "TCP" },	  { IPPROTO_UDP, "UDP" }, { SOL_RAW, "RAW" },
	{ 12345, "12345" },	  { -1, "-1" },
};

/* ---- the states ---- */
static struct sockaddr_in at;

/* The peer's queue is full: the connection attempt stays under way. */
static int make_connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect(fd, (struct sockaddr *)&at, sizeof(at));
	if (r == 0 || errno != EINPROGRESS)
		t_out("connect: %d %s", r, t_errname(errno));
	return fd;
}

/* IPv4 in an IPv6 socket. */
static int make_mapped(void)
{
	struct sockaddr_in a;
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	int l = t_listen(4, &a), fd = socket(AF_INET6, SOCK_STREAM, 0);
	to.sin6_port = a.sin_port;
	to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&to.sin6_addr.s6_addr[12], &a.sin_addr, 4);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		t_out("connect: %s", t_errname(errno));
	peer = accept(l, NULL, NULL);
	close(l);
	return fd;
}

/* ---- all of them ---- */
static const struct {
	const char *name;
	int (*make)(void);
} states[] = {
	{ "fresh", make_fresh },	 { "v6", make_v6 },
	{ "bound", make_bound },	 { "listening", make_listening },
	{ "connected", make_connected }, { "accepted", make_accepted },
	{ "closed", make_closed }, { "reset", make_reset },
	{ "connecting", make_connecting }, { "mapped", make_mapped },
};
static char *seen[T_COUNT(states)];

static void show(const char *level, int name)
{
	for (size_t i = 0; i < T_COUNT(states); i++) {
		char names[256];
		size_t n = 0;

		if (!seen[i] || !seen[i][0])
			continue;
		n = (size_t)sprintf(names, "%s", states[i].name);
		for (size_t k = i + 1; k < T_COUNT(states); k++) {
			if (!seen[k] || strcmp(seen[i], seen[k]))
				continue;
			n += (size_t)sprintf(names + n, ",%s", states[k].name);
			seen[k][0] = '\0';
		}
		t_out("%s %d %s:%s", level, name, names, seen[i]);
	}
}

static void sweep(bool fresh_and_connected)
{
	static char line[T_COUNT(states)][LINE];

	for (size_t l = 0; l < T_COUNT(levels); l++) {
		for (int name = 0; name < NAMES; name++) {
			for (size_t i = 0; i < T_COUNT(states); i++) {
				if (fresh_and_connected && states[i].make != make_fresh &&
				    states[i].make != make_connected)
					continue;
				int fd = states[i].make();
				one(levels[l].level, name, fd, line[i]);
				seen[i] = line[i];
				close(fd);
				if (peer >= 0)
					close(peer);
				peer = -1;
			}
			show(levels[l].name, name);
		}
	}
}

static void matrix(void)
{
	int l = t_listen(0, &at), fill[2];
	for (int i = 0; i < 2; i++) { /* make_connecting() finds the queue full */
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&at, sizeof(at));
		if (i == 0)
			t_until(fill[i], POLLOUT);
	}
	sweep(false);
	close(fill[0]);
	close(fill[1]);
	close(l);
}

/* The same without privilege. */
static void unprivileged(void)
{
	if (seteuid(65534) < 0)
		t_out("seteuid: %s", t_errname(errno));
	sweep(true);
	if (seteuid(0) < 0)
		t_out("seteuid: %s", t_errname(errno));
}

T_MAIN(T_CASE(matrix), T_CASE(unprivileged))
