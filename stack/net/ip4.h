/* IPv4 input (validation, ours or not) and output (header, route, neighbour, fragments). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "stack/net/net.h"
#include "stack/net/pkt.h"
#include "stack/wire/ip4.h"

/* A received datagram. Everything points into the buffer it came in (or the reassembly's). */
struct ip4_in {
	struct ip4 h;
	struct netif *nif;
	const uint8_t *payload; /* len contiguous bytes */
	uint32_t len;
	enum pkt_csum l4_csum;
	bool unicast; /* to one of our addresses in a frame to our MAC address */
	bool multicast, broadcast; /* to a group or a broadcast address of ours */
};

/* The packet of n bytes at p, received on nif. Returns the protocol number, or -1: dropped and
 * counted. eth_unicast: the frame's destination was our MAC address. in->l4_csum is the caller's to
 * set. A fragment is returned like any other packet: ask ip4_is_fragment(). */
int ip4_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n,
	      enum pkt_csum ip_csum, bool eth_unicast, struct ip4_in *in);

/* What to send: addresses in host order, the rest as in the header. */
struct ip4_out {
	uint32_t src, dst;
	uint8_t proto, ttl, tos;
	bool dont_frag;
};

/* Puts an IPv4 and an Ethernet header in front of m (which begins with the transport header) and
 * sends it to dst by way of r. Consumes m. Longer than the MTU is allowed only for TSO frames. */
void ip4_output(struct net_env *env, const struct route *r, const struct ip4_out *o,
		struct rte_mbuf *m);
/* Sends a datagram whose payload lies in iov (copied), in fragments when it exceeds the MTU.
 * 0, -ENETUNREACH, -EMSGSIZE (too long, or dont_frag), -ENOBUFS. */
int ip4_send(struct net_env *env, const struct ip4_out *o, const struct iovec *iov, int n_iov);
/* n bytes to a group on nif, with the router alert option. 0 or -ENOBUFS. */
int ip4_send_alert(struct net_env *env, struct netif *nif, const struct ip4_out *o, const void *p,
		   uint32_t n);
/* ip4_send() by way of r (also for groups and broadcasts, which need no route of their own), in packets of at
 * most mtu bytes: the interface's, or less. */
int ip4_send_via(struct net_env *env, const struct route *r, uint32_t mtu, const struct ip4_out *o,
		 const struct iovec *iov, int n_iov);
