/* Socket options: value after setting, length, range, level; inherited by accepted sockets. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static void get(const char *name, int fd, int level, int opt)
{
	int v[8];
	memset(v, 0x5a, sizeof(v));
	socklen_t len = sizeof(v[0]);
	int r = getsockopt(fd, level, opt, v, &len);
	if (r < 0)
		t_out("get %s: %s", name, t_errname(errno));
	else
		t_out("get %s: %d len %u", name, v[0], len);
}

static const struct {
	const char *name;
	int level, opt;
	int values[4];
} rows[] = {
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, { 1, 0, 7, -1 } },
	{ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, { 1, 0, 7, -1 } },
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, { 1, 0, 7, -1 } },
	{ "SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, { 1, 0, 7, -1 } },
	{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, { 1, 0, 7, -1 } },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, { 10, 0, 1, 20 } },
	{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, { 3, 0, 6, 1 } },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, { 100000, 1, 0, 65536 } },
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, { 100000, 1, 0, 65536 } },
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, { 1, 0, 1, 0 } },
	{ "SO_TYPE", SOL_SOCKET, SO_TYPE, { 1, 1, 1, 1 } },
	{ "unknown", SOL_SOCKET, 9999, { 1, 0, 1, 0 } },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, { 1, 0, 7, -1 } },
	{ "TCP_CORK", IPPROTO_TCP, TCP_CORK, { 1, 0, 7, -1 } },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, { 60, 0, 32768, -1 } },
	{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, { 10, 0, 32768, -1 } },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, { 3, 0, 128, -1 } },
	{ "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, { 3, 0, 128, -1 } },
	{ "TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, { 30, 0, 100000, -1 } },
	{ "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, { 0, 0, 0, 0 } },
	{ "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, { 1, 0, 1, 0 } },
	{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, { 5000, 0, 1, -1 } },
	{ "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, { 1000, 10, 0, 100000 } },
	{ "TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, { 30000, 30000, 30000, 30000 } },
	{ "TCP unknown", IPPROTO_TCP, 9999, { 1, 0, 1, 0 } },
	{ "IP_TOS", IPPROTO_IP, IP_TOS, { 16, 0, 8, 256 } },
	{ "IP_TTL", IPPROTO_IP, IP_TTL, { 33, 0, 256, -1 } },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, { 2, 0, 1, 77 } },
	{ "IP unknown", IPPROTO_IP, 9999, { 1, 0, 1, 0 } },
	{ "unknown level", 12345, 1, { 1, 0, 1, 0 } },
};

static void table(int fd)
{
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		bool changes = rows[i].opt != TCP_MAXSEG || rows[i].level != IPPROTO_TCP;
		/* What the size of a buffer is before it is set is a matter of the machine's sysctls. */
		bool by_machine = (rows[i].level == SOL_SOCKET && (rows[i].opt == SO_RCVBUF ||
								  rows[i].opt == SO_SNDBUF)) ||
				  (rows[i].level == IPPROTO_TCP && rows[i].opt == TCP_WINDOW_CLAMP);
		if (changes && !by_machine)
			get(rows[i].name, fd, rows[i].level, rows[i].opt);
		for (int k = 0; k < 4; k++) {
			int v = rows[i].values[k];
			int r = setsockopt(fd, rows[i].level, rows[i].opt, &v, sizeof(v));
			t_out("set %s to %d: %s", rows[i].name, v, r < 0 ? t_errname(errno) : "ok");
			if (changes)
				get(rows[i].name, fd, rows[i].level, rows[i].opt);
		}
	}
}

static void fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	table(fd);
	close(fd);
}

static void connected(void)
{
	int a, b;
	t_pair(&a, &b);
	table(a);
	close(a);
	close(b);
}

static void lengths(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int v = 1;
	char byte = 1;
	t_res("short", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &byte, 1));
	t_res("zero", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, 0));
	t_res("negative", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, (socklen_t)-1));
	t_res("fault", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)8, sizeof(v)));
	t_res("null", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(v)));
	t_res("tcp short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &byte, 1));
	t_res("ip by one byte", setsockopt(fd, IPPROTO_IP, IP_TOS, &byte, 1));
	get("IP_TOS", fd, IPPROTO_IP, IP_TOS);
	char big[16];
	for (socklen_t n = 0; n <= 8; n += 2) {
		socklen_t len = n;
		memset(big, 0x5a, sizeof(big));
		int r = getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, big, &len);
		t_out("get with %u: %d len %u", n, r, len);
	}
	socklen_t len = (socklen_t)-1;
	t_res("get negative", getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, big, &len));
	t_res("get null length", getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, big, NULL));
	struct linger lg = { 1, 5 };
	t_res("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	lg = (struct linger){ 0 };
	len = sizeof(lg);
	t_res("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len));
	t_out("linger %d %d len %u", lg.l_onoff, lg.l_linger, len);
	t_res("linger short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, 4));
	struct timeval tv = { 3, 500000 };
	t_res("rcvtimeo", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	tv = (struct timeval){ 0 };
	len = sizeof(tv);
	t_res("get", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	t_out("timeval %ld.%06ld len %u", (long)tv.tv_sec, (long)tv.tv_usec, len);
	t_res("rcvtimeo short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, 4));
	tv = (struct timeval){ -1, 0 };
	t_res("rcvtimeo negative", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	close(fd);
}

static void text_options(void)
{
	int a, b;
	char name[32] = { 0 };
	socklen_t len = sizeof(name);
	t_pair(&a, &b);
	t_res("unknown controller",
	      setsockopt(a, IPPROTO_TCP, TCP_CONGESTION, "no-such-thing", 13));
	t_res("reno", setsockopt(a, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	t_res("get", getsockopt(a, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_out("%s len %u", name, len);
	struct tcp_info info = { 0 };
	len = sizeof(info);
	t_res("TCP_INFO", getsockopt(a, IPPROTO_TCP, TCP_INFO, &info, &len));
	t_out("state %d, mss known %d, rtt known %d", info.tcpi_state, info.tcpi_snd_mss > 0,
	      info.tcpi_rtt > 0);
	len = 1;
	t_res("TCP_INFO of one byte", getsockopt(a, IPPROTO_TCP, TCP_INFO, &info, &len));
	t_out("len %u state %d", len, info.tcpi_state);
	t_res("set TCP_INFO", setsockopt(a, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)));
	close(a);
	close(b);
}

static void inherited(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), one = 1, idle = 77, tos = 16;
	struct timeval tv = { 2, 0 };
	struct linger lg = { 1, 3 };
	setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(l, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(l, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	fcntl(l, F_SETFL, O_NONBLOCK);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&addr, sizeof(addr));
	t_until(l, POLLIN);
	int s = accept(l, NULL, NULL);
	get("SO_KEEPALIVE", s, SOL_SOCKET, SO_KEEPALIVE);
	get("TCP_NODELAY", s, IPPROTO_TCP, TCP_NODELAY);
	get("TCP_KEEPIDLE", s, IPPROTO_TCP, TCP_KEEPIDLE);
	get("IP_TOS", s, IPPROTO_IP, IP_TOS);
	get("SO_ACCEPTCONN", s, SOL_SOCKET, SO_ACCEPTCONN);
	socklen_t len = sizeof(tv);
	tv = (struct timeval){ 0 };
	getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	t_out("RCVTIMEO %ld", (long)tv.tv_sec);
	len = sizeof(lg);
	lg = (struct linger){ 0 };
	getsockopt(s, SOL_SOCKET, SO_LINGER, &lg, &len);
	t_out("LINGER %d %d", lg.l_onoff, lg.l_linger);
	t_out("flags %x", (unsigned int)fcntl(s, F_GETFL));
	lg = (struct linger){ 0 };
	setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(s);
	close(c);
	close(l);
}

T_MAIN(T_CASE(fresh), T_CASE(connected), T_CASE(lengths), T_CASE(text_options), T_CASE(inherited))
