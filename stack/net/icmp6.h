/* ICMP for IPv6 (RFC 4443): answers echo requests, turns errors about our packets into records for the
 * transport, sends errors about theirs. Rates are limited (2.4 (f)). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/ip6.h"
#include "stack/wire/icmp6.h"

/* An error about a packet that we sent, in terms of the socket interface; compare struct icmp4_error. */
struct icmp6_error {
	uint8_t proto;		 /* IP_PROTO_TCP or IP_PROTO_UDP */
	struct ipaddr local, remote; /* of the packet quoted */
	uint16_t lport, rport;
	uint32_t tcp_seq;
	int err;		 /* positive errno, as Linux maps it */
	bool hard;		 /* Linux's "fatal" */
	uint32_t mtu;		 /* with EMSGSIZE: next-hop MTU */
	uint32_t info;		 /* mtu, or the pointer of a parameter problem */
	uint8_t type, code;
	struct ipaddr offender;	 /* who says so */
	uint8_t hops;		 /* of that message, not of the quote: as on Linux that is what counts */
	struct netif *nif;	 /* where it came in */
	const uint8_t *p;	 /* UDP: what came back of the payload */
	uint32_t len;
};

/* One message, neither ND nor MLD. True: *e is an error for a transport. False: answered, dropped or of no
 * interest. */
bool icmp6_input(struct net_env *env, const struct ip6_in *in, struct icmp6_error *e);
/* Errors about the packet in. Silent where RFC 4443 2.4 (e) says so. */
void icmp6_send_unreach(struct net_env *env, const struct ip6_in *in, uint8_t code);
void icmp6_send_exceeded(struct net_env *env, const struct ip6_in *in, uint8_t code);
void icmp6_send_param(struct net_env *env, const struct ip6_in *in, const struct ip6_param *param);
/* What follows the headers is no protocol of ours: tells the sender, unless there is nothing. */
void icmp6_send_no_proto(struct net_env *env, const struct ip6_in *in);
