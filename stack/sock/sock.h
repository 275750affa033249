/* The engine's side of application sockets: glue between the TCP core and the shared memory.
 * Everything here runs on the socket's home data thread, except where it says control. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/list.h"
#include "stack/chan/layout.h"
#include "stack/tcp/tcp.h"
#include "stack/udp/udp.h"

/* One data thread's sockets of all clients. Owned by that data thread. */
struct sock_env {
	struct tcp_env tcp; /* tcp.host points back to this sock_env */
	struct udp_env udp; /* and so does udp.host */
	uint32_t worker;    /* our number */
	uint32_t n_workers;
	uint64_t now_ns;    /* of this loop, set by the worker */
	struct list clients; /* struct client_worker, of attached clients */
	struct list closing; /* clients being taken down */
	struct ports *ports; /* shared by the workers */
	const struct sock_host *host;
	void *host_arg;
	uint32_t n_socks;
	uint32_t lane_after; /* writes to a neighbour after which it may have a lane, 0: never */
	struct sock_priv *priv;
};

enum { IP6_LABEL_MASK = 0xfffff }; /* of flowinfo (RFC 8200 3), the rest is the traffic class */

struct sock_piece {
	const void *p;
	uint32_t len;
};

/* A message between data threads, and between them and the control thread. */
enum sock_mail_type {
	SOCK_MAIL_CLIENT_ADD,  /* control -> all: p = struct client; starts being polled */
	SOCK_MAIL_CLIENT_DEL,  /* control -> all: close all of its sockets, answer CLIENT_GONE */
	SOCK_MAIL_CLIENT_GONE, /* worker -> control: this worker has let go of p */
	SOCK_MAIL_PROC_GONE,   /* control -> all: process a of client p ended */
	SOCK_MAIL_LISTEN,      /* home -> others: serve this listener too (p), a = seq */
	SOCK_MAIL_LISTEN_OPTS, /* home -> others: its options have changed, p as before */
	SOCK_MAIL_UNLISTEN,    /* home -> others */
	SOCK_MAIL_LISTEN_ACK,  /* others -> home */
	SOCK_MAIL_ACCEPTED,    /* worker -> home of listener p: connection of socket a/b is ready */
	SOCK_MAIL_EXTENT_WANTED, /* worker -> control: client p runs out of payload memory, a = kind */
	SOCK_MAIL_PEER_WANTED, /* worker -> control: may client p share lanes with client number a? */
	SOCK_MAIL_LINE_CLOSE,  /* worker -> control: client p's signal line a has lost its socket */
	SOCK_MAIL_VIOLATION,   /* worker -> control: detach client p */
	SOCK_MAIL_CALL,	       /* control -> worker: run fn(env, p) on the data thread (admin, snapshots) */
	SOCK_MAIL_TAKEN,       /* home -> worker: accept() has taken its socket b = id << 32 | gen */
	SOCK_MAIL_DROPPED,     /* home -> worker: its socket b will not be accepted: reset it */
	SOCK_MAIL_SETTLE,      /* worker -> all: look at the marks of all clients; for call a of client p */
	SOCK_MAIL_ADDRS,       /* worker 0 -> control: the IPv6 addresses or routers are to change */
	SOCK_MAIL_SETTLED,     /* the answer, b as in the question */
	SOCK_MAIL_NEIGH_LOST,  /* worker -> 0: the first hop a/b on port c does not answer */
};
struct sock_mail {
	uint32_t type, from;
	void *p;
	uint64_t a, b, c;
	void (*fn)(struct sock_env *env, void *p);
};

/* A datagram to send. Addresses in the channel's form. */
struct sock_udp_tx {
	struct endpoint local;	/* address any: chosen by route */
	struct endpoint remote;
	uint32_t flags;		/* CHAN_DG_ */
	uint32_t ifindex;	/* multicast: leaves by, 0 = by route */
	uint16_t gso;		/* > 0: cut into datagrams of so many bytes */
	uint8_t ttl, tos;	/* ttl 0: default (64, multicast 1) */
	bool may_wait;		/* -EAGAIN rather than loss while the port is behind */
	bool src_public;	/* a source that is chosen is rather no temporary address */
	bool no_label;		/* IPv6: flow label 0 unless one is given ... */
	uint32_t label;		/* ... here, 0: none */
	uint16_t frag;		/* IPv6: no packet longer than this, 0: as the path takes */
};

/* What sock/ asks of the worker around it. */
struct sock_host {
	/* Builds and sends (or queues on the neighbour, or loops back) one TCP segment of seg->len payload
	 * bytes; the bytes come in up to 8 pieces that lie in the send ring (copy them now). opts: of the
	 * socket, NULL: none. */
	void (*tcp_output)(void *arg, const struct tcp_flow *flow, const struct tcp_seg *seg,
			   const struct sock_piece *piece, unsigned n_pieces,
			   const struct tcp_sockopts *opts);
	/* Sends one datagram (cut into several when tx->gso): route, source address, fragments, checksum,
	 * loop to ourselves, to groups and broadcast addresses. The bytes lie in the send ring (copy them
	 * now). 0; -EAGAIN (may_wait), -ENETUNREACH, -EMSGSIZE (DONT_FRAG, or too long), -EACCES
	 * (broadcast not allowed), -ENOBUFS, -EINVAL. */
	int (*udp_output)(void *arg, const struct sock_udp_tx *tx, const struct sock_piece *piece,
			  unsigned n_pieces);
	/* What udp_output() has left for sockets of this data thread is with them when this returns. */
	void (*udp_settle)(void *arg);
	/* Memberships of (group, interface) changed on this worker: IGMP or MLD is told. */
	void (*group_changed)(void *arg, const struct ipaddr *group, uint32_t ifindex);
	/* Interface by number, or for 0 by route to group or by a local address (any: none given); 0: no
	 * such interface of the stack. */
	uint32_t (*find_interface)(void *arg, uint32_t ifindex, const struct ipaddr *addr,
				   const struct ipaddr *group);
	/* IP bytes that a packet to remote may have; 0: no route. Of remotes the port is of no interest, the
	 * zone of a link-local address is. */
	uint32_t (*path_mtu)(void *arg, const struct endpoint *remote);
	/* A router says so about the path; 0: less than the smallest it should carry. */
	void (*path_told)(void *arg, const struct endpoint *remote, uint32_t mtu);
	/* CLOCK_REALTIME of this loop. */
	uint64_t (*realtime_ns)(void *arg);
	/* MSS of the path, 0 when there is no route; source address to use when local is any
	 * (of a group the scope says the interface, 0: by route; public_first: rather no temporary one). */
	uint16_t (*path_mss)(void *arg, const struct endpoint *remote);
	bool (*source_addr)(void *arg, const struct endpoint *remote, bool public_first,
			    struct ipaddr *src);
	/* Is ep at one of the stack's own addresses (or loopback when claimed)? */
	bool (*is_local)(void *arg, const struct endpoint *ep);
	/* ... or a broadcast address of its networks, or 255.255.255.255? */
	bool (*is_broadcast)(void *arg, const struct ipaddr *addr);
	/* The data thread that receives segments of this flow (RSS or software steering). */
	uint32_t (*flow_worker)(void *arg, const struct tcp_flow *flow);
	/* Is no segment to one of our own addresses under way? NULL: nobody knows. */
	bool (*is_settled)(void *arg);
	/* Sends a message to data thread `to` (handled there by sock_mail) or, to == UINT32_MAX, to the
	 * control thread. Copies msg. False when the mailbox is full (the caller drops or retries). */
	bool (*mail)(void *arg, uint32_t to, const struct sock_mail *msg);
	/* Has a process ended that the data threads have not heard of? 0, or a mark for ends_known(), which
	 * says when all of them have heard of it and of those before it. May be NULL. */
	uint32_t (*ends_unknown)(void *arg);
	bool (*ends_known)(void *arg, uint32_t mark);
};

/* 0 or -errno. tcp.key, udp.key, tcp.rng, tcp.tso_bytes and the host_* members are filled by the caller. */
int sock_env_init(struct sock_env *env, uint64_t now_ns);
void sock_env_fini(struct sock_env *env);
/* Calls and dirty marks of all clients, bounded per client and round. True when there was work. */
bool sock_poll(struct sock_env *env);
/* After tcp_flush: makes everything that changed visible to the applications, one fence, then wakes
 * those who sleep. */
void sock_publish(struct sock_env *env);
/* When sock_poll() has something to do even if nobody says so; UINT64_MAX: never. */
uint64_t sock_next_ns(const struct sock_env *env);
/* Is there work that a sleeping worker would miss? Asked between `sleeping = 1`, a fence and the
 * sleep itself. */
bool sock_has_work(const struct sock_env *env);
/* Starts fetching what a segment of c will touch of its socket, and with that, of what it points to. */
void sock_ahead(const struct tcp_conn *c);
void sock_ahead_shared(const struct tcp_conn *c);
/* The MTU of a port or the routes have changed. */
void sock_paths_changed(struct sock_env *env);
/* A message that the worker received. */
void sock_mail(struct sock_env *env, const struct sock_mail *msg);
/* One line of `fastnet ss` per socket into out; returns bytes. Runs on the data thread. */
struct sock_row {
	struct endpoint local, remote;
	uint32_t type;	/* SOCK_STREAM, SOCK_DGRAM */
	uint32_t state; /* enum tcp_state; of datagrams: ESTABLISHED with a peer, CLOSED without */
	uint32_t pid, rx_queue, tx_queue, backlog;
	uint32_t client, sock;
	bool v6, v6only; /* AF_INET6; and no IPv4 */
};
/* At most n rows from position *cursor on (0 to begin); returns how many, *cursor advanced. */
uint32_t sock_rows(struct sock_env *env, uint64_t *cursor, struct sock_row *rows, uint32_t n);
/* A group that a socket has joined. */
struct sock_group_row {
	struct ipaddr group;
	uint32_t ifindex;
	bool include;
	uint32_t n_sources;
	struct endpoint local;
	uint32_t pid;
	bool v6, v6only;
};
uint32_t sock_group_rows(struct sock_env *env, uint64_t *cursor, struct sock_group_row *rows, uint32_t n);
