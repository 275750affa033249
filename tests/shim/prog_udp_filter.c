/* Source filters of groups read back, and groups that are joined before the socket has a port: with several
 * data threads it moves to another one then. */
// SPDX-License-Identifier: MIT
#include <net/if.h>
#include <stddef.h>
#include "tests/shim/udp.h"

#define GROUP "232.1.2.3"

static struct in_addr ip(const char *text)
{
	struct in_addr a;
	inet_pton(AF_INET, text, &a);
	return a;
}

static struct in_addr me(void)
{
	return t_addr(0).sin_addr;
}

static long member(int fd, int option, const char *group)
{
	struct ip_mreq m = { .imr_multiaddr = ip(group), .imr_interface = me() };
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m));
}

static long source(int fd, int option, const char *group, struct in_addr from)
{
	struct ip_mreq_source m = { .imr_multiaddr = ip(group), .imr_interface = me(),
				    .imr_sourceaddr = from };
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m));
}

static struct in_addr other(int last)
{
	struct in_addr a = ip("10.77.0.100");
	a.s_addr = htonl(ntohl(a.s_addr) + (uint32_t)last);
	return a;
}

/* ---- reading ---- */
static void read_old(const char *what, int fd, const char *group, struct in_addr ifc, uint32_t room,
		     socklen_t len)
{
	char mem[IP_MSFILTER_SIZE(16)];
	struct ip_msfilter *f = (struct ip_msfilter *)mem;
	memset(mem, 0x55, sizeof(mem));
	f->imsf_multiaddr = ip(group);
	f->imsf_interface = ifc;
	f->imsf_numsrc = room;
	f->imsf_fmode = 9;
	long r = getsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, &len);
	t_res(what, r);
	if (r < 0)
		return;
	t_out("  mode %u, %u sources, %u bytes, interface %s", f->imsf_fmode, f->imsf_numsrc, len,
	      f->imsf_interface.s_addr == me().s_addr ? "me" : f->imsf_interface.s_addr ? "other" : "none");
	for (uint32_t i = 0; i < 16 && i < room + 1; i++)
		t_out("  %s", f->imsf_slist[i].s_addr == 0x55555555 ? "-" : inet_ntoa(f->imsf_slist[i]));
}

static void read_new(const char *what, int fd, const char *group, uint32_t ifindex, uint32_t room,
		     socklen_t len)
{
	char mem[GROUP_FILTER_SIZE(16)];
	struct group_filter *f = (struct group_filter *)mem;
	memset(mem, 0x55, sizeof(mem));
	struct sockaddr_in *g = (struct sockaddr_in *)&f->gf_group;
	g->sin_family = AF_INET;
	g->sin_addr = ip(group);
	f->gf_interface = ifindex;
	f->gf_numsrc = room;
	long r = getsockopt(fd, IPPROTO_IP, MCAST_MSFILTER, f, &len);
	t_res(what, r);
	if (r < 0)
		return;
	t_out("  mode %u, %u sources, %u bytes", f->gf_fmode, f->gf_numsrc, len);
	for (uint32_t i = 0; i < 16 && i < room + 1; i++) {
		struct sockaddr_in *a = (struct sockaddr_in *)&f->gf_slist[i];
		t_out("  family %u %s port %u", a->sin_family, a->sin_family == AF_INET ?
		      inet_ntoa(a->sin_addr) : "-", a->sin_port);
	}
}

static void both(const char *what, int fd, uint32_t ifindex)
{
	t_out("%s", what);
	read_old("IP_MSFILTER", fd, GROUP, me(), 4, IP_MSFILTER_SIZE(4));
	read_new("MCAST_MSFILTER", fd, GROUP, ifindex, 4, GROUP_FILTER_SIZE(4));
}

/* The interface's number, as a datagram sent there and received says. */
static uint32_t interface_of_me(int s)
{
	struct in_addr a = me();
	char buf[8], control[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = ip("239.8.8.8") };
	struct in_pktinfo info = { 0 };
	udp_int(s, IPPROTO_IP, IP_PKTINFO, 1);
	setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a));
	to.sin_port = htons((uint16_t)t_port(s));
	member(s, IP_ADD_MEMBERSHIP, "239.8.8.8");
	udp_sendto(s, "x", 1, &to);
	if (udp_wait(s) && recvmsg(s, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(info));
	if (!info.ipi_ifindex)
		t_out("no interface");
	return (uint32_t)info.ipi_ifindex;
}

static void read_back(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int s = udp(), fd = udp();
	bind(s, (void *)&any, sizeof(any));
	uint32_t ifindex = interface_of_me(s);
	both("fresh", fd, ifindex);
	bind(fd, (void *)&any, sizeof(any));
	both("bound", fd, ifindex);
	member(fd, IP_ADD_MEMBERSHIP, GROUP);
	both("any source", fd, ifindex);
	for (int i = 0; i < 3; i++)
		t_res("block", source(fd, IP_BLOCK_SOURCE, GROUP, other(3 - i)));
	both("three blocked", fd, ifindex);
	t_res("unblock", source(fd, IP_UNBLOCK_SOURCE, GROUP, other(3)));
	both("two blocked", fd, ifindex);
	read_old("room for one", fd, GROUP, me(), 1, IP_MSFILTER_SIZE(1));
	read_new("room for one", fd, GROUP, ifindex, 1, GROUP_FILTER_SIZE(1));
	read_old("room for none", fd, GROUP, me(), 0, IP_MSFILTER_SIZE(0));
	read_new("room for none", fd, GROUP, ifindex, 0, GROUP_FILTER_SIZE(0));
	read_old("short", fd, GROUP, me(), 4, IP_MSFILTER_SIZE(0) - 1);
	read_new("short", fd, GROUP, ifindex, 4, GROUP_FILTER_SIZE(0) - 1);
	read_old("said to be short", fd, GROUP, me(), 2, IP_MSFILTER_SIZE(0));
	read_old("another group", fd, "232.9.9.9", me(), 4, IP_MSFILTER_SIZE(4));
	read_new("another group", fd, "232.9.9.9", ifindex, 4, GROUP_FILTER_SIZE(4));
	read_old("no group", fd, "10.77.0.5", me(), 4, IP_MSFILTER_SIZE(4));
	read_new("no group", fd, "10.77.0.5", ifindex, 4, GROUP_FILTER_SIZE(4));
	read_old("nobody's address", fd, GROUP, ip("192.0.2.1"), 4, IP_MSFILTER_SIZE(4));
	read_new("nobody's interface", fd, GROUP, ifindex + 1000, 4, GROUP_FILTER_SIZE(4));
	read_new("interface 0", fd, GROUP, 0, 4, GROUP_FILTER_SIZE(4));
	member(fd, IP_DROP_MEMBERSHIP, GROUP);
	for (int i = 0; i < 11; i++)
		t_res("want", source(fd, IP_ADD_SOURCE_MEMBERSHIP, GROUP, other(i)));
	read_old("wanted", fd, GROUP, me(), 16, IP_MSFILTER_SIZE(16));
	read_new("wanted", fd, GROUP, ifindex, 16, GROUP_FILTER_SIZE(16));
	close(fd);
	close(s);
}

static void limits(void)
{
	char mem[IP_MSFILTER_SIZE(16)];
	struct ip_msfilter *f = (struct ip_msfilter *)mem;
	int fd = udp();
	*f = (struct ip_msfilter){ .imsf_multiaddr = ip(GROUP), .imsf_interface = me(),
				   .imsf_fmode = MCAST_EXCLUDE };
	for (int i = 0; i < 16; i++)
		f->imsf_slist[i] = other(i);
	member(fd, IP_ADD_MEMBERSHIP, GROUP);
	for (uint32_t n = 9; n < 13; n++) {
		f->imsf_numsrc = n;
		t_res("so many", setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(n)));
	}
	read_old("which", fd, GROUP, me(), 3, IP_MSFILTER_SIZE(3));
	close(fd);
}

/* ---- joined first ---- */
static void hears(const char *what, int fd, int s, const char *group)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = ip(group),
				  .sin_port = htons((uint16_t)t_port(fd)) };
	char buf[16];
	udp_sendto(s, "x", 1, &to);
	t_out("%s %s: %ld", what, group, udp_wait(fd) ? (long)recv(fd, buf, sizeof(buf), 0) : -1L);
}

static void joins_of(int fd)
{
	member(fd, IP_ADD_MEMBERSHIP, "239.7.1.1");
	source(fd, IP_ADD_SOURCE_MEMBERSHIP, "232.7.1.2", other(1));
	source(fd, IP_ADD_SOURCE_MEMBERSHIP, "232.7.1.2", me());
	member(fd, IP_ADD_MEMBERSHIP, "239.7.1.3");
	source(fd, IP_BLOCK_SOURCE, "239.7.1.3", other(2));
	source(fd, IP_BLOCK_SOURCE, "239.7.1.3", me());
	member(fd, IP_ADD_MEMBERSHIP, "239.7.1.4");
	member(fd, IP_DROP_MEMBERSHIP, "239.7.1.4");
}

static void state_of(int fd, int s)
{
	char buf[16];
	hears("all of", fd, s, "239.7.1.1");
	hears("some of", fd, s, "232.7.1.2");
	read_old("wanted", fd, "232.7.1.2", me(), 4, IP_MSFILTER_SIZE(4));
	read_old("blocked", fd, "239.7.1.3", me(), 4, IP_MSFILTER_SIZE(4));
	read_old("left", fd, "239.7.1.4", me(), 4, IP_MSFILTER_SIZE(4));
	t_res("more", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	t_res("again", member(fd, IP_ADD_MEMBERSHIP, "239.7.1.1"));
	t_res("leave", member(fd, IP_DROP_MEMBERSHIP, "239.7.1.1"));
}

static int sender(void)
{
	struct in_addr a = me();
	int s = udp_at(0, NULL);
	setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a));
	return s;
}

/* The port is of either parity, so that one of two data threads is the wrong one for one of them. */
static void joined_then_bound(void)
{
	int s = sender();
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(7100 + i)) };
		int fd = udp();
		joins_of(fd);
		t_res("bind", bind(fd, (void *)&any, sizeof(any)));
		state_of(fd, s);
		close(fd);
	}
	close(s);
}

static void joined_then_sent(void)
{
	int s = sender();
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in to = udp_dead();
		int fd = udp();
		joins_of(fd);
		udp_sendto(fd, "x", 1, &to);
		usleep(1000); /* the refusal is nobody's: unconnected */
		state_of(fd, s);
		close(fd);
	}
	close(s);
}

T_MAIN(T_CASE(read_back), T_CASE(limits), T_CASE(joined_then_bound), T_CASE(joined_then_sent))
