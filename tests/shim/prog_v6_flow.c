/* Flow labels: which one a datagram carries (IPV6_AUTOFLOWLABEL, IPV6_FLOWINFO_SEND, IPV6_FLOWINFO as control
 * message), what receivers are told of them, and what names of peers show. */
// SPDX-License-Identifier: MIT
#include "tests/shim/six.h"

enum { FLOWINFO = 11, FLOWLABEL_MGR = 32, FLOWINFO_SEND = 33, AUTOFLOWLABEL = 70, TXREHASH = 74 };

static void set_int(int fd, int name, int v)
{
	if (setsockopt(fd, IPPROTO_IPV6, name, &v, sizeof(v)) < 0)
		t_out("option %d: %s", name, t_errname(errno));
}

static int receiver(struct sockaddr_in6 *at)
{
	int fd = six_socket(SOCK_DGRAM, -1);

	*at = six_addr(0);
	bind(fd, (void *)at, sizeof(*at));
	*at = six_addr(six_port(fd));
	set_int(fd, FLOWINFO, 1);
	return fd;
}

/* The label and class of the next datagram; those that the stack chooses itself are "some". */
static uint32_t label(const char *what, int fd, bool given)
{
	char buf[16], ctl[256];
	struct sockaddr_in6 from;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	uint32_t v = 0;

	t_until(fd, POLLIN);
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
	t_out("%s: %zd from flow %u", what, n, ntohl(from.sin6_flowinfo));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		v = c->cmsg_type == FLOWINFO ? ntohl(v) : v;
		if (c->cmsg_type != FLOWINFO)
			t_out("  type %d: %u", c->cmsg_type, v);
		else if (given)
			t_out("  flow %x len %zu", v, c->cmsg_len);
		else
			t_out("  class %x label %s", v >> 20, v & 0xfffff ? "some" : "none");
	}
	return v & 0xfffff;
}

static struct sockaddr_in6 with_flow(struct sockaddr_in6 a, uint32_t flow)
{
	a.sin6_flowinfo = htonl(flow);
	return a;
}

static void send_to(int fd, struct sockaddr_in6 to)
{
	t_res("sendto", sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)));
}

static void automatic(void)
{
	struct sockaddr_in6 at;
	int s = receiver(&at), c = six_socket(SOCK_DGRAM, -1), d = six_socket(SOCK_DGRAM, -1);

	send_to(c, at);
	uint32_t first = label("default", s, false);
	send_to(c, at);
	t_out("same %d", first == label("again", s, false));
	set_int(c, IPV6_TCLASS, 0x28);
	send_to(c, at);
	label("class", s, false);
	set_int(c, AUTOFLOWLABEL, 0);
	send_to(c, at);
	label("off", s, true);
	set_int(c, IPV6_TCLASS, 0);
	send_to(c, at);
	label("neither", s, true);
	set_int(c, AUTOFLOWLABEL, 1);
	send_to(c, at);
	label("on", s, false);
	t_res("connect", connect(d, (void *)&at, sizeof(at)));
	t_res("send", send(d, "x", 1, 0));
	first = label("connected", s, false);
	t_res("send", send(d, "x", 1, 0));
	t_out("same %d", first == label("again", s, false));
	set_int(d, AUTOFLOWLABEL, 0);
	t_res("send", send(d, "x", 1, 0));
	label("off", s, true);
	close(c);
	close(d);
	close(s);
}

static void told_with_others(void)
{
	struct sockaddr_in6 at;
	int s = receiver(&at), c = six_socket(SOCK_DGRAM, -1);

	set_int(c, FLOWINFO_SEND, 1);
	set_int(c, IPV6_TCLASS, 0x28);
	set_int(s, IPV6_RECVTCLASS, 1);
	set_int(s, IPV6_RECVHOPLIMIT, 1);
	set_int(s, IPV6_2292HOPLIMIT, 1);
	send_to(c, with_flow(at, 0x12345));
	label("all", s, true);
	set_int(s, FLOWINFO, 0);
	send_to(c, with_flow(at, 0x12345));
	label("without", s, true);
	close(c);
	close(s);
}

static void given_by_address(void)
{
	static const uint32_t flows[] = { 0x12345, 0xfffff, 0x0ab54321, 0x0fffffff, 0xf0012345, 0x00300001 };
	struct sockaddr_in6 at;
	int s = receiver(&at), c = six_socket(SOCK_DGRAM, -1);

	send_to(c, with_flow(at, 0x12345));
	t_out("not asked for %d", label("before", s, false) != 0x12345);
	set_int(c, FLOWINFO_SEND, 1);
	for (size_t i = 0; i < T_COUNT(flows); i++) {
		t_out("flow %x", flows[i]);
		send_to(c, with_flow(at, flows[i]));
		label("got", s, true);
	}
	send_to(c, with_flow(at, 0));
	label("zero", s, false);
	set_int(c, AUTOFLOWLABEL, 0);
	send_to(c, with_flow(at, 0x777));
	label("not automatic", s, true);
	set_int(c, FLOWINFO_SEND, 0);
	send_to(c, with_flow(at, 0x777));
	label("no longer", s, true);
	close(c);
	close(s);
}

static void given_by_control_message(void)
{
	static const struct { uint32_t flow; size_t len; bool also_address; } ask[] = {
		{ 0x54321, 4, false }, { 0, 4, false }, { 0x0ff54321, 4, false }, { 0xf0054321, 4, false },
		{ 0x54321, 3, false }, { 0x54321, 8, false }, { 0x54321, 4, true }, { 0, 4, true },
		{ 0xf0054321, 4, true },
	};
	struct sockaddr_in6 at;
	int s = receiver(&at), c = six_socket(SOCK_DGRAM, -1);

	for (size_t i = 0; i < T_COUNT(ask); i++) {
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(16)] = { 0 };
		struct sockaddr_in6 to = with_flow(at, ask[i].also_address ? 0x777 : 0);
		struct iovec iov = { "x", 1 };
		struct msghdr m = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov,
				    .msg_iovlen = 1, .msg_control = ctl,
				    .msg_controllen = CMSG_LEN(ask[i].len) };
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		uint32_t v = htonl(ask[i].flow);

		set_int(c, FLOWINFO_SEND, ask[i].also_address);
		*h = (struct cmsghdr){ CMSG_LEN(ask[i].len), IPPROTO_IPV6, FLOWINFO };
		memcpy(CMSG_DATA(h), &v, sizeof(v));
		t_out("flow %x length %zu address %d", ask[i].flow, ask[i].len, ask[i].also_address);
		if (t_res("sendmsg", sendmsg(c, &m, 0)) > 0)
			label("got", s, ask[i].flow != 0);
	}
	close(c);
	close(s);
}

static void peer_name(const char *what, int fd)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t len = sizeof(a);
	int r = getpeername(fd, (void *)&a, &len);

	t_out("%s: %d flow %x", what, r, ntohl(a.sin6_flowinfo));
	memset(&a, 0, sizeof(a));
	len = sizeof(a);
	r = getsockopt(fd, SOL_SOCKET, 28 /* SO_PEERNAME */, &a, &len);
	t_out("  %d flow %x", r, ntohl(a.sin6_flowinfo));
	len = sizeof(a);
	r = getsockname(fd, (void *)&a, &len);
	t_out("  own %d flow %x", r, ntohl(a.sin6_flowinfo));
}

static void connected_datagrams(void)
{
	struct sockaddr_in6 at, to, mapped;
	int s = receiver(&at), c = six_socket(SOCK_DGRAM, -1);

	set_int(c, FLOWINFO_SEND, 1);
	to = with_flow(at, 0x0af12345);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	peer_name("connected", c);
	t_res("send", send(c, "x", 1, 0));
	label("got", s, true);
	send_to(c, with_flow(at, 0x777));
	label("named", s, true);
	set_int(c, FLOWINFO_SEND, 0);
	peer_name("off", c);
	t_res("send", send(c, "x", 1, 0));
	label("still", s, true);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	t_res("send", send(c, "x", 1, 0));
	label("connected without", s, false);
	set_int(c, FLOWINFO_SEND, 1);
	peer_name("on", c);
	close(c);
	c = six_socket(SOCK_DGRAM, -1);
	set_int(c, FLOWINFO_SEND, 1);
	mapped = with_flow(six_mapped(9), 0x99);
	t_res("connect by IPv4", connect(c, (void *)&mapped, sizeof(mapped)));
	peer_name("by IPv4", c);
	close(c);
	close(s);
}

static int streams(uint32_t flow, int send_it, int *server)
{
	struct sockaddr_in6 at = six_addr(0), to, from = { 0 };
	int l = six_socket(SOCK_STREAM, -1), c = six_socket(SOCK_STREAM, -1);
	socklen_t len = sizeof(from);

	bind(l, (void *)&at, sizeof(at));
	listen(l, 1);
	set_int(l, FLOWINFO_SEND, send_it);
	set_int(c, FLOWINFO_SEND, send_it);
	to = with_flow(six_addr(six_port(l)), flow);
	t_res("connect", connect(c, (void *)&to, sizeof(to)));
	*server = accept(l, (void *)&from, &len);
	t_out("from flow %x", ntohl(from.sin6_flowinfo));
	close(l);
	return c;
}

static void connected_streams(void)
{
	static const uint32_t flows[] = { 0x12345, 0, 0x0fffffff, 0xf0012345 };

	for (size_t i = 0; i < T_COUNT(flows); i++) {
		int s, c = streams(flows[i], 1, &s);

		t_out("flow %x", flows[i]);
		peer_name("client", c);
		peer_name("server", s);
		t_res("send", send(c, "x", 1, 0));
		char b;
		t_res("recv", t_read_all(s, &b, 1));
		set_int(c, FLOWINFO_SEND, 0);
		peer_name("off", c);
		close(c);
		close(s);
	}
	int s, c = streams(0x12345, 0, &s);

	set_int(c, FLOWINFO_SEND, 1);
	peer_name("too late", c);
	close(c);
	close(s);
}

/* What names no label is refused, whatever has the others. */
static void manager_errors(void)
{
	struct { struct in6_addr dst; uint32_t label; uint8_t action, share; uint16_t flags, expires, linger;
		 uint32_t pad; } req;
	static const struct { int action; socklen_t len; } ask[] = {
		{ 0, sizeof(req) - 1 }, { 9, sizeof(req) }, { 1, sizeof(req) }, { 2, sizeof(req) } };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (size_t t = 0; t < T_COUNT(types); t++) {
		for (size_t i = 0; i < T_COUNT(ask); i++) {
			int fd = six_socket(types[t], -1);

			memset(&req, 0, sizeof(req));
			req.action = (uint8_t)ask[i].action;
			req.label = htonl(0x4242);
			t_out("type %d action %d length %u", types[t], ask[i].action, ask[i].len);
			t_res("  set", setsockopt(fd, IPPROTO_IPV6, FLOWLABEL_MGR, &req, ask[i].len));
			close(fd);
		}
	}
}

T_MAIN(T_CASE(automatic), T_CASE(told_with_others), T_CASE(given_by_address),
       T_CASE(given_by_control_message), T_CASE(connected_datagrams), T_CASE(connected_streams),
       T_CASE(manager_errors))
