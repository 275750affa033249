/* The door of UDP (RFC 768): which sockets a datagram is for, and what an ICMP error means to them. Pure:
 * no clock, no DPDK, no shared memory; the table is allocated once. One env belongs to one data thread and
 * holds all datagram sockets whose port is this thread's (chan_port_worker()). Sending is the host's:
 * sock_host.udp_output(). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/base/list.h"
#include "stack/base/rng.h"

struct udp_env;

/* One membership of a socket (RFC 3376, RFC 3810): EXCLUDE mode with a list of blocked sources, or INCLUDE
 * mode with a list of wanted ones. */
enum { UDP_SOURCES = 64, UDP_GROUPS = 256 /* a socket, above Linux's default igmp_max_memberships */ };
struct udp_group {
	struct list link; /* udp_sock.groups */
	struct list same; /* memberships of all sockets, in the table by group */
	struct ipaddr group;
	uint32_t ifindex;
	bool include; /* INCLUDE mode (source-specific) */
	bool listed;  /* had a source since the join: the mode is settled, as on Linux */
	uint32_t n_sources;
	struct ipaddr source[UDP_SOURCES];
};

/* A datagram socket; memory is the host's (inside its own object), zeroed before udp_sock_init(). */
struct udp_sock {
	struct endpoint local;	/* port 0: none yet, in no table; scope: it hears that interface only */
	struct endpoint remote; /* address any: not connected; port 0: any port of it */
	bool v6, v6only, reuseport, broadcast;
	bool mcast_own, mcast_own6; /* IPv4 groups, IPv6 groups: only those that it has joined itself */
	struct list link;	/* table */
	struct list groups;	/* struct udp_group */
	uint32_t n_groups;
	uint64_t born;		/* order of binding: the later one wins a tie, as on Linux */
	void *host;
};

/* As Linux: connected to an address; what is sent to port 0 comes back refused. */
static inline bool udp_is_connected(const struct udp_sock *s)
{
	return !ipaddr_is_any(&s->remote.addr);
}

/* A received datagram, addresses in the form of the channel. */
struct udp_rx {
	struct endpoint from, to;
	const uint8_t *p;
	uint32_t len;
	uint32_t ifindex;
	uint8_t ttl, tos;
	uint32_t flow; /* IPv6 flow label */
	bool multicast, broadcast;
};
/* An ICMP error about a datagram that we sent. */
struct udp_error {
	struct endpoint local, remote; /* of that datagram */
	struct ipaddr offender;
	int err;       /* positive errno as Linux maps type and code */
	bool hard;     /* Linux's "fatal": told to connected sockets without IP_RECVERR too */
	uint8_t type, code;
	uint32_t info; /* next-hop MTU with EMSGSIZE */
	const uint8_t *p; /* quoted payload of the datagram, as much as came back */
	uint32_t len;
};
struct udp_ops {
	/* The datagram is for s (may be called for several sockets: multicast and broadcast). */
	void (*deliver)(struct udp_env *env, struct udp_sock *s, const struct udp_rx *rx);
	void (*error)(struct udp_env *env, struct udp_sock *s, const struct udp_error *e);
	/* A membership on an interface began or ended or changed its sources: the host tells IGMP or MLD. */
	void (*group_changed)(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex);
};
struct udp_env {
	const struct udp_ops *ops;
	void *host;
	struct siphash_key key; /* SO_REUSEPORT spreads by it */
	struct udp_table *table; /* the core's */
	uint64_t births;
	uint32_t n_socks;
};

/* 0 or -ENOMEM; ops, host and key are set. */
int udp_env_init(struct udp_env *env);
void udp_env_fini(struct udp_env *env);
void udp_sock_init(struct udp_sock *s);
/* Into the table under s->local (port not 0); the port has been reserved in net/ports. */
void udp_bind(struct udp_env *env, struct udp_sock *s);
/* Out of the table; leaves its groups. s->local.port stays. */
void udp_unbind(struct udp_env *env, struct udp_sock *s);
/* Out of the table, groups kept: it has lost its port. */
void udp_detach(struct udp_env *env, struct udp_sock *s);
/* Sets or (address any) clears the peer; the local address may change with it (already in s->local). */
void udp_connect(struct udp_env *env, struct udp_sock *s, const struct endpoint *local,
		 const struct endpoint *remote);
/* The values are enum chan_mcast's. */
enum udp_group_op {
	UDP_JOIN = 1, UDP_LEAVE, UDP_JOIN_SOURCE, UDP_LEAVE_SOURCE, UDP_BLOCK, UDP_UNBLOCK,
};
/* 0, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS, -EINVAL, -ENOMEM as Linux's ip_mc_*() and ipv6_sock_mc_*(). */
int udp_group_op(struct udp_env *env, struct udp_sock *s, enum udp_group_op op,
		 const struct ipaddr *group, const struct ipaddr *source, uint32_t ifindex);
/* The interface by which s is in group, of several the last one joined; 0: it is not. */
uint32_t udp_group_interface(const struct udp_sock *s, const struct ipaddr *group);
/* The sources of a membership (*n of them) in the order in which they were named, NULL: no member. */
const struct ipaddr *udp_group_sources(const struct udp_sock *s, const struct ipaddr *group,
				       uint32_t ifindex, bool *include, uint32_t *n);
/* Is some socket of this thread a member? Sources wanted or blocked by all together, for IGMP: mode and at
 * most max sources into src; *include as RFC 3376 4.2 merges (more wanted ones than max: all). False: no
 * member, include with no sources. */
bool udp_group_state(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex, bool *include,
		     struct ipaddr *src, uint32_t max, uint32_t *n);
/* Delivers to the best matching socket (Linux's compute_score), or to all members for multicast and
 * broadcast. How many got it; 0 for unicast: the caller answers port unreachable. */
uint32_t udp_input(struct udp_env *env, const struct udp_rx *rx);
/* Would a datagram from remote to local, both of one host, find a socket? */
bool udp_knows(struct udp_env *env, const struct endpoint *local, const struct endpoint *remote);
/* How many sockets it concerned. */
uint32_t udp_icmp_error(struct udp_env *env, const struct udp_error *e);
