/* Sending datagrams: flags, addresses, bad arguments, vectors, many at once, MSG_MORE and UDP_CORK,
 * UDP_SEGMENT, control messages, a full buffer. */
// SPDX-License-Identifier: MIT
#include <linux/net_tstamp.h>
#include <sys/sendfile.h>
#include "tests/shim/udp.h"

static void flags(void)
{
	static const struct {
		const char *name;
		int flags;
	} rows[] = { { "0", 0 }, { "MSG_DONTWAIT", MSG_DONTWAIT }, { "MSG_NOSIGNAL", MSG_NOSIGNAL },
		     { "MSG_OOB", MSG_OOB }, { "MSG_PEEK", MSG_PEEK }, { "MSG_DONTROUTE", MSG_DONTROUTE },
		     { "MSG_TRUNC", MSG_TRUNC }, { "MSG_CTRUNC", MSG_CTRUNC }, { "MSG_EOR", MSG_EOR },
		     { "MSG_WAITALL", MSG_WAITALL }, { "MSG_FIN", MSG_FIN }, { "MSG_SYN", MSG_SYN },
		     { "MSG_CONFIRM", MSG_CONFIRM }, { "MSG_RST", MSG_RST }, { "MSG_PROBE", 0x10 },
		     { "MSG_CONFIRM|MSG_PROBE", MSG_CONFIRM | 0x10 }, { "MSG_ERRQUEUE", MSG_ERRQUEUE },
		     { "MSG_WAITFORONE", MSG_WAITFORONE }, { "MSG_BATCH", 0x40000 },
		     { "MSG_ZEROCOPY", MSG_ZEROCOPY }, { "MSG_FASTOPEN", MSG_FASTOPEN },
		     { "MSG_CMSG_CLOEXEC", MSG_CMSG_CLOEXEC }, { "bit 20", 1 << 20 } };
	for (int named = 0; named < 2; named++) {
		struct sockaddr_in at;
		int b = udp_at(0, &at), a = udp();
		if (!named)
			connect(a, (struct sockaddr *)&at, sizeof(at));
		for (size_t i = 0; i < T_COUNT(rows); i++) {
			char what[64], buf[16];
			snprintf(what, sizeof(what), "%s %s", named ? "named" : "connected",
				 rows[i].name);
			t_res(what, named ? sendto(a, "abc", 3, rows[i].flags, (void *)&at, sizeof(at)) :
					    send(a, "abc", 3, rows[i].flags));
			if (!(rows[i].flags & 0x10) && rows[i].flags != MSG_OOB && udp_wait(b))
				t_res("arrived", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
		}
		t_res("nothing more", recv(b, &at, 1, MSG_DONTWAIT));
		close(a);
		close(b);
	}
}

static void addresses(void)
{
	struct sockaddr_in at, bad;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int b = udp_at(0, &at), a = udp();
	char big[256] = { 0 };
	t_res("none", send(a, "x", 1, 0));
	t_res("write", write(a, "x", 1));
	t_res("null, length", sendto(a, "x", 1, 0, NULL, sizeof(at)));
	t_res("length 0", sendto(a, "x", 1, 0, (void *)&at, 0));
	t_res("length 1", sendto(a, "x", 1, 0, (void *)&at, 1));
	t_res("length 8", sendto(a, "x", 1, 0, (void *)&at, 8));
	t_res("length 15", sendto(a, "x", 1, 0, (void *)&at, 15));
	memcpy(big, &at, sizeof(at));
	t_res("length 128", sendto(a, "x", 1, 0, (void *)big, 128));
	t_res("length 129", sendto(a, "x", 1, 0, (void *)big, 129));
	t_res("length -1", sendto(a, "x", 1, 0, (void *)big, (socklen_t)-1));
	t_res("bad pointer", sendto(a, "x", 1, 0, (void *)8, sizeof(at)));
	t_res("IPv6", sendto(a, "x", 1, 0, (void *)&six, sizeof(six)));
	bad = at;
	bad.sin_family = AF_UNIX;
	t_res("AF_UNIX", sendto(a, "x", 1, 0, (void *)&bad, sizeof(bad)));
	bad.sin_family = AF_UNSPEC;
	t_res("AF_UNSPEC", sendto(a, "y", 1, 0, (void *)&bad, sizeof(bad)));
	bad = at;
	bad.sin_port = 0;
	t_res("port 0", sendto(a, "x", 1, 0, (void *)&bad, sizeof(bad)));
	inet_pton(AF_INET, "255.255.255.255", &bad.sin_addr);
	bad.sin_port = at.sin_port;
	struct msghdr m = { .msg_name = &at, .msg_namelen = 0 };
	t_res("sendmsg, length 0", sendmsg(a, &m, 0));
	m.msg_namelen = 200;
	m.msg_name = big;
	t_res("sendmsg, length 200", sendmsg(a, &m, 0));
	m.msg_namelen = (socklen_t)-1;
	t_res("sendmsg, length -1", sendmsg(a, &m, 0));
	udp_show("length 128", b);
	udp_show("AF_UNSPEC", b);
	udp_show("sendmsg, length 200", b);
	udp_show("nothing more", b);
	close(a);
	close(b);
}

static void bad_pointers(void)
{
	int a, b;
	struct iovec bad[2] = { { "ab", 2 }, { (void *)16, 4 } };
	struct iovec negative[2] = { { "ab", 2 }, { "cd", (size_t)-1 } };
	struct msghdr m = { .msg_iov = bad, .msg_iovlen = 2 };
	udp_pair(&a, &b);
	t_res("send", send(a, (void *)16, 10, 0));
	t_res("send of nothing", send(a, (void *)16, 0, 0));
	t_res("write", write(a, (void *)16, 10));
	t_res("writev", writev(a, bad, 2));
	t_res("writev list", writev(a, (void *)16, 2));
	t_res("writev negative", writev(a, negative, 2));
	t_res("writev none", writev(a, NULL, 0));
	t_res("writev many", writev(a, bad, 1025));
	t_res("writev -1", writev(a, bad, -1));
	t_res("sendmsg", sendmsg(a, &m, 0));
	t_res("sendmsg null", sendmsg(a, NULL, 0));
	m.msg_iov = negative;
	t_res("sendmsg negative", sendmsg(a, &m, 0));
	m.msg_iovlen = 1025;
	t_res("sendmsg many", sendmsg(a, &m, 0));
	m.msg_iov = (void *)16;
	m.msg_iovlen = 1;
	t_res("sendmsg list", sendmsg(a, &m, 0));
	m.msg_iovlen = 0;
	t_res("sendmsg nothing", sendmsg(a, &m, 0));
	m.msg_control = (void *)16;
	m.msg_controllen = 32;
	t_res("sendmsg control", sendmsg(a, &m, 0));
	udp_show("empty one", b);
	udp_show("empty one", b);
	t_res("nothing more", recv(b, &m, 1, MSG_DONTWAIT));
	close(a);
	close(b);
}

static void vectors(void)
{
	int a, b;
	struct iovec v[1024], none[2] = { { NULL, 0 }, { NULL, 0 } };
	char bytes[1024];
	udp_pair(&a, &b);
	for (int i = 0; i < 1024; i++) {
		bytes[i] = (char)('a' + i % 26);
		v[i] = (struct iovec){ &bytes[i], 1 };
	}
	t_res("writev 3", writev(a, v, 3));
	t_res("writev 1024", writev(a, v, 1024));
	t_res("writev of empty ones", writev(a, none, 2));
	struct msghdr m = { .msg_iov = none, .msg_iovlen = 2 };
	t_res("sendmsg of empty ones", sendmsg(a, &m, 0));
	t_res("write 0", write(a, "", 0));
	t_res("pwritev2", pwritev2(a, v, 5, -1, 0));
	t_res("pwritev2 nowait", pwritev2(a, v, 5, -1, RWF_NOWAIT));
	t_res("pwritev2 bad flag", pwritev2(a, v, 5, -1, 0x4000));
	t_res("pwrite", pwrite(a, "x", 1, 0));
	for (int i = 0; i < 6; i++)
		udp_show("got", b);
	t_res("nothing more", recv(b, &m, 1, MSG_DONTWAIT));
	close(a);
	close(b);
}

static void many_at_once(void)
{
	struct sockaddr_in at_b, at_c, dead = udp_dead();
	int a = udp(), b = udp_at(0, &at_b), c = udp_at(0, &at_c);
	struct iovec v[4] = { { "one", 3 }, { "four", 4 }, { "", 0 }, { "nine", 4 } };
	struct mmsghdr m[4] = { 0 };
	for (int i = 0; i < 4; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1,
						.msg_name = i & 1 ? &at_c : &at_b,
						.msg_namelen = sizeof(at_b) };
	t_res("sendmmsg", sendmmsg(a, m, 4, 0));
	t_out("lengths %u %u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[3].msg_len);
	udp_show("b", b);
	udp_show("b", b);
	udp_show("c", c);
	udp_show("c", c);
	m[2].msg_hdr.msg_namelen = 3;
	t_res("third is bad", sendmmsg(a, m, 4, 0));
	m[0].msg_hdr.msg_namelen = 3;
	t_res("first is bad", sendmmsg(a, m, 4, 0));
	t_res("none", sendmmsg(a, m, 0, 0));
	t_res("null", sendmmsg(a, NULL, 2, 0));
	t_res("null none", sendmmsg(a, NULL, 0, 0));
	udp_show("b", b);
	udp_show("c", c);
	(void)dead;
	close(a);
	close(b);
	close(c);
}

static void more_and_cork(void)
{
	int a, b;
	struct sockaddr_in at;
	char big[40000] = { 0 };
	udp_pair(&a, &b);
	t_res("more", send(a, "one ", 4, MSG_MORE));
	t_res("more", send(a, "two ", 4, MSG_MORE));
	t_res("pending", recv(b, big, 10, MSG_DONTWAIT));
	t_res("end", send(a, "three", 5, 0));
	udp_show("together", b);
	t_res("more", send(a, "a", 1, MSG_MORE));
	t_res("empty end", send(a, "", 0, 0));
	udp_show("alone", b);
	udp_int(a, IPPROTO_UDP, UDP_CORK, 1);
	t_res("corked", send(a, "cork ", 5, 0));
	t_res("corked", write(a, "and ", 4));
	struct iovec v[2] = { { "bot", 3 }, { "tle", 3 } };
	t_res("corked", writev(a, v, 2));
	udp_int(a, IPPROTO_UDP, UDP_CORK, 0);
	udp_show("uncorked", b);
	t_res("more", send(a, big, sizeof(big), MSG_MORE));
	t_res("too much", send(a, big, sizeof(big), 0));
	t_res("starts anew", send(a, "new", 3, 0));
	udp_show("new", b);
	close(a);
	a = udp();
	socklen_t len = sizeof(at);
	getsockname(b, (void *)&at, &len);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	connect(b, &none, sizeof(none));
	getsockname(b, (void *)&at, &len);
	if (!at.sin_port) {
		close(b);
		b = udp_at(0, &at);
	}
	t_res("more, named", sendto(a, "x", 1, MSG_MORE, (void *)&at, sizeof(at)));
	t_res("the rest needs no name", send(a, "y", 1, 0));
	udp_show("both", b);
	t_res("then it does", send(a, "z", 1, 0));
	udp_int(a, IPPROTO_UDP, UDP_CORK, 1);
	t_res("corked, named", udp_sendto(a, "c", 1, &at));
	close(a);
	t_sleep_ms(20);
	t_res("lost with the socket", recv(b, big, 10, MSG_DONTWAIT));
	close(b);
}

static void segments(void)
{
	static const struct {
		int gso;
		size_t len;
	} rows[] = { { 100, 250 },  { 100, 100 }, { 100, 99 },	 { 100, 300 },	 { 1, 128 },
		     { 1, 129 },    { 1472, 20000 }, { 1400, 65507 }, { 1400, 65508 }, { 0, 300 } };
	static char out[66000], in[70000];
	for (int by = 0; by < 2; by++) {
		int a, b;
		udp_pair(&a, &b);
		udp_int(b, SOL_SOCKET, SO_RCVBUF, 1 << 20);
		for (size_t i = 0; i < T_COUNT(rows); i++) {
			_Alignas(struct cmsghdr) char control[CMSG_SPACE(2)] = { 0 };
			struct iovec v = { out, rows[i].len };
			struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
			uint16_t size = (uint16_t)rows[i].gso;
			size_t total = 0, first = 0, n = 0, last = 0;
			if (by) {
				udp_int(a, IPPROTO_UDP, UDP_SEGMENT, rows[i].gso);
			} else {
				m.msg_control = control;
				m.msg_controllen = sizeof(control);
				struct cmsghdr *c = CMSG_FIRSTHDR(&m);
				c->cmsg_level = IPPROTO_UDP;
				c->cmsg_type = UDP_SEGMENT;
				c->cmsg_len = CMSG_LEN(2);
				memcpy(CMSG_DATA(c), &size, 2);
			}
			ssize_t r = sendmsg(a, &m, 0), got;
			t_out("%s %d of %zu: %zd %s", by ? "option" : "message", rows[i].gso, rows[i].len,
			      r, r < 0 ? t_errname(errno) : "");
			while (r > 0 && total < rows[i].len && udp_wait(b) &&
			       (got = recv(b, in, sizeof(in), MSG_DONTWAIT)) >= 0) {
				first = n++ ? first : (size_t)got;
				total += (size_t)got;
				last = (size_t)got;
			}
			t_out("%zu datagrams of %zu, last %zu, total %zu", n, first, last, total);
		}
		close(a);
		close(b);
	}
}

static void segment_option_values(void)
{
	static const int rows[] = { -1, 0, 1, 1000, 65535, 65536, 70000 };
	int fd = udp();
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		int v = rows[i], r = setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof(v));
		socklen_t len = sizeof(v);
		t_out("%d: %s", rows[i], r < 0 ? t_errname(errno) : "ok");
		getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &v, &len);
		t_out("reads %d", v);
	}
	close(fd);
}

/* One control message of a level and type with an int (or less) in it. */
static ssize_t send_with(int fd, int level, int type, const void *data, size_t n, size_t claim)
{
	_Alignas(struct cmsghdr) char control[128] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = CMSG_SPACE(n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = claim ? claim : CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	return sendmsg(fd, &m, MSG_DONTWAIT);
}

static void control_messages(void)
{
	static const struct {
		const char *name;
		int level, type, value;
		size_t size, claim;
	} rows[] = { { "IP_TTL 5", IPPROTO_IP, IP_TTL, 5, 4, 0 },
		     { "IP_TTL 0", IPPROTO_IP, IP_TTL, 0, 4, 0 },
		     { "IP_TTL 256", IPPROTO_IP, IP_TTL, 256, 4, 0 },
		     { "IP_TTL byte", IPPROTO_IP, IP_TTL, 5, 1, 0 },
		     { "IP_TOS 16", IPPROTO_IP, IP_TOS, 16, 4, 0 },
		     { "IP_TOS byte", IPPROTO_IP, IP_TOS, 16, 1, 0 },
		     { "IP_TOS 300", IPPROTO_IP, IP_TOS, 300, 4, 0 },
		     { "IP_TOS short", IPPROTO_IP, IP_TOS, 16, 2, 0 },
		     { "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL, 1, 4, 0 },
		     { "IP_PKTINFO int", IPPROTO_IP, IP_PKTINFO, 0, 4, 0 },
		     { "UDP_SEGMENT int", IPPROTO_UDP, UDP_SEGMENT, 100, 4, 0 },
		     { "UDP_GRO", IPPROTO_UDP, UDP_GRO, 100, 4, 0 },
		     { "SO_MARK", SOL_SOCKET, SO_MARK, 0, 4, 0 },
		     { "SO_MARK byte", SOL_SOCKET, SO_MARK, 0, 1, 0 },
		     { "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3, 4, 0 },
		     { "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 3, 4, 0 },
		     { "SO_TIMESTAMPING 0", SOL_SOCKET, SO_TIMESTAMPING, 0, 4, 0 },
		     { "SO_TIMESTAMPING -1", SOL_SOCKET, SO_TIMESTAMPING, -1, 4, 0 },
		     { "SCM_RIGHTS", SOL_SOCKET, SCM_RIGHTS, 0, 4, 0 },
		     { "unknown of socket", SOL_SOCKET, 999, 0, 4, 0 },
		     { "unknown of ip", IPPROTO_IP, 999, 0, 4, 0 },
		     { "unknown of udp", IPPROTO_UDP, 999, 0, 4, 0 },
		     { "unknown level", 999, 1, 0, 4, 0 },
		     { "ipv6 level", IPPROTO_IPV6, IPV6_HOPLIMIT, 5, 4, 0 },
		     { "too short", IPPROTO_IP, IP_TTL, 5, 4, 3 },
		     { "too long", IPPROTO_IP, IP_TTL, 5, 4, 100 } };
	int a, b;
	udp_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(rows); i++)
		t_res(rows[i].name, send_with(a, rows[i].level, rows[i].type, &rows[i].value, rows[i].size,
					      rows[i].claim));
	close(a);
	close(b);
}

static void source_by_pktinfo(void)
{
	struct in_pktinfo info = { 0 };
	struct sockaddr_in from = { 0 }, me = t_addr(0);
	socklen_t len = sizeof(from);
	char buf[8];
	int a, b;
	udp_pair(&a, &b);
	t_res("nothing said", send_with(a, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info), 0));
	info.ipi_spec_dst = me.sin_addr;
	t_res("own address", send_with(a, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info), 0));
	for (int i = 0; i < 2; i++) {
		udp_wait(b);
		recvfrom(b, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len);
		t_out("from %s", t_addr_name(&from));
	}
	close(a);
	close(b);
}

/* What is on its way counts against SO_SNDBUF; none is lost before the peer's buffer is full. */
static void blocking_when_full(void)
{
	static char big[60000];
	int a, b, n = 0;
	udp_pair(&a, &b);
	udp_int(a, SOL_SOCKET, SO_SNDBUF, 4096);
	for (int i = 0; i < 100; i++)
		n += send(a, big, sizeof(big), 0) == (ssize_t)sizeof(big);
	t_out("sent %d", n);
	t_out("writable %s", t_mask((uint32_t)t_until(a, POLLOUT) & POLLOUT));
	close(a);
	close(b);
}

static void sendfile_and_splice(void)
{
	static char bytes[70000], in[70000];
	static const size_t rows[] = { 0, 1, 1000, 5000, 65507, 65508, 70000 };
	char path[] = "/tmp/fastnet-udp-XXXXXX";
	int a, b, f = mkstemp(path), p[2];
	unlink(path);
	t_res("file", write(f, bytes, sizeof(bytes)) == sizeof(bytes));
	udp_pair(&a, &b);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		off_t off = 0;
		ssize_t r = sendfile(a, f, &off, rows[i]);
		t_out("sendfile %zu: %zd %s offset %ld", rows[i], r, r < 0 ? t_errname(errno) : "",
		      r < 0 ? 0 : (long)off);
		if (r > 0) {
			udp_wait(b);
			t_res("one datagram", recv(b, in, sizeof(in), MSG_DONTWAIT));
		}
	}
	t_ok("pipe", pipe(p));
	t_res("to the pipe", write(p[1], "abc", 3));
	t_res("splice in", splice(p[0], NULL, a, NULL, 3, 0));
	udp_show("spliced", b);
	send(a, "hello", 5, 0);
	send(a, "world", 5, 0);
	udp_wait(b);
	t_res("splice out", splice(b, NULL, p[1], NULL, 100, 0));
	udp_wait(b);
	t_res("splice out, cut", splice(b, NULL, p[1], NULL, 3, 0));
	t_res("from the pipe", read(p[0], in, 100));
	t_out("%.8s", in);
	close(p[0]);
	close(p[1]);
	close(f);
	close(a);
	close(b);
}

T_MAIN(T_CASE(flags), T_CASE(addresses), T_CASE(bad_pointers), T_CASE(vectors), T_CASE(many_at_once),
       T_CASE(more_and_cork), T_CASE(segments), T_CASE(segment_option_values), T_CASE(control_messages),
       T_CASE(source_by_pktinfo), T_CASE(blocking_when_full), T_CASE(sendfile_and_splice))
