/* What the programs about IPv6 share: addresses of both families as an AF_INET6 socket has them. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/t.h"

/* The IPv6 address of this run's server side: FN_TEST_ADDR6, default ::1. */
static struct sockaddr_in6 six_addr(int port)
{
	const char *text = getenv("FN_TEST_ADDR6");
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	inet_pton(AF_INET6, text ? text : "::1", &a.sin6_addr);
	return a;
}

/* This address, or NULL: ::. */
static struct sockaddr_in6 six_of(const char *text, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	if (text)
		inet_pton(AF_INET6, text, &a.sin6_addr);
	return a;
}

/* The IPv4 address of the server side as IPv6 writes it. */
__attribute__((unused)) static struct sockaddr_in6 six_mapped(int port)
{
	struct sockaddr_in6 a = six_of("::ffff:0.0.0.0", port);
	struct in_addr in = t_addr(0).sin_addr;

	memcpy(&a.sin6_addr.s6_addr32[3], &in, sizeof(in));
	return a;
}

/* "server6", "server4" or the address, whether there is a port, and the rest if it is not 0. */
static const char *six_name(const struct sockaddr_in6 *a)
{
	static char buf[128];
	struct sockaddr_in6 own = six_addr(0), mapped = six_mapped(0);
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
	if (!memcmp(&a->sin6_addr, &own.sin6_addr, 16))
		strcpy(text, "server6");
	else if (!memcmp(&a->sin6_addr, &mapped.sin6_addr, 16))
		strcpy(text, "server4");
	snprintf(buf, sizeof(buf), "family %d [%s]:%s flow %u scope %u", a->sin6_family, text,
		 a->sin6_port ? "port" : "0", ntohl(a->sin6_flowinfo), a->sin6_scope_id);
	return buf;
}

__attribute__((unused)) static void six_names(const char *what, int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	memset(&a, 0xff, sizeof(a));
	t_res(what, getsockname(fd, (struct sockaddr *)&a, &len));
	t_out("  here %s len %u", six_name(&a), len);
	memset(&a, 0xff, sizeof(a));
	len = sizeof(a);
	if (t_res("  there", getpeername(fd, (struct sockaddr *)&a, &len)) == 0)
		t_out("  %s len %u", six_name(&a), len);
}

__attribute__((unused)) static int six_socket(int type, int v6only)
{
	int fd = socket(AF_INET6, type, 0);

	if (v6only >= 0)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	return fd;
}

__attribute__((unused)) static int six_port(int fd)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin6_port);
}

__attribute__((unused)) static int six_is_loopback(void)
{
	struct sockaddr_in6 a = six_addr(0);

	return IN6_IS_ADDR_LOOPBACK(&a.sin6_addr);
}
