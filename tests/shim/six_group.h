/* What the programs about IPv6 groups share: the interface, members, who hears. */
// SPDX-License-Identifier: MIT
#pragma once
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include "tests/shim/six.h"

enum { MULTICAST_ALL = 29 /* IPV6_MULTICAST_ALL */ };

/* The number of the interface with a network (run.py --wire). */
static unsigned wire(void)
{
	return if_nametoindex("fnt0");
}

/* "link" for an address of a link, whatever it is; the scope as a yes or no. */
__attribute__((unused)) static const char *group_name(const struct sockaddr_in6 *a)
{
	static char buf[128];
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
	snprintf(buf, sizeof(buf), "[%s]:%s scope %s", IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr) ? "link" : text,
		 a->sin6_port ? "port" : "0",
		 !a->sin6_scope_id ? "none" : a->sin6_scope_id == wire() ? "wire" : "strange");
	return buf;
}

__attribute__((unused)) static void name_of(const char *who, int fd)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t len = sizeof(a);

	if (t_res(who, getsockname(fd, (void *)&a, &len)) == 0)
		t_out("  %s", group_name(&a));
}

static void set_int(int fd, int name, int v)
{
	if (setsockopt(fd, IPPROTO_IPV6, name, &v, sizeof(v)) < 0)
		t_out("option %d: %s", name, t_errname(errno));
}

__attribute__((unused)) static int get_int(int fd, int name)
{
	int v = -99;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, IPPROTO_IPV6, name, &v, &len) < 0)
		t_out("option %d: %s", name, t_errname(errno));
	return v;
}

/* With SO_REUSEADDR, for both families. */
static int shared(void)
{
	int fd = six_socket(SOCK_DGRAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

/* Bound to ::, port 0: a new one, which is returned. */
static int any_port(int port, int *got)
{
	struct sockaddr_in6 a = six_of(NULL, port);
	int fd = shared();

	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		t_out("bind: %s", t_errname(errno));
	if (got)
		*got = six_port(fd);
	return fd;
}

static long member(int fd, int option, const char *group, unsigned ifindex)
{
	struct ipv6_mreq m = { .ipv6mr_multiaddr = six_of(group, 0).sin6_addr, .ipv6mr_interface = ifindex };

	return setsockopt(fd, IPPROTO_IPV6, option, &m, sizeof(m));
}

static void use_interface(int fd)
{
	set_int(fd, IPV6_MULTICAST_IF, (int)wire());
}

static long send_to(int fd, const char *text, const char *group, int port, unsigned scope)
{
	struct sockaddr_in6 to = six_of(group, port);

	to.sin6_scope_id = scope;
	return sendto(fd, text, strlen(text), 0, (void *)&to, sizeof(to));
}

static void show(const char *who, int fd, int ms)
{
	char buf[64];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, ms) > 0 ? recv(fd, buf, sizeof(buf), MSG_DONTWAIT) : -1;

	t_out("%s: %.*s", who, n < 0 ? 7 : (int)n, n < 0 ? "nothing" : buf);
}

static void heard(const char *who, int fd) { show(who, fd, 5000); }
static void deaf(const char *who, int fd) { show(who, fd, 40); }
