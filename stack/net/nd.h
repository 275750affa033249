/* Neighbour discovery (RFC 4861 7) for the ports of one data thread: answers, learning, solicitations,
 * announcements. Addresses, routers and prefixes are in ndp.h. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/ip6.h"
#include "stack/wire/nd.h"

enum nd_answer { ND_ANSWER, ND_LEARN_ONLY /* a copy of what another worker has answered */ };

/* An ICMPv6 message of a type that icmp6_is_nd() knows. True: it is good, and in *m; what it says of
 * neighbours has been learned. */
bool nd_input(struct net_env *env, const struct ip6_in *in, enum nd_answer answer, struct nd_msg *m);
/* Asks for target: by unicast when mac is given. */
void nd_solicit(struct net_env *env, struct netif *nif, const struct ipaddr *target,
		const struct eth_addr *mac);
/* Is anybody there who has target? (RFC 4862 5.4.2), recognisable by nonce (RFC 7527). */
void nd_probe(struct net_env *env, struct netif *nif, const struct ipaddr *target,
	      const uint8_t nonce[ND_NONCE_LEN]);
/* Tells the link about an address of ours (RFC 4861 7.2.6). */
void nd_announce(struct net_env *env, struct netif *nif, const struct netif_addr *a);
/* The same for all IPv6 addresses of nif that are certain to be ours. */
void nd_announce_all(struct net_env *env, struct netif *nif);
/* Asks for routers (RFC 4861 6.3.7). */
void nd_ask_routers(struct net_env *env, struct netif *nif);
