/* Options must do what they say: ports that bind() puts off or a range cuts, control messages with what
 * is read, cookies, numbers of TCP_INFO, sockets that change their family. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/time.h>

enum { PORT_RANGE = 51, CM_INQ = 36, COOKIE = 57, MEMINFO = 55 };

static int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}
static int get(int fd, int level, int name)
{
	int v = -9;
	socklen_t len = sizeof(v);
	return getsockopt(fd, level, name, &v, &len) < 0 ? -errno : v;
}
static void show_name(const char *what, int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	getsockname(fd, (struct sockaddr *)&a, &len);
	t_out("%s: %s", what, t_addr_name(&a));
}

/* ---- addresses without ports ---- */
static void bind_without_port(bool any)
{
	struct sockaddr_in to, a = t_addr(0);
	int l = t_listen(4, &to), fd = socket(AF_INET, SOCK_STREAM, 0);
	if (any)
		a.sin_addr.s_addr = INADDR_ANY;
	t_res("set", set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
	t_res("bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	show_name("bound", fd);
	t_res("bind again", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	t_res("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	show_name("connected", fd);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	t_res("bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	t_res("listen", listen(fd, 3));
	show_name("listening", fd);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	a.sin_port = htons(19876);
	t_res("bind to a port", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	show_name("bound", fd);
	close(fd);
	close(l);
}
static void no_port_server(void) { bind_without_port(false); }

/* Many connections from few ports: only connect() can know which are free. */
static void no_port_shares(void)
{
	struct sockaddr_in to[2], a = t_addr(0);
	int l[2] = { t_listen(64, &to[0]), t_listen(64, &to[1]) }, fd[8], ok = 0;
	for (int i = 0; i < 8; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		set(fd[i], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		set(fd[i], IPPROTO_IP, PORT_RANGE, 41000 | 41003 << 16);
		if (bind(fd[i], (struct sockaddr *)&a, sizeof(a)) < 0)
			t_out("bind %d: %s", i, t_errname(errno));
		ok += connect(fd[i], (struct sockaddr *)&to[i & 1], sizeof(to[0])) == 0;
	}
	t_out("%d of 8 connected", ok);
	for (int i = 0; i < 8; i++)
		t_reset(fd[i]);
	close(l[0]);
	close(l[1]);
}

static void port_range(void)
{
	struct sockaddr_in to, a = t_addr(0);
	int l = t_listen(8, &to), fd, n = 0, extra;
	for (int i = 0; i < 6; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		set(fd, IPPROTO_IP, PORT_RANGE, 42000 | 42009 << 16);
		if (i & 1)
			bind(fd, (struct sockaddr *)&a, sizeof(a));
		else
			connect(fd, (struct sockaddr *)&to, sizeof(to));
		n += t_port(fd) >= 42000 && t_port(fd) <= 42009;
		t_reset(fd);
	}
	t_out("%d of 6 in range", n);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	extra = socket(AF_INET, SOCK_STREAM, 0);
	set(fd, IPPROTO_IP, PORT_RANGE, 42100 | 42100 << 16);
	set(extra, IPPROTO_IP, PORT_RANGE, 42100 | 42100 << 16);
	t_res("only port", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	t_out("it is %d", t_port(fd));
	t_res("second", bind(extra, (struct sockaddr *)&a, sizeof(a)));
	t_res("second connects", connect(extra, (struct sockaddr *)&to, sizeof(to)));
	close(extra);
	close(fd);
	close(l);
}

/* ---- control messages ---- */
static void show_control(struct msghdr *m)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		time_t sec;
		memcpy(&sec, CMSG_DATA(c), sizeof(sec));
		if (c->cmsg_level == IPPROTO_TCP)
			t_out("level %d type %d len %d value %d", c->cmsg_level, c->cmsg_type,
			      (int)c->cmsg_len, *(int *)CMSG_DATA(c));
		else
			t_out("level %d type %d len %d now %d", c->cmsg_level, c->cmsg_type,
			      (int)c->cmsg_len, llabs((long long)sec - now.tv_sec) < 5);
	}
	t_out("flags %x control %d", m->msg_flags, (int)m->msg_controllen);
}

static long take(int fd, size_t n, size_t room, int flags)
{
	char buf[64], control[256];
	struct iovec v = { buf, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? control : NULL,
			    .msg_controllen = room };
	long r = t_res("recvmsg", recvmsg(fd, &m, flags));
	if (r >= 0)
		show_control(&m);
	return r;
}

static void inq(void)
{
	int a, b;
	t_pair(&a, &b);
	t_res("set", set(b, IPPROTO_TCP, TCP_INQ, 1));
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	take(b, 4, 256, 0);
	take(b, 3, 256, MSG_PEEK);
	take(b, 3, 0, 0);
	take(b, 1, 18, 0);
	take(b, 1, 8, 0);
	take(b, 8, 256, 0);
	take(b, 8, 256, MSG_DONTWAIT);
	send(a, "x", 1, 0);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	take(b, 1, 256, 0);
	take(b, 1, 256, 0);
	t_res("off", set(b, IPPROTO_TCP, TCP_INQ, 0));
	take(b, 1, 256, 0);
	close(a);
	close(b);
}

/* The kernel begins to stamp a while after somebody has asked for it: returns when it does. */
static void until_stamped(void)
{
	static int a = -1, b; /* stay open, so that it goes on */
	char c, control[64];
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };

	if (a >= 0)
		return;
	t_pair(&a, &b);
	set(b, SOL_SOCKET, SO_TIMESTAMP, 1);
	for (int i = 0; i < 1000; i++) {
		m.msg_controllen = sizeof(control);
		send(a, "x", 1, 0);
		if (recvmsg(b, &m, 0) < 0 || m.msg_controllen)
			return;
		t_sleep_ms(1);
	}
}

static void times(void)
{
	until_stamped();
	static const int names[] = { SO_TIMESTAMP, SO_TIMESTAMPNS, 63, 64 };
	for (size_t i = 0; i < T_COUNT(names); i++) {
		int a, b;
		t_pair(&a, &b);
		t_res("set", set(b, SOL_SOCKET, names[i], 1));
		send(a, "0123456789", 10, 0);
		t_until(b, POLLIN);
		take(b, 4, 256, 0);
		take(b, 4, 256, MSG_PEEK);
		take(b, 6, 20, 0);
		shutdown(a, SHUT_WR);
		t_until(b, POLLRDHUP);
		take(b, 1, 256, 0);
		close(a);
		close(b);
	}
}

static void time_stamping(void)
{
	until_stamped();
	for (int with = 0; with < 2; with++) {
		int a, b;
		t_pair(&a, &b);
		t_res("receive, software", set(b, SOL_SOCKET, SO_TIMESTAMPING, 8 | 16));
		if (with)
			t_res("and SO_TIMESTAMPNS", set(b, SOL_SOCKET, SO_TIMESTAMPNS, 1));
		t_res("and TCP_INQ", set(b, IPPROTO_TCP, TCP_INQ, with));
		send(a, "0123456789", 10, 0);
		t_until(b, POLLIN);
		take(b, 10, 256, 0);
		t_res("receive only", set(b, SOL_SOCKET, SO_TIMESTAMPING, 8));
		send(a, "0123456789", 10, 0);
		t_until(b, POLLIN);
		take(b, 10, 256, 0);
		t_res("off", set(b, SOL_SOCKET, SO_TIMESTAMPING, 0));
		close(a);
		close(b);
	}
}

/* Asked of the listener, they hold for the connection's first bytes. */
static void times_inherited(void)
{
	struct sockaddr_in to;
	int l = t_listen(3, &to), c = socket(AF_INET, SOCK_STREAM, 0), s;
	until_stamped();
	t_res("set", set(l, SOL_SOCKET, SO_TIMESTAMP, 1));
	connect(c, (struct sockaddr *)&to, sizeof(to));
	send(c, "abc", 3, 0);
	s = accept(l, NULL, NULL);
	t_until(s, POLLIN);
	take(s, 3, 256, 0);
	close(s);
	close(c);
	close(l);
}

/* ---- what can only be read ---- */
static void cookies(void)
{
	int a, b;
	uint64_t x = 0, y = 0, again = 0, before = 0;
	socklen_t len = sizeof(x);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to;
	int l = t_listen(3, &to);
	t_res("fresh", getsockopt(fd, SOL_SOCKET, COOKIE, &before, &len));
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	getsockopt(fd, SOL_SOCKET, COOKIE, &again, &len);
	t_out("stays %d", before == again && before);
	t_pair(&a, &b);
	getsockopt(a, SOL_SOCKET, COOKIE, &x, &len);
	getsockopt(b, SOL_SOCKET, COOKIE, &y, &len);
	getsockopt(dup(a), SOL_SOCKET, COOKIE, &again, &len);
	t_out("differ %d, of a copy %d", x != y && x != before, x == again);
	close(a);
	close(b);
	close(fd);
	close(l);
}

static void memory(void)
{
	int a, b;
	uint32_t m[9] = { 0 };
	socklen_t len = sizeof(m);
	t_pair(&a, &b);
	set(b, SOL_SOCKET, SO_RCVBUF, 50000);
	set(b, SOL_SOCKET, SO_SNDBUF, 60000);
	send(a, "0123456789", 10, 0);
	t_until(b, POLLIN);
	t_res("meminfo", getsockopt(b, SOL_SOCKET, MEMINFO, m, &len));
	t_out("len %u receive %d of %u send %u of %u drops %u", len, m[0] >= 10, m[1], m[2], m[3], m[8]);
	t_out("lock %d", get(b, SOL_SOCKET, 72 /* BUF_LOCK */));
	t_res("unlock", set(b, SOL_SOCKET, 72, 1));
	t_out("lock %d", get(b, SOL_SOCKET, 72));
	t_out("cpu known %d", get(b, SOL_SOCKET, SO_INCOMING_CPU) >= 0);
	close(a);
	close(b);
}

static void info(void)
{
	int a, b;
	char buf[2000];
	struct {
		struct tcp_info ti;
		char more[400];
	} x = { 0 };
	socklen_t len = sizeof(x.ti);
	t_pair(&a, &b);
	memset(buf, 1, sizeof(buf));
	for (int i = 0; i < 5; i++) {
		send(a, buf, sizeof(buf), 0);
		t_read_all(b, buf, sizeof(buf));
		send(b, buf, 100, 0);
		t_read_all(a, buf, 100);
	}
	t_res("info", getsockopt(a, IPPROTO_TCP, TCP_INFO, &x.ti, &len));
	t_out("state %d ca %d retransmits %d probes %d backoff %d options>0 %d", x.ti.tcpi_state,
	      x.ti.tcpi_ca_state, x.ti.tcpi_retransmits, x.ti.tcpi_probes, x.ti.tcpi_backoff,
	      x.ti.tcpi_options > 0);
	t_out("rto>0 %d snd_mss>0 %d rcv_mss>0 %d unacked %u sacked %u lost %u retrans %u",
	      x.ti.tcpi_rto > 0, x.ti.tcpi_snd_mss > 0, x.ti.tcpi_rcv_mss > 0, x.ti.tcpi_unacked,
	      x.ti.tcpi_sacked, x.ti.tcpi_lost, x.ti.tcpi_retrans);
	t_out("recent %d %d %d", x.ti.tcpi_last_data_sent < 5000, x.ti.tcpi_last_data_recv < 5000,
	      x.ti.tcpi_last_ack_recv < 5000);
	t_out("pmtu>0 %d rtt>0 %d cwnd>1 %d advmss>0 %d reordering %u", x.ti.tcpi_pmtu > 0,
	      x.ti.tcpi_rtt > 0, x.ti.tcpi_snd_cwnd > 1, x.ti.tcpi_advmss > 0,
	      x.ti.tcpi_reordering);
	t_out("rcv_space>0 %d total_retrans %u", x.ti.tcpi_rcv_space > 0, x.ti.tcpi_total_retrans);
	uint64_t acked, received;
	len = sizeof(x);
	getsockopt(a, IPPROTO_TCP, TCP_INFO, &x, &len);
	memcpy(&acked, (char *)&x + 120, 8);
	memcpy(&received, (char *)&x + 128, 8);
	t_out("acked %llu received %llu", (unsigned long long)acked, (unsigned long long)received);
	close(a);
	close(b);
}

static void maximum_segment(void)
{
	struct sockaddr_in to;
	int l = t_listen(3, &to), c = socket(AF_INET, SOCK_STREAM, 0), s;
	t_res("set", set(c, IPPROTO_TCP, TCP_MAXSEG, 700));
	connect(c, (struct sockaddr *)&to, sizeof(to));
	s = accept(l, NULL, NULL);
	t_out("ours below %d theirs below %d", get(c, IPPROTO_TCP, TCP_MAXSEG) <= 700,
	      get(s, IPPROTO_TCP, TCP_MAXSEG) <= 700);
	t_res("set on a connection", set(c, IPPROTO_TCP, TCP_MAXSEG, 600));
	close(s);
	close(c);
	close(l);
}

static void becomes_ipv4(void)
{
	struct sockaddr_in to, me;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int l = t_listen(3, &to), fd = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(six);
	six.sin6_port = to.sin_port;
	six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&six.sin6_addr.s6_addr[12], &to.sin_addr, 4);
	t_res("too early", set(fd, IPPROTO_IPV6, 1, AF_INET));
	t_res("connect", connect(fd, (struct sockaddr *)&six, sizeof(six)));
	t_out("domain %d", get(fd, SOL_SOCKET, SO_DOMAIN));
	t_res("addrform", set(fd, IPPROTO_IPV6, 1, AF_INET));
	t_out("domain %d", get(fd, SOL_SOCKET, SO_DOMAIN));
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&six, &len));
	memcpy(&me, &six, sizeof(me));
	t_out("len %u %s", len, t_addr_name(&me));
	t_res("again", set(fd, IPPROTO_IPV6, 1, AF_INET));
	t_res("send", send(fd, "x", 1, 0));
	close(fd);
	close(l);
}

T_MAIN(T_CASE(no_port_server), T_CASE(no_port_shares), T_CASE(port_range), T_CASE(inq), T_CASE(times),
       T_CASE(time_stamping), T_CASE(times_inherited), T_CASE(cookies), T_CASE(memory), T_CASE(info),
       T_CASE(maximum_segment), T_CASE(becomes_ipv4))
