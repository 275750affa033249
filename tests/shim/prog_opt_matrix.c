/* Every option number at every level in every state of a stream socket, read and set with good and bad
 * lengths and values. One line for each different behaviour, with the states that show it: what is read
 * with eight lengths, a bad pointer and no length | what is set by ten values and eleven lengths, each with
 * the value read back. Options without any effect print nothing; numbers that belong to a machine or
 * a moment print as "*". */
// SPDX-License-Identifier: MIT
#include "tests/shim/states.h"

enum { NAMES = 91, ROOM = 320 };

static const struct {
	int level;
	const char *name;
} levels[] = {
	{ SOL_SOCKET, "SOCKET" }, { IPPROTO_IP, "IP" },	  { IPPROTO_IPV6, "IPV6" },
	{ IPPROTO_TCP, "TCP" },	  { IPPROTO_UDP, "UDP" }, { SOL_RAW, "RAW" },
	{ 12345, "12345" },	  { -1, "-1" },
};

/* Values that are a matter of the machine, the moment or the path. */
static bool is_free(int level, int name)
{
	static const struct {
		int level, name;
	} list[] = {
		{ SOL_SOCKET, 49 /* INCOMING_CPU */ },	{ SOL_SOCKET, 56 /* INCOMING_NAPI_ID */ },
		{ SOL_SOCKET, 57 /* COOKIE */ },	{ SOL_SOCKET, SO_SNDBUF },
		{ SOL_SOCKET, SO_RCVBUF },		{ SOL_SOCKET, 71 /* NETNS_COOKIE */ },
		{ SOL_SOCKET, 17 /* PEERCRED */ },	{ IPPROTO_TCP, TCP_MAXSEG },
		{ IPPROTO_TCP, TCP_WINDOW_CLAMP },	{ IPPROTO_TCP, TCP_TIMESTAMP },
		{ IPPROTO_TCP, TCP_CONGESTION },	{ IPPROTO_IP, IP_MTU },
		{ IPPROTO_TCP, TCP_CC_INFO },		{ IPPROTO_TCP, TCP_INFO },
		{ SOL_SOCKET, 55 /* MEMINFO */ },	{ SOL_SOCKET, SO_PEERNAME },
		{ IPPROTO_IPV6, IPV6_MTU },		{ SOL_SOCKET, 31 /* PEERSEC */ },
		{ IPPROTO_IP, 52 /* PROTOCOL */ },
	};

	for (size_t i = 0; i < T_COUNT(list); i++)
		if (list[i].level == level && list[i].name == name)
			return true;
	return false;
}

static size_t get(char *out, int fd, int level, int name, socklen_t given, void *to)
{
	static unsigned char buf[ROOM];
	int len = (int)given, v;

	memset(buf, 0x5a, sizeof(buf));
	int r = getsockopt(fd, level, name, to ? to : buf, (socklen_t *)&len);
	if (level == IPPROTO_TCP && name == TCP_CC_INFO) /* as long as the controller makes it */
		return (size_t)sprintf(out, " *");
	if (r < 0)
		return (size_t)sprintf(out, " %s", t_errname(errno));
	if (to || is_free(level, name))
		return (size_t)sprintf(out, " */%d", len);
	if (len == sizeof(int)) {
		memcpy(&v, buf, sizeof(v));
		return (size_t)sprintf(out, " %d/%d", v, len);
	}
	size_t n = (size_t)sprintf(out, " ");
	for (int i = 0; i < len && i < 16; i++)
		n += (size_t)sprintf(out + n, "%02x", buf[i]);
	return n + (size_t)sprintf(out + n, "/%d", len);
}

static size_t set(char *out, int fd, int level, int name, const void *val, int len)
{
	if (setsockopt(fd, level, name, val, (socklen_t)len) < 0)
		return (size_t)sprintf(out, " %s", t_errname(errno));
	return (size_t)sprintf(out, " ok") + get(out + 3, fd, level, name, 4, NULL);
}

/* Is this an option that does nothing but say that there is none? */
static bool is_dull(const char *line)
{
	char copy[2048], *save, *word, *first;

	snprintf(copy, sizeof(copy), "%s", line);
	first = strtok_r(copy, " ", &save);
	while ((word = strtok_r(NULL, " ", &save)))
		if (strcmp(word, first) && strcmp(word, "EFAULT") && strcmp(word, "EINVAL") &&
		    strcmp(word, "|"))
			return false;
	return !strcmp(first, "ENOPROTOOPT") || !strcmp(first, "EOPNOTSUPP");
}

static void one(int level, int name, int fd, char *line)
{
	static const int values[] = { 1, 0, 2, -1, 63, 255, 256, 40000, INT32_MAX, INT32_MIN };
	static const int get_lens[] = { 4, 0, 1, 3, 5, 8, 64, -1 };
	static const int set_lens[] = { 0, 1, 2, 3, 5, 8, 12, 16, 17, 64, -1 };
	unsigned char big[ROOM] = { 1 };
	size_t n = 0;

	for (size_t i = 0; i < T_COUNT(get_lens); i++)
		n += get(line + n, fd, level, name, (socklen_t)get_lens[i], NULL);
	n += get(line + n, fd, level, name, 4, (void *)8);
	if (getsockopt(fd, level, name, big, NULL) < 0)
		n += (size_t)sprintf(line + n, " %s |", t_errname(errno));
	else
		n += (size_t)sprintf(line + n, " ok |");
	for (size_t i = 0; i < T_COUNT(values); i++)
		n += set(line + n, fd, level, name, &values[i], 4);
	for (size_t i = 0; i < T_COUNT(set_lens); i++)
		n += set(line + n, fd, level, name, big, set_lens[i]);
	n += set(line + n, fd, level, name, (void *)8, 4);
	n += set(line + n, fd, level, name, NULL, 0);
	n += set(line + n, fd, level, name, NULL, 64);
	if (is_dull(line + 1))
		line[0] = '\0';
}

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
	static char line[T_COUNT(states)][2048];

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
