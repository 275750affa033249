/* Every option number at every level in every state of a datagram socket: read, set with good and bad
 * values and lengths, read back. One line for each different behaviour, with the states that show
 * it; options without any effect print nothing. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

enum { NAMES = 128, LINE = 1024 };

static const struct {
	int level;
	const char *name;
} levels[] = { { SOL_SOCKET, "SOCKET" }, { IPPROTO_IP, "IP" },	 { IPPROTO_UDP, "UDP" },
	       { IPPROTO_IPV6, "IPV6" }, { IPPROTO_TCP, "TCP" }, { SOL_RAW, "RAW" }, { -1, "-1" } };

/* Values that are a matter of the machine or the moment. */
static bool is_free(int level, int name)
{
	return (level == SOL_SOCKET &&
		(name == 49 /* INCOMING_CPU */ || name == 56 /* NAPI_ID */ || name == 57 /* COOKIE */ ||
		 name == 71 /* NETNS_COOKIE */ || name == 55 /* MEMINFO */ || name == 28 /* PEERNAME */ ||
		 name == 17 /* PEERCRED */ || name == 31 /* PEERSEC */)) ||
	       (level == IPPROTO_IPV6 && name == IPV6_MTU) ||
	       (level == IPPROTO_IP && name == 52 /* the port, of all things */);
}

static size_t get(char *out, int fd, int level, int name, socklen_t room)
{
	unsigned char buf[128];
	socklen_t len = room;
	int v;

	memset(buf, 0x5a, sizeof(buf));
	if (getsockopt(fd, level, name, buf, &len) < 0)
		return (size_t)sprintf(out, " %s", t_errname(errno));
	memcpy(&v, buf, sizeof(v));
	if (is_free(level, name) || room < sizeof(v))
		return (size_t)sprintf(out, " */%u", len);
	return (size_t)sprintf(out, " %d/%u", v, len);
}

/* ---- states ---- */
static int make_fresh(void) { return udp(); }
static int make_bound(void) { return udp_at(0, NULL); }
static int make_v6(void) { return socket(AF_INET6, SOCK_DGRAM, 0); }
static int make_any(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = udp();
	bind(fd, (void *)&any, sizeof(any));
	return fd;
}
static struct sockaddr_in peer;
static int make_connected(void)
{
	int fd = udp();
	connect(fd, (void *)&peer, sizeof(peer));
	return fd;
}
static const struct {
	const char *name;
	int (*make)(void);
} states[] = { { "fresh", make_fresh }, { "bound", make_bound }, { "any", make_any },
	       { "connected", make_connected }, { "v6", make_v6 } };

/* ---- one option in one state ---- */
static size_t try_set(char *out, int fd, int level, int name, int v, socklen_t len)
{
	char wide[64] = { 0 };
	memcpy(wide, &v, sizeof(v));
	int r = setsockopt(fd, level, name, wide, len);
	size_t n = (size_t)sprintf(out, " %d/%u:%s", v, len, r < 0 ? t_errname(errno) : "ok");
	return r < 0 ? n : n + get(out + n, fd, level, name, 4);
}

static void one(int (*make)(void), int level, int name, char *line)
{
	static const int values[] = { 0, 1, 3, 64, 255, 256, -1, 100000 };
	static const socklen_t lens[] = { 0, 1, 2, 8, 16, 64 };
	int fd = make();
	size_t n = 0;
	for (socklen_t room = 0; room <= 16; room += room < 4 ? 2 : 12)
		n += get(line + n, fd, level, name, room);
	n += (size_t)sprintf(line + n, " |");
	for (size_t i = 0; i < T_COUNT(values); i++)
		n += try_set(line + n, fd, level, name, values[i], 4);
	close(fd);
	fd = make();
	for (size_t i = 0; i < T_COUNT(lens); i++)
		n += try_set(line + n, fd, level, name, 1, lens[i]);
	n += (size_t)sprintf(line + n, " |");
	int v = 1, r = setsockopt(fd, level, name, (void *)16, 4);
	n += (size_t)sprintf(line + n, " bad %s", r < 0 ? t_errname(errno) : "ok");
	r = setsockopt(fd, level, name, &v, (socklen_t)-1);
	sprintf(line + n, " negative %s", r < 0 ? t_errname(errno) : "ok");
	close(fd);
}

static void matrix(void)
{
	static char line[T_COUNT(states)][LINE], none[LINE];
	int b = udp_at(0, &peer);
	for (size_t l = 0; l < T_COUNT(levels); l++) {
		for (int name = 0; name < NAMES; name++) {
			bool done[T_COUNT(states)] = { false };
			for (size_t s = 0; s < T_COUNT(states); s++)
				one(states[s].make, levels[l].level, name, line[s]);
			for (size_t s = 0; s < T_COUNT(states); s++) {
				char who[128] = "";
				if (done[s])
					continue;
				for (size_t k = s; k < T_COUNT(states); k++)
					if (!strcmp(line[s], line[k])) {
						done[k] = true;
						strcat(strcat(who, " "), states[k].name);
					}
				if (name == 0 && l == 0)
					strcpy(none, line[s]);
				if (strcmp(line[s], none))
					t_out("%s %d%s:%s", levels[l].name, name, who, line[s]);
			}
		}
	}
	close(b);
}

/* ---- what some of them do ---- */
static void buffers_are_doubled(void)
{
	static const int sizes[] = { 0, 1, 1000, 4096, 100000, 1 << 30, -1 };
	for (int name = 0; name < 4; name++) {
		static const int names[] = { SO_RCVBUF, SO_SNDBUF, SO_RCVBUFFORCE, SO_SNDBUFFORCE };
		for (size_t i = 0; i < T_COUNT(sizes); i++) {
			int fd = udp_at(0, NULL), v = sizes[i];
			socklen_t len = sizeof(v);
			long r = setsockopt(fd, SOL_SOCKET, names[name], &v, sizeof(v));
			getsockopt(fd, SOL_SOCKET, name & 1 ? SO_SNDBUF : SO_RCVBUF, &v, &len);
			t_out("%d %d: %ld reads %d", name, sizes[i], r, v);
			close(fd);
		}
	}
}

static void devices(void)
{
	int fd = udp();
	char name[16] = "";
	socklen_t len = sizeof(name);
	t_res("none", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	t_out("'%s' %u", name, len);
	t_res("no such", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8));
	t_res("empty", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
	t_res("lo", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	len = sizeof(name);
	t_res("lo", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	t_out("'%s' %u", name, len);
	close(fd);
}

/* What was set before it has a peer or a name is in force after. */
static void set_early(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), a = udp(), v = 0;
	_Alignas(struct cmsghdr) char control[256];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	socklen_t len = sizeof(v);
	udp_int(b, IPPROTO_IP, IP_RECVTTL, 1);
	udp_int(b, IPPROTO_IP, IP_RECVTOS, 1);
	udp_int(a, IPPROTO_IP, IP_TTL, 11);
	udp_int(a, IPPROTO_IP, IP_TOS, 0x68);
	connect(a, (void *)&at, sizeof(at));
	send(a, "", 0, 0);
	udp_wait(b);
	recvmsg(b, &m, MSG_DONTWAIT);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		v = 0;
		memcpy(&v, CMSG_DATA(c), c->cmsg_type == IP_TOS ? 1 : 4);
		t_out("type %d: %d", c->cmsg_type, v);
	}
	getsockopt(a, IPPROTO_IP, IP_TTL, &v, &len);
	t_out("reads %d", v);
	close(a);
	close(b);
}

T_MAIN(T_CASE(matrix), T_CASE(buffers_are_doubled), T_CASE(devices), T_CASE(set_early))
