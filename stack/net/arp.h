/* ARP for the ports of one data thread: answers, learning, requests, announcements. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/net.h"
#include "stack/wire/eth.h"

enum arp_answer { ARP_ANSWER, ARP_LEARN_ONLY /* a copy of what another worker has answered */ };

/* The ARP packet of n bytes at p (behind the Ethernet header). */
void arp_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n,
	       enum arp_answer answer);
/* A request for target (host order): broadcast when mac is NULL. */
void arp_request(struct net_env *env, struct netif *nif, uint32_t target,
		 const struct eth_addr *mac);
/* Tells the link about all our addresses on nif (gratuitous ARP, RFC 5227 2.3). */
void arp_announce(struct net_env *env, struct netif *nif);
