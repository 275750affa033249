/* How long a datagram over IPv6 may be: IPV6_MTU_DISCOVER, IPV6_DONTFRAG, IPV6_MTU, what the error queue and
 * IPV6_RECVPATHMTU tell, and how the path's MTU is asked for. On an interface of 1500 bytes; nobody
 * answers there. */
// SPDX-License-Identifier: MIT
#include <time.h>
#include <linux/errqueue.h>
#include "tests/shim/six.h"

static const int names_of_int[] = { IPV6_MTU_DISCOVER, IPV6_DONTFRAG };

static int set_int(int fd, int name, int v)
{
	return setsockopt(fd, IPPROTO_IPV6, name, &v, sizeof(v));
}

/* Another station on the link each time, so that nobody hears of a neighbour that does not answer. */
static struct sockaddr_in6 station(void)
{
	static uint16_t next = 0x100;
	struct sockaddr_in6 a = six_addr(9);

	a.sin6_addr.s6_addr[14] = (uint8_t)(next >> 8);
	a.sin6_addr.s6_addr[15] = (uint8_t)next++;
	return a;
}

static const char *where(const struct sockaddr_in6 *a, const struct sockaddr_in6 *to)
{
	return !memcmp(&a->sin6_addr, &to->sin6_addr, 16) ? "station" : "elsewhere";
}

/* What a receive call with these flags has, without waiting. */
static void look(const char *what, int fd, int flags, const struct sockaddr_in6 *to)
{
	char buf[64], ctl[256];
	struct sockaddr_in6 from = { 0 };
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	ssize_t n = recvmsg(fd, &m, flags | MSG_DONTWAIT);

	if (n < 0) {
		t_out("  %s: %s", what, t_errname(errno));
		return;
	}
	t_out("  %s: %zd flags %x from %s port %u scope %u len %u", what, n, (unsigned)m.msg_flags,
	      where(&from, to), ntohs(from.sin6_port), from.sin6_scope_id, m.msg_namelen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct sock_extended_err ee;
		struct ip6_mtuinfo info;

		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR) {
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			t_out("    error %s origin %u info %u len %zu", t_errname((int)ee.ee_errno),
			      ee.ee_origin, ee.ee_info, c->cmsg_len);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PATHMTU) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			t_out("    mtu %u of %s family %d port %u flow %u scope %u len %zu", info.ip6m_mtu,
			      where(&info.ip6m_addr, to), info.ip6m_addr.sin6_family,
			      ntohs(info.ip6m_addr.sin6_port), info.ip6m_addr.sin6_flowinfo,
			      info.ip6m_addr.sin6_scope_id, c->cmsg_len);
		} else {
			t_out("    level %d type %d", c->cmsg_level, c->cmsg_type);
		}
	}
}

static int fresh(bool connected, struct sockaddr_in6 *to)
{
	int fd = six_socket(SOCK_DGRAM, -1);

	*to = station();
	if (connected && connect(fd, (void *)to, sizeof(*to)) < 0)
		t_out("connect: %s", t_errname(errno));
	return fd;
}

static long send_n(int fd, size_t n, bool connected, const struct sockaddr_in6 *to)
{
	static char data[66000];

	return sendto(fd, data, n, 0, connected ? NULL : (void *)to, connected ? 0 : sizeof(*to));
}

static void modes(void)
{
	static const size_t sizes[] = { 1452, 1453, 65527, 65528 };

	for (int disc = 0; disc <= 6; disc++) {
		for (int how = 0; how < 4; how++) {
			for (size_t i = 0; i < T_COUNT(sizes); i++) {
				bool connected = how & 1;
				struct sockaddr_in6 to;
				int fd = fresh(connected, &to), r;

				r = set_int(fd, IPV6_MTU_DISCOVER, disc);
				set_int(fd, IPV6_DONTFRAG, how >> 1);
				set_int(fd, IPV6_RECVERR, 1);
				long n = send_n(fd, sizes[i], connected, &to);
				t_out("mode %d%s dontfrag %d connected %d: %zu: %s", disc,
				      r < 0 ? t_errname(errno) : "", how >> 1, connected, sizes[i],
				      n < 0 ? t_errname(errno) : "sent");
				if (n < 0)
					look("queue", fd, MSG_ERRQUEUE, &to);
				close(fd);
			}
		}
	}
}

static void own_size(void)
{
	static const int values[] = { 1280, 1300, 9000, 65536, 1279, 1, -1, 0 };

	for (size_t v = 0; v < T_COUNT(values); v++) {
		for (int connected = 0; connected < 2; connected++) {
			struct sockaddr_in6 to;
			int fd = fresh(connected, &to), got = -1;
			socklen_t len = sizeof(got);

			t_out("%d connected %d", values[v], connected);
			t_res("set", set_int(fd, IPV6_MTU, values[v]));
			t_res("get", getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &got, &len));
			t_out("  %d", got);
			t_res("1252", send_n(fd, 1252, connected, &to));
			t_res("1453", send_n(fd, 1453, connected, &to));
			set_int(fd, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
			t_res("1232", send_n(fd, 1232, connected, &to));
			t_res("1233", send_n(fd, 1233, connected, &to));
			t_res("1453", send_n(fd, 1453, connected, &to));
			close(fd);
		}
	}
}

static void asked(void)
{
	for (int connected = 0; connected < 2; connected++) {
		struct { struct ip6_mtuinfo info; char more[8]; } got;
		struct sockaddr_in6 to;
		int fd = fresh(connected, &to);

		for (socklen_t want = 4; want <= 40; want += 12) {
			socklen_t len = want;

			memset(&got, 0, sizeof(got));
			t_out("connected %d length %u", connected, want);
			t_res("get", getsockopt(fd, IPPROTO_IPV6, IPV6_PATHMTU, &got, &len));
			t_out("  len %u mtu %u family %d", len, got.info.ip6m_mtu,
			      got.info.ip6m_addr.sin6_family);
		}
		t_res("set", set_int(fd, IPV6_PATHMTU, 1));
		close(fd);
	}
}

static void told(void)
{
	for (int how = 0; how < 8; how++) {
		bool connected = how & 1, want = how & 2, by_message = how & 4;
		struct sockaddr_in6 to;
		int fd = fresh(connected, &to), on = 1;
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(on))] = { 0 };
		static char data[1453];
		struct iovec iov = { data, sizeof(data) };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
				    .msg_controllen = sizeof(ctl) };
		struct cmsghdr *c = (struct cmsghdr *)ctl;

		t_out("connected %d asked %d by message %d", connected, want, by_message);
		set_int(fd, IPV6_RECVPATHMTU, want);
		set_int(fd, IPV6_DONTFRAG, !by_message);
		m.msg_name = connected ? NULL : &to;
		m.msg_namelen = connected ? 0 : sizeof(to);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(on)), IPPROTO_IPV6, IPV6_DONTFRAG };
		memcpy(CMSG_DATA(c), &on, sizeof(on));
		m.msg_controllen = by_message ? m.msg_controllen : 0;
		t_res("send", sendmsg(fd, &m, 0));
		t_res("send", sendmsg(fd, &m, 0)); /* the last one is told */
		look("told", fd, 0, &to);
		look("told", fd, 0, &to);
		t_res("send", sendmsg(fd, &m, 0));
		look("peek", fd, MSG_PEEK, &to);
		look("told", fd, 0, &to);
		set_int(fd, IPV6_DONTFRAG, 0);
		set_int(fd, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
		t_res("without", send_n(fd, sizeof(data), connected, &to));
		look("told", fd, 0, &to);
		close(fd);
	}
}

static void values(void)
{
	for (size_t i = 0; i < T_COUNT(names_of_int); i++) {
		for (int v = -2; v < 8; v++) {
			int fd = six_socket(SOCK_DGRAM, -1), got = -1;
			socklen_t len = sizeof(got);

			t_out("option %d value %d", names_of_int[i], v);
			t_res("set", set_int(fd, names_of_int[i], v));
			getsockopt(fd, IPPROTO_IPV6, names_of_int[i], &got, &len);
			t_out("  %d", got);
			close(fd);
		}
	}
}

T_MAIN(T_CASE(modes), T_CASE(own_size), T_CASE(asked), T_CASE(told), T_CASE(values))
