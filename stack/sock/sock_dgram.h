/* Datagram sockets on the engine's side: what the three files sock_dgram*.c and the rest of stack/sock tell
 * each other. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/dgram.h"
#include "stack/sock/sock.h"

enum {
	DGRAM_BUF = 106496,	   /* half of Linux's default sk_rcvbuf and sk_sndbuf */
	DGRAM_RCVBUF_MIN = 1152,   /* half of SOCK_MIN_RCVBUF ... */
	DGRAM_SNDBUF_MIN = 2304,   /* ... and of SOCK_MIN_SNDBUF */
	DGRAM_ERRQ_SIZE = 64 << 10,
	DGRAM_QUOTE_MAX = 2048,	   /* bytes of a quoted datagram that are kept */
	DGRAM_ROUND = 64,	   /* records of a socket that are sent in one go ... */
	DGRAM_ROUND_BYTES = 256 << 10, /* ... and bytes */
	DGRAM_GRO_MAX = 128,	   /* datagrams that make one record: Linux's UDP_MAX_SEGMENTS, by loopback */
};

struct sock;
struct call;
/* The part of a struct sock that a connection has in its place. */
struct dgram {
	struct udp_sock udp;
	struct ipaddr saddr;	/* what we send from; any: by route */
	uint32_t rcvbuf;	/* sk_rcvbuf */
	uint32_t rmem;		/* what the records not yet seen to be read cost, as Linux counts */
	uint32_t opt_flags;	/* CHAN_O_ */
	uint8_t mtu_disc, mtu_disc6; /* as in chan_opts */
	bool port_fixed;	/* the program named the port: it stays when the peer goes ... */
	bool addr_fixed;	/* ... and the address */
	bool gro_open;		/* the next datagram may still join `last` */
	uint8_t gro_n;		/* datagrams in it */
	uint32_t drops;		/* as published */
	uint32_t last_pos;	/* position of the newest record, which is `last` */
	struct chan_dgram last;
	uint8_t *errq;		/* the ring of the error queue, NULL: none yet */
	uint8_t errq_ext;	/* to give it back */
	uint32_t errq_off, errq_tail, errq_head;
};

/* ---- sock_dgram.c ---- */
/* Makes the new socket s one of datagrams. */
void sock_dgram_init(struct sock *s);
/* Out of the tables; sock_free() does the rest. */
void sock_dgram_fini(struct sock *s);
void sock_dgram_opts(struct sock *s, const struct chan_opts *o);
void sock_dgram_dirty(struct sock *s);
/* 0 or -errno; k->s is what the answer names. */
int sock_dgram_bind(struct call *k);
int sock_dgram_connect(struct call *k);
int sock_dgram_mcast(struct call *k);
/* SO_MEMINFO's array; bytes. */
uint32_t sock_dgram_info(struct sock *s, void *payload);

/* ---- sock_dgram_tx.c ---- */
/* Sends records, at most so many; the rest later. */
void sock_dgram_send(struct sock *s);
/* All of them: the peer, the address or the socket is about to change. */
void sock_dgram_flush(struct sock *s);
/* The largest send ring that is ever needed. */
uint32_t sock_dgram_tx_max(const struct sock *s);

/* ---- sock_dgram_rx.c ---- */
extern const struct udp_ops sock_udp_ops;
uint32_t sock_dgram_rx_max(const struct sock *s);
/* The application has read from position `from` to s->rx_head: what that cost is free again. False: no
 * record begins there. */
bool sock_dgram_read(struct sock *s, uint32_t from);
/* One more record of the error queue; its len is that of the payload p. */
void sock_errq_put(struct sock *s, const struct chan_dgram *rec, const void *p);
