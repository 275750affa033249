/* IPv6 input (validation, extension headers, ours or not) and output (header, neighbour, fragments). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "stack/base/rng.h"
#include "stack/net/net.h"
#include "stack/net/pkt.h"
#include "stack/wire/ip6.h"

/* A received packet. Everything points into the buffer it came in (or the reassembly's). */
struct ip6_in {
	struct ip6 h;
	struct netif *nif;
	const uint8_t *packet;	/* from the IPv6 header on, packet_len bytes: what errors quote */
	uint32_t packet_len;
	struct ip6_walk walk;	/* over the extension headers */
	uint8_t proto;		/* of the payload */
	const uint8_t *payload; /* len contiguous bytes behind the extension headers */
	uint32_t len;
	enum pkt_csum l4_csum;
	bool unicast;		/* to one of our addresses in a frame to our MAC address */
	bool multicast;		/* to a group of ours */
	bool eth_unicast;	/* the frame's destination was our MAC address */
	bool was_fragment;	/* a fragment header was there (RFC 6980) */
};

/* The packet of n bytes at p, received on nif. Returns the protocol number, or -1: dropped and counted, and
 * its sender told by ICMPv6 where that is due. in->l4_csum is the caller's to set. A fragment is returned
 * too, with its part as payload: ask ip6_is_fragment(). */
int ip6_input(struct net_env *env, struct netif *nif, const void *p, uint32_t n, bool eth_unicast,
	      struct ip6_in *in);
static inline bool ip6_is_fragment(const struct ip6_in *in) { return in->walk.fragment; }
/* Goes on behind the fragment header of a datagram that has been put together. As ip6_input(). */
int ip6_input_whole(struct net_env *env, struct ip6_in *in);

/* What to send. */
struct ip6_out {
	struct ipaddr src, dst;
	uint32_t flow;	   /* label of 20 bits (RFC 6437), 0: none */
	uint8_t proto;
	uint8_t hops;	   /* 0: 64 */
	uint8_t tclass;
	bool dont_frag;
	struct netif *nif; /* the one to use for a link-local or multicast dst; NULL: by route */
};

/* Puts an IPv6 and an Ethernet header in front of m (which begins with the transport header) and sends it to
 * dst by way of r. Consumes m. Longer than the MTU is allowed only for TSO frames. */
void ip6_output(struct net_env *env, const struct route *r, const struct ip6_out *o,
		struct rte_mbuf *m);
/* Sends a packet whose payload lies in iov (copied), in fragments when it exceeds the MTU.
 * 0, -ENETUNREACH, -EMSGSIZE (too long, or dont_frag), -ENOBUFS. */
int ip6_send(struct net_env *env, const struct ip6_out *o, const struct iovec *iov, int n_iov);
/* The same by way of r, in packets of at most mtu bytes: the interface's, or less. */
int ip6_send_via(struct net_env *env, const struct route *r, uint32_t mtu, const struct ip6_out *o,
		 const struct iovec *iov, int n_iov);
/* n bytes to a group on nif, with the router alert option of MLD (RFC 2711, 3810 5). 0 or -ENOBUFS. */
int ip6_send_alert(struct net_env *env, struct netif *nif, const struct ip6_out *o, const void *p,
		   uint32_t n);
/* The way to dst; nif as in struct ip6_out. For a group: a route of *tmp. NULL: none, or dst is our own. */
const struct route *ip6_route(const struct net_env *env, const struct ipaddr *dst, struct netif *nif,
			      struct route *tmp);
