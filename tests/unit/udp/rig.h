/* What the tests of stack/udp share: an env whose deliveries and errors are noted. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/udp/udp.h"
#include "tests/unit/unit.h"

enum { NOTES = 64, SOCKS = 32 };
struct urig {
	struct udp_env env;
	struct udp_sock s[SOCKS];
	uint32_t n_got; /* deliveries and errors, in order */
	struct udp_sock *got[NOTES];
	struct udp_error error;
	uint32_t n_changed; /* group_changed calls */
};
extern struct urig u;

void urig_setup(void);
void urig_teardown(void); /* asserts: no membership left */
/* "10.0.0.1" or "::1" or "::"; NULL: v4 any. */
struct endpoint ep(const char *addr, uint16_t port);
struct ipaddr ip(const char *addr);
/* Socket i bound to addr and port; v6 for an AF_INET6 one. */
struct udp_sock *bound(int i, const char *addr, uint16_t port);
struct udp_sock *bound6(int i, const char *addr, uint16_t port);
void connected(struct udp_sock *s, const char *local, const char *peer, uint16_t port);
/* A datagram from peer to local; how many got it, noted in u.got. */
uint32_t dgram(const char *from, uint16_t sport, const char *to, uint16_t dport);
