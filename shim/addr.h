/* struct sockaddr <-> struct endpoint: the only place that knows both. */
// SPDX-License-Identifier: MIT
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "stack/base/ipaddr.h"

/* What bind() and connect() of a socket of this family accept, with Linux's errors: 0, -EINVAL,
 * -EAFNOSUPPORT, -EFAULT. AF_UNSPEC is not decoded: see addr_is_unspec(). */
enum addr_use { ADDR_BIND, ADDR_CONNECT };
int addr_parse(struct endpoint *ep, uint16_t family, const struct sockaddr *addr, socklen_t len,
	       enum addr_use use);
/* sin6_flowinfo in host order, 0 of an address that has none. */
uint32_t addr_flowinfo(const struct sockaddr *addr, socklen_t len);
enum { ADDR_FLOWINFO = 0x0fffffff }; /* traffic class and label (RFC 3493 3.3) */
/* connect(AF_UNSPEC): dissolves an association. */
bool addr_is_unspec(const struct sockaddr *addr, socklen_t len);
/* The endpoint as a socket of this family shows it; returns the full length. */
socklen_t addr_emit(struct sockaddr_storage *ss, uint16_t family, const struct endpoint *ep);
/* The same into a caller's buffer, cut to *len, *len set to the full length; flowinfo: of AF_INET6, host
 * order. 0, -EINVAL, -EFAULT. */
int addr_give_flow(struct sockaddr *addr, socklen_t *len, uint16_t family, const struct endpoint *ep,
		   uint32_t flowinfo);
int addr_give(struct sockaddr *addr, socklen_t *len, uint16_t family, const struct endpoint *ep);
/* An address that an AF_INET socket would not show: a real IPv6 one. */
bool addr_is_v6(const struct ipaddr *a);
/* Nobody in particular, as a socket of this family has it: :: also takes IPv4. */
static inline struct ipaddr addr_any(uint16_t family)
{
	return family == AF_INET6 ? (struct ipaddr){ .w = { 0 } } : ipaddr_v4(0);
}
