/* Errors that come back: ECONNREFUSED, the error queue, SO_ERROR, what poll says about them. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static void show_error(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
	t_out("SO_ERROR %s", v ? t_errname(v) : "none");
}

static void wait_error(int fd)
{
	t_until(fd, POLLERR);
}

static void refused_once(void)
{
	struct sockaddr_in dead = udp_dead();
	char buf[8];
	int fd = udp();
	connect(fd, (void *)&dead, sizeof(dead));
	t_res("send", send(fd, "x", 1, 0));
	wait_error(fd);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	t_res("recv", recv(fd, buf, 8, MSG_DONTWAIT));
	t_res("recv again", recv(fd, buf, 8, MSG_DONTWAIT));
	t_res("send", send(fd, "x", 1, 0));
	wait_error(fd);
	t_res("send tells, too", send(fd, "x", 1, 0));
	t_res("once", send(fd, "", 0, 0));
	wait_error(fd);
	show_error(fd);
	show_error(fd);
	send(fd, "x", 1, 0);
	wait_error(fd);
	t_res("shutdown is not told", shutdown(fd, SHUT_RD));
	t_res("peek", recv(fd, buf, 8, MSG_DONTWAIT | MSG_PEEK));
	t_res("write", write(fd, "x", 1));
	wait_error(fd);
	close(fd);
}

static void blocked_recv_is_refused(void)
{
	struct sockaddr_in dead = udp_dead();
	char buf[8];
	int fd = udp();
	connect(fd, (void *)&dead, sizeof(dead));
	send(fd, "x", 1, 0);
	t_res("recv", recv(fd, buf, 8, 0));
	close(fd);
}

static void unconnected_is_not_told(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp_at(0, NULL);
	char buf[8];
	t_res("sendto", udp_sendto(fd, "x", 1, &dead));
	t_sleep_ms(30);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT)));
	t_res("recv", recv(fd, buf, 8, MSG_DONTWAIT));
	show_error(fd);
	close(fd);
}

/* One entry of the error queue. */
static void show_queue(int fd, int flags, size_t room)
{
	_Alignas(struct cmsghdr) char control[512];
	struct sockaddr_in to = { 0 };
	char buf[64] = { 0 };
	struct iovec v = { buf, room };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control), .msg_name = &to, .msg_namelen = sizeof(to) };
	ssize_t r = recvmsg(fd, &m, MSG_ERRQUEUE | flags);
	if (r < 0) {
		t_out("queue: %s", t_errname(errno));
		return;
	}
	t_out("queue: %zd '%s' to %s len %u flags %#x", r, buf, t_addr_name(&to), m.msg_namelen, m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct {
			struct sock_extended_err ee;
			struct sockaddr_in offender;
		} e;
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) {
			t_out("  level %d type %d", c->cmsg_level, c->cmsg_type);
			continue;
		}
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		t_out("  %s origin %u type %u code %u info %u data %u, offender %s, len %zu",
		      t_errname((int)e.ee.ee_errno), e.ee.ee_origin, e.ee.ee_type, e.ee.ee_code,
		      e.ee.ee_info, e.ee.ee_data, t_addr_name(&e.offender), (size_t)c->cmsg_len);
	}
}

static void queue_of_unconnected(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp();
	char buf[8];
	show_queue(fd, 0, 64);
	udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	t_res("sendto", udp_sendto(fd, "payload", 7, &dead));
	wait_error(fd);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	show_queue(fd, 0, 64);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	show_error(fd);
	show_queue(fd, 0, 64);
	t_res("recv", recv(fd, buf, 8, MSG_DONTWAIT));
	close(fd);
}

static void error_before_queue(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp();
	char buf[8];
	udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	udp_sendto(fd, "payload", 7, &dead);
	wait_error(fd);
	t_res("recv", recv(fd, buf, 8, MSG_DONTWAIT));
	t_res("once", recv(fd, buf, 8, MSG_DONTWAIT));
	t_out("still %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	show_queue(fd, MSG_DONTWAIT, 3);
	show_queue(fd, MSG_DONTWAIT, 64);
	udp_int(fd, IPPROTO_IP, IP_RECVERR, 0);
	close(fd);
}

static void queue_of_many(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp(), n = 0, tries = 0;
	char buf[8];
	udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	connect(fd, (void *)&dead, sizeof(dead));
	for (int i = 0; i < 3; i++) {
		n += send(fd, "abcd", 4, 0) == 4;
		while (recv(fd, buf, 8, MSG_DONTWAIT) < 0 && errno == EAGAIN && tries++ < 1000)
			t_sleep_ms(1);
	}
	t_out("sent %d, %s", n, t_errname(errno));
	show_queue(fd, 0, 64);
	show_error(fd);
	show_queue(fd, 0, 64);
	show_queue(fd, 0, 64);
	show_error(fd);
	show_queue(fd, 0, 64);
	close(fd);
}

static void queue_with_pktinfo(void)
{
	struct sockaddr_in dead = udp_dead();
	int fd = udp();
	udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	udp_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
	udp_sendto(fd, "x", 1, &dead);
	wait_error(fd);
	show_queue(fd, 0, 64);
	close(fd);
}

/* Longer than the path allows, and not to be cut. The way to an own address has no limit. */
static void too_long(void)
{
	static char big[65536];
	static const int discs[] = { IP_PMTUDISC_DONT, IP_PMTUDISC_WANT, IP_PMTUDISC_DO, IP_PMTUDISC_PROBE,
				     IP_PMTUDISC_INTERFACE, IP_PMTUDISC_OMIT };
	struct sockaddr_in at;
	int b = udp_at(0, &at);
	for (size_t i = 0; i < T_COUNT(discs); i++) {
		int fd = udp(), v = discs[i];
		socklen_t len = sizeof(v);
		udp_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, v);
		udp_int(fd, IPPROTO_IP, IP_RECVERR, 1);
		t_res("mtu, unconnected", getsockopt(fd, IPPROTO_IP, IP_MTU, &v, &len));
		connect(fd, (void *)&at, sizeof(at));
		t_out("discover %d", discs[i]);
		t_res("65507", send(fd, big, 65507, 0));
		/* The limit of Linux's lo is a byte above that of any packet: of no use. */
		if (discs[i] < IP_PMTUDISC_DO || discs[i] == IP_PMTUDISC_OMIT)
			t_res("65508", send(fd, big, 65508, 0));
		t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
		show_queue(fd, 0, 64);
		show_queue(fd, 0, 64);
		close(fd);
	}
	close(b);
}

static void no_way(void)
{
	struct sockaddr_in far = t_addr(9);
	int fd = udp();
	inet_pton(AF_INET, "203.0.113.9", &far.sin_addr);
	t_res("sendto", udp_sendto(fd, "x", 1, &far));
	t_res("connect", connect(fd, (void *)&far, sizeof(far)));
	inet_pton(AF_INET, "255.255.255.255", &far.sin_addr);
	t_res("broadcast", udp_sendto(fd, "x", 1, &far));
	inet_pton(AF_INET, "239.1.2.3", &far.sin_addr);
	t_res("group", udp_sendto(fd, "x", 1, &far));
	close(fd);
}

static void zerocopy_completions(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), fd = udp();
	char c;
	connect(fd, (void *)&at, sizeof(at));
	t_res("without the option", send(fd, "abc", 3, MSG_ZEROCOPY));
	show_queue(fd, 0, 64);
	udp_int(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < 3; i++)
		t_res("send", send(fd, "abc", i, MSG_ZEROCOPY));
	t_res("unmarked", send(fd, "abc", 3, 0));
	for (int i = 0; i < 5 && udp_wait(b); i++)
		recv(b, &c, 1, 0);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	show_queue(fd, 0, 64);
	show_queue(fd, 0, 64);
	t_out("ready %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI)));
	t_res("recv", recv(fd, &c, 1, MSG_DONTWAIT));
	close(fd);
	close(b);
}

static void after_recvmmsg(void)
{
	struct sockaddr_in dead = udp_dead(), at;
	struct iovec v[3];
	struct mmsghdr m[3] = { 0 };
	char buf[3][8];
	int fd = udp(), peer = udp_at(0, &at);
	for (int i = 0; i < 3; i++) {
		v[i] = (struct iovec){ buf[i], 8 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
	}
	connect(fd, (void *)&dead, sizeof(dead));
	send(fd, "x", 1, 0);
	wait_error(fd);
	t_res("recvmmsg", recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
	t_res("recvmmsg", recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
	send(fd, "x", 1, 0);
	wait_error(fd);
	t_res("sendmmsg", sendmmsg(fd, m, 2, 0));
	close(fd);
	close(peer);
}

T_MAIN(T_CASE(refused_once), T_CASE(blocked_recv_is_refused), T_CASE(unconnected_is_not_told),
       T_CASE(queue_of_unconnected), T_CASE(error_before_queue), T_CASE(queue_of_many),
       T_CASE(queue_with_pktinfo), T_CASE(too_long), T_CASE(no_way),
       T_CASE(zerocopy_completions), T_CASE(after_recvmmsg))
