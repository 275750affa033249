/* Source filters of IPv6 groups: join, leave, block and unblock one source, whole filters written and read
 * back, answers errno by errno, and what is heard with them. */
// SPDX-License-Identifier: MIT
#include "tests/shim/six_group.h"

static char own[INET6_ADDRSTRLEN];

/* The address that is sent from to a group. */
static void learn(void)
{
	struct sockaddr_in6 a = { 0 }, to = six_of("ff35::3", 9);
	socklen_t len = sizeof(a);
	int k = six_socket(SOCK_DGRAM, -1);

	use_interface(k);
	connect(k, (void *)&to, sizeof(to));
	getsockname(k, (void *)&a, &len);
	inet_ntop(AF_INET6, &a.sin6_addr, own, sizeof(own));
	close(k);
}

static long source_on(int fd, int option, const char *group, const char *from, unsigned ifindex)
{
	struct sockaddr_in6 g = six_of(group, 0), src = six_of(strcmp(from, "me") ? from : own, 0);
	struct group_source_req r = { .gsr_interface = ifindex };

	memcpy(&r.gsr_group, &g, sizeof(g));
	memcpy(&r.gsr_source, &src, sizeof(src));
	return setsockopt(fd, IPPROTO_IPV6, option, &r, sizeof(r));
}

static long source(int fd, int option, const char *from)
{
	return source_on(fd, option, "ff35::3", from, wire());
}

static void sources(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	learn();
	t_res("block before", source(a, MCAST_BLOCK_SOURCE, "me"));
	t_res("unblock before", source(a, MCAST_UNBLOCK_SOURCE, "me"));
	t_res("only another", source(a, MCAST_JOIN_SOURCE_GROUP, "fd77::9"));
	send_to(s, "one", "ff35::3", port, 0);
	deaf("a", a);
	t_res("the same", source(a, MCAST_JOIN_SOURCE_GROUP, "fd77::9"));
	t_res("and me", source(a, MCAST_JOIN_SOURCE_GROUP, "me"));
	send_to(s, "two", "ff35::3", port, 0);
	heard("a", a);
	t_res("any as well", member(a, IPV6_JOIN_GROUP, "ff35::3", wire()));
	t_res("block", source(a, MCAST_BLOCK_SOURCE, "me"));
	t_res("not me", source(a, MCAST_LEAVE_SOURCE_GROUP, "me"));
	t_res("never was", source(a, MCAST_LEAVE_SOURCE_GROUP, "fd77::8"));
	send_to(s, "three", "ff35::3", port, 0);
	deaf("a", a);
	t_res("nor another", source(a, MCAST_LEAVE_SOURCE_GROUP, "fd77::9"));
	t_res("left", member(a, IPV6_LEAVE_GROUP, "ff35::3", wire()));
	t_res("all but", member(a, IPV6_JOIN_GROUP, "ff35::3", wire()));
	t_res("block me", source(a, MCAST_BLOCK_SOURCE, "me"));
	t_res("twice", source(a, MCAST_BLOCK_SOURCE, "me"));
	send_to(s, "four", "ff35::3", port, 0);
	deaf("a", a);
	t_res("unblock", source(a, MCAST_UNBLOCK_SOURCE, "me"));
	t_res("twice", source(a, MCAST_UNBLOCK_SOURCE, "me"));
	t_res("the mode is settled", source(a, MCAST_JOIN_SOURCE_GROUP, "me"));
	send_to(s, "five", "ff35::3", port, 0);
	heard("a", a);
	close(a);
	close(s);
}

static void forms(void)
{
	struct group_source_req r = { .gsr_interface = wire() };
	struct sockaddr_in6 g = six_of("ff35::3", 0), src = six_of("fd77::9", 0);
	int fd = six_socket(SOCK_DGRAM, -1);
	t_res("strange interface", source_on(fd, MCAST_JOIN_SOURCE_GROUP, "ff35::3", "fd77::9", 9999));
	t_res("no group", source_on(fd, MCAST_JOIN_SOURCE_GROUP, "fd77::3", "fd77::9", wire()));
	t_res("by any", source_on(fd, MCAST_JOIN_SOURCE_GROUP, "ff35::3", "fd77::9", 0));
	t_res("another by any", source_on(fd, MCAST_JOIN_SOURCE_GROUP, "ff35::3", "fd77::8", 0));
	t_res("one goes", source_on(fd, MCAST_LEAVE_SOURCE_GROUP, "ff35::3", "fd77::9", wire()));
	t_res("the other by any", source_on(fd, MCAST_LEAVE_SOURCE_GROUP, "ff35::3", "fd77::8", 0));
	t_res("left", member(fd, IPV6_LEAVE_GROUP, "ff35::3", 0));
	memcpy(&r.gsr_group, &g, sizeof(g));
	memcpy(&r.gsr_source, &src, sizeof(src));
	t_res("short", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &r, sizeof(r) - 1));
	t_res("null", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, NULL, sizeof(r)));
	r.gsr_source.ss_family = AF_INET;
	t_res("IPv4 source", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &r, sizeof(r)));
	r.gsr_source.ss_family = AF_INET6;
	r.gsr_group.ss_family = AF_INET;
	t_res("IPv4 group", setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &r, sizeof(r)));
	close(fd);
}

/* ---- whole filters ---- */
static char memory[GROUP_FILTER_SIZE(70)];
static struct group_filter *filter(unsigned ifindex, int mode, uint32_t n)
{
	struct group_filter *f = (struct group_filter *)memory;
	struct sockaddr_in6 g = six_of("ff35::3", 0), src = six_of("fd77::100", 0);

	memset(memory, 0, sizeof(memory));
	f->gf_interface = ifindex;
	f->gf_fmode = (uint32_t)mode;
	f->gf_numsrc = n;
	memcpy(&f->gf_group, &g, sizeof(g));
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 && n < 3)
			inet_pton(AF_INET6, own, &src.sin6_addr);
		else
			src.sin6_addr.s6_addr[15] = (uint8_t)(i + 1);
		memcpy(memory + GROUP_FILTER_SIZE(0) + i * sizeof(struct sockaddr_storage), &src,
		       sizeof(src));
	}
	return f;
}

static long put(int fd, unsigned ifindex, int mode, uint32_t n)
{
	return setsockopt(fd, IPPROTO_IPV6, MCAST_MSFILTER, filter(ifindex, mode, n), GROUP_FILTER_SIZE(n));
}

static void get(int fd, unsigned ifindex, uint32_t room, socklen_t len)
{
	struct group_filter *f = filter(ifindex, 9, 0);
	struct sockaddr_storage ss;
	unsigned sum = 0;

	f->gf_numsrc = room;
	if (t_res("get", getsockopt(fd, IPPROTO_IPV6, MCAST_MSFILTER, f, &len)) < 0)
		return;
	for (uint32_t i = 0; i < room && i < f->gf_numsrc; i++) {
		memcpy(&ss, memory + GROUP_FILTER_SIZE(0) + i * sizeof(ss), sizeof(ss));
		sum = sum * 31 + ((struct sockaddr_in6 *)&ss)->sin6_addr.s6_addr[15] + ss.ss_family;
	}
	t_out("  mode %u sources %u length %u sum %u", f->gf_fmode, f->gf_numsrc, len, sum);
}

static void filters(void)
{
	int port, a = any_port(0, &port), s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	learn();
	get(a, wire(), 5, sizeof(memory));
	t_res("not joined", put(a, wire(), MCAST_EXCLUDE, 1));
	member(a, IPV6_JOIN_GROUP, "ff35::3", wire());
	t_res("exclude me", put(a, wire(), MCAST_EXCLUDE, 1));
	get(a, wire(), 5, sizeof(memory));
	send_to(s, "one", "ff35::3", port, 0);
	deaf("a", a);
	t_res("include me", put(a, wire(), MCAST_INCLUDE, 1));
	get(a, wire(), 5, sizeof(memory));
	send_to(s, "two", "ff35::3", port, 0);
	heard("a", a);
	t_res("without an interface", put(a, 0, MCAST_INCLUDE, 1));
	t_res("a strange one", put(a, 9999, MCAST_INCLUDE, 1));
	t_res("strange mode", put(a, wire(), 7, 1));
	t_res("short", setsockopt(a, IPPROTO_IPV6, MCAST_MSFILTER, filter(wire(), MCAST_INCLUDE, 1), 20));
	t_res("less than it says", setsockopt(a, IPPROTO_IPV6, MCAST_MSFILTER,
					      filter(wire(), MCAST_INCLUDE, 2), GROUP_FILTER_SIZE(1)));
	t_res("64 sources", put(a, wire(), MCAST_INCLUDE, 64));
	get(a, wire(), 64, sizeof(memory));
	get(a, wire(), 20, sizeof(memory));
	get(a, wire(), 0, GROUP_FILTER_SIZE(0));
	get(a, wire(), 0, 10);
	get(a, 0, 5, sizeof(memory));
	get(a, 9999, 5, sizeof(memory));
	t_res("one more", source(a, MCAST_JOIN_SOURCE_GROUP, "fd77::99"));
	t_res("65 sources", put(a, wire(), MCAST_INCLUDE, 65));
	t_res("all", put(a, wire(), MCAST_EXCLUDE, 0));
	get(a, wire(), 5, sizeof(memory));
	send_to(s, "three", "ff35::3", port, 0);
	heard("a", a);
	t_res("include none", put(a, wire(), MCAST_INCLUDE, 0));
	get(a, wire(), 5, sizeof(memory));
	t_res("left", member(a, IPV6_LEAVE_GROUP, "ff35::3", wire()));
	close(a);
	close(s);
}

/* What one of two members blocks the other one hears. */
static void two_filters(void)
{
	int port, a = any_port(0, &port), b = any_port(port, NULL), s = six_socket(SOCK_DGRAM, -1);
	use_interface(s);
	learn();
	member(a, IPV6_JOIN_GROUP, "ff35::3", wire());
	t_res("a without me", source(a, MCAST_BLOCK_SOURCE, "me"));
	set_int(b, MULTICAST_ALL, 0);
	send_to(s, "one", "ff35::3", port, 0);
	deaf("a", a);
	deaf("b", b);
	t_res("b only me", source(b, MCAST_JOIN_SOURCE_GROUP, "me"));
	send_to(s, "two", "ff35::3", port, 0);
	heard("b", b);
	deaf("a", a);
	close(a);
	close(b);
	close(s);
}

T_MAIN(T_CASE(sources), T_CASE(forms), T_CASE(filters), T_CASE(two_filters))
