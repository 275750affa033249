/* Receiving datagrams: flags, truncation, peeking, names, vectors, many at once, control messages,
 * time limits, signals, bad arguments. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static void flags(void)
{
	static const struct {
		const char *name;
		int flags;
	} rows[] = { { "0", 0 }, { "MSG_DONTWAIT", MSG_DONTWAIT }, { "MSG_PEEK", MSG_PEEK },
		     { "MSG_TRUNC", MSG_TRUNC }, { "MSG_PEEK|MSG_TRUNC", MSG_PEEK | MSG_TRUNC },
		     { "MSG_WAITALL", MSG_WAITALL }, { "MSG_OOB", MSG_OOB }, { "MSG_CTRUNC", MSG_CTRUNC },
		     { "MSG_EOR", MSG_EOR }, { "MSG_CMSG_CLOEXEC", MSG_CMSG_CLOEXEC },
		     { "MSG_WAITFORONE", MSG_WAITFORONE }, { "MSG_NOSIGNAL", MSG_NOSIGNAL },
		     { "MSG_CONFIRM", MSG_CONFIRM }, { "MSG_DONTROUTE", MSG_DONTROUTE },
		     { "MSG_ERRQUEUE", MSG_ERRQUEUE } };
	for (size_t size = 0; size < 20; size += 9) {
		int a, b;
		udp_pair(&a, &b);
		for (size_t i = 0; i < T_COUNT(rows); i++) {
			char buf[32] = { 0 };
			struct iovec v = { buf, size };
			struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_flags = 0x55555 };
			send(a, "twelve bytes", 12, 0);
			udp_wait(b);
			ssize_t r = recvmsg(b, &m, rows[i].flags);
			t_out("%s into %zu: %zd %s flags %#x '%s'", rows[i].name, size, r,
			      r < 0 ? t_errname(errno) : "", r < 0 ? 0 : m.msg_flags, buf);
			while (recv(b, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
				;
		}
		close(a);
		close(b);
	}
}

static void plain_calls(void)
{
	int a, b;
	char buf[16] = { 0 };
	udp_pair(&a, &b);
	for (int i = 0; i < 7; i++)
		send(a, "abcdef", 6, 0);
	t_sleep_ms(10);
	struct iovec v[3] = { { buf, 2 }, { buf + 4, 0 }, { buf + 8, 2 } };
	t_res("read", read(b, buf, 4));
	t_res("read of nothing", read(b, buf, 0));
	t_res("recv of nothing", recv(b, buf, 0, 0));
	t_res("readv", readv(b, v, 3));
	t_out("%.2s %.2s", buf, buf + 8);
	t_res("readv of nothing", readv(b, v + 1, 1));
	t_res("readv none", readv(b, v, 0));
	t_res("preadv2", preadv2(b, v, 3, -1, 0));
	t_res("preadv2 nowait", preadv2(b, v, 3, -1, RWF_NOWAIT));
	t_res("preadv2 bad flag", preadv2(b, v, 3, -1, 0x4000));
	t_res("pread", pread(b, buf, 4, 0));
	t_res("recvfrom without a name", recvfrom(b, buf, 16, 0, NULL, NULL));
	t_res("last", recv(b, buf, 16, MSG_DONTWAIT));
	t_res("none", recv(b, buf, 16, MSG_DONTWAIT));
	t_res("preadv2 nowait, none", preadv2(b, v, 3, -1, RWF_NOWAIT));
	close(a);
	close(b);
}

static void names(void)
{
	static const int rows[] = { 0, 1, 4, 8, 16, 17, 128, 500, -1 };
	struct sockaddr_in at, name;
	int b = udp_at(0, &at), a = udp_at(0, &name);
	char buf[8], big[512];
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		socklen_t len = (socklen_t)rows[i];
		memset(big, 0x55, sizeof(big));
		udp_sendto(a, "x", 1, &at);
		udp_wait(b);
		ssize_t r = recvfrom(b, buf, sizeof(buf), MSG_DONTWAIT, (void *)big, &len);
		size_t room = r < 0 ? 0 : rows[i] < 16 ? (size_t)rows[i] : 16, end = room;
		while (end < 128 && big[end] == 0x55)
			end++;
		t_out("recvfrom %d: %zd %s len %d, of the name %zu bytes %d, nothing behind %d", rows[i], r,
		      r < 0 ? t_errname(errno) : "", r < 0 ? 0 : (int)len, room,
		      memcmp(big, &name, room) == 0, end == 128);
		if (rows[i] >= 16 && r >= 0)
			t_out("from %s, its port %d", t_addr_name((void *)big),
			      ((struct sockaddr_in *)big)->sin_port == htons((uint16_t)t_port(a)));
	}
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		struct msghdr m = { .msg_name = big, .msg_namelen = (socklen_t)rows[i] };
		udp_sendto(a, "x", 1, &at);
		udp_wait(b);
		ssize_t r = recvmsg(b, &m, MSG_DONTWAIT);
		t_out("recvmsg %d: %zd %s len %d flags %#x", rows[i], r, r < 0 ? t_errname(errno) : "",
		      (int)m.msg_namelen, r < 0 ? 0 : m.msg_flags);
	}
	udp_sendto(a, "x", 1, &at);
	udp_wait(b);
	t_res("bad length pointer", recvfrom(b, buf, sizeof(buf), MSG_DONTWAIT, (void *)&at, (void *)24));
	udp_sendto(a, "x", 1, &at);
	udp_wait(b);
	socklen_t len = 16;
	t_res("bad name pointer", recvfrom(b, buf, 8, MSG_DONTWAIT, (void *)8, &len));
	while (recv(b, buf, 8, MSG_DONTWAIT) >= 0)
		;
	close(a);
	close(b);
}

static void bad_pointers(void)
{
	int a, b;
	char buf[8];
	struct iovec bad[2] = { { buf, 2 }, { (void *)16, 4 } };
	struct iovec negative[2] = { { buf, 2 }, { buf, (size_t)-1 } };
	struct msghdr m = { .msg_iov = bad, .msg_iovlen = 2 };
	udp_pair(&a, &b);
	t_res("none there, recv", recv(b, (void *)16, 8, MSG_DONTWAIT));
	t_res("none there, negative", readv(b, negative, 2));
	for (int i = 0; i < 5; i++)
		send(a, "abcdef", 6, 0);
	t_sleep_ms(10);
	t_res("peek", recv(b, (void *)16, 8, MSG_DONTWAIT | MSG_PEEK));
	t_res("recv", recv(b, (void *)16, 8, MSG_DONTWAIT));
	t_res("recvmsg", recvmsg(b, &m, MSG_DONTWAIT));
	t_res("recvmsg null", recvmsg(b, NULL, MSG_DONTWAIT));
	m.msg_iov = negative;
	t_res("recvmsg negative", recvmsg(b, &m, MSG_DONTWAIT));
	m.msg_iovlen = 1025;
	t_res("recvmsg many", recvmsg(b, &m, MSG_DONTWAIT));
	m.msg_iov = (void *)16;
	m.msg_iovlen = 1;
	t_res("recvmsg list", recvmsg(b, &m, MSG_DONTWAIT));
	m.msg_iovlen = 0;
	t_res("recvmsg nothing", recvmsg(b, &m, MSG_DONTWAIT));
	t_out("flags %#x", m.msg_flags);
	t_res("left", recv(b, buf, 8, MSG_DONTWAIT));
	t_res("left", recv(b, buf, 8, MSG_DONTWAIT));
	t_res("left", recv(b, buf, 8, MSG_DONTWAIT));
	close(a);
	close(b);
}

static void peeking(void)
{
	int a, b, v = -2;
	char buf[16] = { 0 };
	socklen_t len = sizeof(v);
	udp_pair(&a, &b);
	send(a, "0123456789", 10, 0);
	send(a, "abcdef", 6, 0);
	udp_wait(b);
	t_sleep_ms(5);
	t_res("peek 4", recv(b, buf, 4, MSG_PEEK));
	t_res("peek 4 again", recv(b, buf, 4, MSG_PEEK | MSG_TRUNC));
	getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &v, &len);
	t_out("offset %d", v);
	udp_int(b, SOL_SOCKET, SO_PEEK_OFF, 2);
	for (int i = 0; i < 6; i++) {
		ssize_t n = recv(b, buf, 4, MSG_PEEK | MSG_DONTWAIT);
		t_out("peek %zd '%.*s'", n, n > 0 ? (int)n : 0, buf);
		getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &v, &len);
		t_out("offset %d", v);
	}
	t_res("take", recv(b, buf, 16, MSG_DONTWAIT));
	getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &v, &len);
	t_out("offset %d", v);
	ssize_t n = recv(b, buf, 4, MSG_PEEK | MSG_DONTWAIT);
	t_out("peek %zd '%.*s'", n, n > 0 ? (int)n : 0, buf);
	t_res("take part", recv(b, buf, 3, MSG_DONTWAIT));
	getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, &v, &len);
	t_out("offset %d", v);
	udp_int(b, SOL_SOCKET, SO_PEEK_OFF, -1);
	t_res("none", recv(b, buf, 16, MSG_PEEK | MSG_DONTWAIT));
	close(a);
	close(b);
}

static void next_length(void)
{
	int a, b, n = -1;
	udp_pair(&a, &b);
	t_res("FIONREAD", ioctl(b, FIONREAD, &n));
	t_out("none: %d", n);
	send(a, "", 0, 0);
	send(a, "abc", 3, 0);
	send(a, "abcdefg", 7, 0);
	for (int i = 0; i < 4; i++) {
		char buf[8];
		if (i < 3)
			udp_wait(b);
		ioctl(b, FIONREAD, &n);
		t_out("next: %d", n);
		t_res("recv", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	}
	t_res("SIOCOUTQ", ioctl(a, TIOCOUTQ, &n));
	t_res("bad pointer", ioctl(b, FIONREAD, (void *)8));
	t_res("SIOCATMARK", ioctl(b, 0x8905, &n));
	int on = 1;
	t_res("FIONBIO", ioctl(b, FIONBIO, &on));
	t_out("flags %#x", fcntl(b, F_GETFL));
	t_res("read", read(b, &on, 1));
	on = 0;
	t_res("FIONBIO", ioctl(b, FIONBIO, &on));
	t_out("flags %#x", fcntl(b, F_GETFL));
	t_res("F_SETFL", fcntl(b, F_SETFL, O_NONBLOCK | O_APPEND));
	t_out("flags %#x", fcntl(b, F_GETFL));
	t_res("read", read(b, &on, 1));
	close(a);
	close(b);
}

static void many_at_once(void)
{
	int a, b;
	char buf[8][8] = { { 0 } };
	struct iovec v[8];
	struct mmsghdr m[8] = { 0 };
	struct timespec t = { .tv_nsec = 20000000 }, bad = { .tv_nsec = -1 };
	udp_pair(&a, &b);
	for (int i = 0; i < 8; i++) {
		v[i] = (struct iovec){ buf[i], 4 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
	}
	t_res("none", recvmmsg(b, m, 8, MSG_DONTWAIT, NULL));
	for (int i = 0; i < 5; i++)
		send(a, "abcdefg", (size_t)i + 1, 0);
	t_sleep_ms(10);
	t_res("two", recvmmsg(b, m, 2, 0, NULL));
	t_out("%u %u", m[0].msg_len, m[1].msg_len);
	t_res("what is there", recvmmsg(b, m, 8, MSG_DONTWAIT, NULL));
	t_out("%u %u %u flags %#x", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[2].msg_hdr.msg_flags);
	send(a, "x", 1, 0);
	t_res("wait for one", recvmmsg(b, m, 8, MSG_WAITFORONE, NULL));
	t_res("bad time", recvmmsg(b, m, 8, 0, &bad));
	t_res("nothing wanted", recvmmsg(b, m, 0, 0, NULL));
	t_res("null", recvmmsg(b, NULL, 1, MSG_DONTWAIT, NULL));
	send(a, "x", 1, 0);
	send(a, "y", 1, 0);
	udp_int(b, SOL_SOCKET, SO_RCVTIMEO, 0);
	struct timeval tv = { .tv_usec = 50000 };
	setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_res("with a time", recvmmsg(b, m, 8, 0, &t));
	t_out("time left %d", t.tv_sec || t.tv_nsec);
	close(a);
	close(b);
}

/* ---- control messages ---- */
static void show_control(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in_pktinfo info;
		struct sockaddr_in in;
		int v = 0;
		size_t n = c->cmsg_len - CMSG_LEN(0);
		memcpy(&v, CMSG_DATA(c), n < sizeof(v) ? n : sizeof(v));
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			t_out("  PKTINFO interface %d for me %d to me %d", info.ipi_ifindex != 0,
			      info.ipi_spec_dst.s_addr == t_addr(0).sin_addr.s_addr,
			      info.ipi_addr.s_addr == t_addr(0).sin_addr.s_addr);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(&in, CMSG_DATA(c), sizeof(in));
			t_out("  ORIGDSTADDR %s", t_addr_name(&in));
		} else if (c->cmsg_level == SOL_SOCKET) {
			t_out("  socket %d, %zu bytes", c->cmsg_type, n);
		} else {
			t_out("  level %d type %d, %zu bytes: %d", c->cmsg_level, c->cmsg_type, n, v);
		}
	}
}

static void recv_control(const char *what, int fd, size_t room)
{
	_Alignas(struct cmsghdr) char control[512];
	char buf[64];
	struct iovec v = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = room };
	udp_wait(fd);
	ssize_t r = recvmsg(fd, &m, MSG_DONTWAIT);
	t_out("%s, room %zu: %zd used %zu flags %#x", what, room, r, m.msg_controllen, m.msg_flags);
	if (!(m.msg_flags & MSG_CTRUNC))
		show_control(&m);
}

static const struct {
	const char *name;
	int level, option;
} wants[] = { { "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO },
	      { "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL },
	      { "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS },
	      { "IP_RECVORIGDSTADDR", IPPROTO_IP, IP_RECVORIGDSTADDR },
	      { "IP_RECVOPTS", IPPROTO_IP, IP_RECVOPTS },
	      { "IP_RETOPTS", IPPROTO_IP, IP_RETOPTS },
	      { "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
	      { "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS },
	      { "SO_TIMESTAMP_NEW", SOL_SOCKET, SO_TIMESTAMP_NEW },
	      { "SO_TIMESTAMPNS_NEW", SOL_SOCKET, SO_TIMESTAMPNS_NEW },
	      { "SO_RXQ_OVFL", SOL_SOCKET, SO_RXQ_OVFL },
	      { "UDP_GRO", IPPROTO_UDP, UDP_GRO },
	      { "IP_RECVERR", IPPROTO_IP, IP_RECVERR } };

static void control_one_by_one(void)
{
	int a, b;
	udp_pair(&a, &b);
	udp_int(a, IPPROTO_IP, IP_TTL, 77);
	udp_int(a, IPPROTO_IP, IP_TOS, 0x28);
	for (size_t i = 0; i < T_COUNT(wants); i++) {
		udp_int(b, wants[i].level, wants[i].option, 1);
		send(a, "x", 1, 0);
		recv_control(wants[i].name, b, 512);
		udp_int(b, wants[i].level, wants[i].option, 0);
		send(a, "x", 1, 0);
		recv_control("off", b, 512);
	}
	close(a);
	close(b);
}

static void control_all_together(void)
{
	int a, b;
	udp_pair(&a, &b);
	for (size_t i = 0; i < 7; i++)
		udp_int(b, wants[i].level, wants[i].option, 1);
	for (size_t room = 0; room < 200; room += 7) {
		send(a, "x", 1, 0);
		recv_control("all", b, room);
	}
	close(a);
	close(b);
}

static void control_of_one_send(void)
{
	_Alignas(struct cmsghdr) char control[128] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };
	int a, b, ttl = 33, tos = 0x10;
	udp_pair(&a, &b);
	udp_int(b, IPPROTO_IP, IP_RECVTTL, 1);
	udp_int(b, IPPROTO_IP, IP_RECVTOS, 1);
	m.msg_controllen = 2 * CMSG_SPACE(sizeof(int));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL };
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	c = CMSG_NXTHDR(&m, c);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TOS };
	memcpy(CMSG_DATA(c), &tos, sizeof(tos));
	t_res("sendmsg", sendmsg(a, &m, 0));
	recv_control("said", b, 512);
	send(a, "x", 1, 0);
	recv_control("not said", b, 512);
	close(a);
	close(b);
}

static void times_are_right(void)
{
	_Alignas(struct cmsghdr) char control[128];
	struct timespec before, after, at = { 0 };
	char buf[8];
	struct iovec v = { buf, 8 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int a, b;
	udp_pair(&a, &b);
	udp_int(b, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	/* Linux needs a moment to begin. */
	for (int i = 0; i < 3; i++) {
		send(a, "x", 1, 0);
		udp_wait(b);
		recv(b, buf, 8, 0);
	}
	clock_gettime(CLOCK_REALTIME, &before);
	send(a, "x", 1, 0);
	udp_wait(b);
	recvmsg(b, &m, 0);
	clock_gettime(CLOCK_REALTIME, &after);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		memcpy(&at, CMSG_DATA(c), sizeof(at));
	int64_t ns[3] = { before.tv_sec * 1000000000ll + before.tv_nsec - 2000000,
			  at.tv_sec * 1000000000ll + at.tv_nsec,
			  after.tv_sec * 1000000000ll + after.tv_nsec };
	t_out("in order %d", ns[0] <= ns[1] && ns[1] <= ns[2]);
	close(a);
	close(b);
}

static void coalesced(void)
{
	_Alignas(struct cmsghdr) char control[128];
	static char out[8000], in[70000];
	int a, b;
	size_t total = 0;
	struct iovec v = { in, sizeof(in) };
	udp_pair(&a, &b);
	udp_int(b, IPPROTO_UDP, UDP_GRO, 1);
	udp_int(a, IPPROTO_UDP, UDP_SEGMENT, 1000);
	t_res("send", send(a, out, 7500, 0));
	while (total < 7500 && udp_wait(b)) {
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t r = recvmsg(b, &m, MSG_DONTWAIT);
		if (r < 0)
			break;
		total += (size_t)r;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			int size = 0;
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			t_out("level %d type %d len %zu: %d", c->cmsg_level, c->cmsg_type,
			      (size_t)c->cmsg_len, size);
		}
	}
	t_out("total %zu", total);
	close(a);
	close(b);
}

/* ---- waiting ---- */
static void time_limit(void)
{
	static const struct {
		long sec, usec;
	} rows[] = { { 0, 30000 }, { 0, 1 }, { -1, 0 } };
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		struct timeval tv = { rows[i].sec, rows[i].usec }, got;
		socklen_t len = sizeof(got);
		char buf[8];
		int fd = udp_at(0, NULL);
		t_res("set", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
		getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
		t_out("reads %ld.%06ld", got.tv_sec, got.tv_usec);
		uint64_t t = t_now_ms();
		t_res("recv", recv(fd, buf, 8, 0));
		t = t_now_ms() - t;
		t_out("long enough %d", t + 1 >= (uint64_t)(rows[i].usec / 1000));
		close(fd);
	}
}

static int wake_fd;
static struct sockaddr_in wake_to;
static int wake_tid;

static void *wake(void *arg)
{
	t_until_asleep(wake_tid);
	if (arg)
		syscall(SYS_tgkill, getpid(), wake_tid, SIGUSR1);
	else
		udp_sendto(wake_fd, "wake", 4, &wake_to);
	return NULL;
}

static void nothing(int sig)
{
}

static void blocking_is_woken(void)
{
	pthread_t t;
	char buf[8];
	int fd = udp_at(0, &wake_to);
	wake_fd = udp();
	wake_tid = t_self();
	pthread_create(&t, NULL, wake, NULL);
	t_res("recv", recv(fd, buf, 8, 0));
	pthread_join(t, NULL);
	close(fd);
	fd = udp();
	struct sockaddr_in any = { .sin_family = AF_INET };
	t_res("bind", bind(fd, (void *)&any, sizeof(any)));
	wake_to = t_addr(t_port(fd));
	pthread_create(&t, NULL, wake, NULL);
	t_res("recv of any", recv(fd, buf, 8, 0));
	pthread_join(t, NULL);
	close(fd);
	close(wake_fd);
}

static void signals_interrupt(void)
{
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = { .sa_handler = nothing, .sa_flags = restart ? SA_RESTART : 0 };
		struct timeval tv = { .tv_usec = 200000 };
		pthread_t t;
		char buf[8];
		int fd = udp_at(0, NULL);
		sigaction(SIGUSR1, &sa, NULL);
		if (restart)
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		wake_tid = t_self();
		pthread_create(&t, NULL, wake, &sa);
		t_res(restart ? "restart, with a limit" : "no restart", recv(fd, buf, 8, 0));
		pthread_join(t, NULL);
		close(fd);
	}
}

/* Blocked before the socket has any name. */
static void *send_first(void *arg)
{
	int fd = *(int *)arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[8];
	t_until_asleep(wake_tid);
	udp_sendto(fd, "ask", 3, &wake_to);
	udp_wait(wake_fd);
	recvfrom(wake_fd, buf, 8, MSG_DONTWAIT, (void *)&from, &len);
	udp_sendto(wake_fd, "answer", 6, &from);
	return NULL;
}

static void blocked_before_it_has_a_name(void)
{
	pthread_t t;
	char buf[8];
	int fd = udp();
	wake_fd = udp_at(0, &wake_to);
	wake_tid = t_self();
	pthread_create(&t, NULL, send_first, &fd);
	t_res("recv", recv(fd, buf, 8, 0));
	pthread_join(t, NULL);
	close(fd);
	close(wake_fd);
}

static void full_buffer_drops_the_newest(void)
{
	int a, b, n = 0, first = -1, last = -1, v;
	udp_pair(&a, &b);
	udp_int(b, SOL_SOCKET, SO_RCVBUF, 8192);
	for (int i = 0; i < 1000; i++)
		send(a, &i, sizeof(i), 0);
	t_sleep_ms(30);
	while (recv(b, &v, sizeof(v), MSG_DONTWAIT) > 0) {
		first = n++ ? first : v;
		last = v;
	}
	t_out("some %d, not all %d, the oldest %d, without a gap %d", n > 0, n < 1000, first == 0,
	      last == n - 1);
	close(a);
	close(b);
}

T_MAIN(T_CASE(flags), T_CASE(plain_calls), T_CASE(names), T_CASE(bad_pointers), T_CASE(peeking),
       T_CASE(next_length), T_CASE(many_at_once), T_CASE(control_one_by_one),
       T_CASE(control_all_together), T_CASE(control_of_one_send), T_CASE(times_are_right),
       T_CASE(coalesced), T_CASE(time_limit), T_CASE(blocking_is_woken), T_CASE(signals_interrupt),
       T_CASE(blocked_before_it_has_a_name), T_CASE(full_buffer_drops_the_newest))
