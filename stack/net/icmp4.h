/* ICMP for IPv4: answers echo requests, turns errors about our packets into records for the
 * transport, sends errors about theirs. Rates are limited (RFC 1812 4.3.2.8). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/ip4.h"
#include "stack/wire/icmp.h"

enum {
	ICMP4_ECHO_RATE = 100000,  /* answers a second */
	ICMP4_ECHO_BURST = 4096,
	ICMP4_ERROR_RATE = 1000,   /* errors a second, as Linux's icmp_msgs_per_sec */
	ICMP4_ERROR_BURST = 50,
};

/* An error about a packet that we sent, in terms of the socket interface. */
struct icmp4_error {
	uint8_t proto;		 /* IP_PROTO_TCP or IP_PROTO_UDP */
	uint32_t local, remote;	 /* host order, of the packet quoted */
	uint16_t lport, rport;
	uint32_t tcp_seq;
	uint8_t ttl;		 /* that it had left */
	int err;		 /* positive errno, as Linux maps it */
	bool hard;		 /* Linux's "fatal" */
	uint32_t mtu;		 /* with EMSGSIZE: next-hop MTU, 0 unknown */
	uint32_t info;		 /* mtu, or the offset of the bad byte with EPROTO */
	uint8_t type, code;
	uint32_t offender;	 /* who says so */
	const uint8_t *p;	 /* UDP: what came back of the payload */
	uint32_t len;
};

/* One message. True: *e is an error for a transport. False: answered, dropped or of no interest. */
bool icmp4_input(struct net_env *env, const struct ip4_in *in, struct icmp4_error *e);
/* Destination unreachable, code ICMP_C_, about the packet in. Silent where RFC 1122 3.2.2 says so. */
void icmp4_send_unreach(struct net_env *env, const struct ip4_in *in, uint8_t code);
/* One token, if there is one. For the limits above and their tests. */
bool net_bucket_take(struct net_bucket *b, uint32_t rate, uint32_t burst, uint64_t now_ns);
