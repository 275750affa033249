/* Putting datagrams together from fragments, of either family: RFC 791 3.2 and RFC 8200 4.5; overlaps as in
 * RFC 5722: the datagram is dropped. Pure: bytes are copied in, the datagram comes out contiguous. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum {
	REASS_BLOCK = 2048,		/* bytes of a fragment are kept in blocks of this size */
	REASS_BLOCKS = 2048,		/* 4 MB */
	REASS_SOURCE_BLOCKS = 256,	/* of one source address */
	REASS_DATAGRAMS = 512,
	REASS_FRAGS = 2048,		/* of one datagram: 65535 bytes of 32 a fragment */
	REASS_HEADROOM = 40,		/* free bytes before a datagram that is complete */
	REASS_NOTE_MAX = 56,
};

enum reass_stat {
	REASS_RX, REASS_OK, REASS_OVERLAP, REASS_TIMEOUT, REASS_LIMIT, REASS_STATS,
};
struct reass_conf {
	uint32_t timeout_ms;
	uint16_t stat[REASS_STATS]; /* the counters, enum stat_id */
	/* A datagram waited in vain: what the caller had noted at its first fragment, and the n bytes at p
	 * that it began with. Only if the first fragment had come. NULL: nobody wants to know. */
	void (*expired)(void *arg, const void *note, const uint8_t *p, uint32_t n);
	void *arg;
};

/* Which datagram. zone: of addresses that mean something else on each link, 0: of none. */
struct reass_key {
	struct ipaddr src, dst;
	uint32_t id, proto;
	uint32_t zone, pad;
};
struct reass_frag {
	struct reass_key key;
	uint32_t off;
	bool more;
	uint8_t ecn;	  /* of the IP header */
	const void *note; /* of the first fragment: note_len bytes that come back with the whole */
	uint32_t note_len;
	const void *p;
	uint32_t n;
};
/* Valid until the next call. */
struct reass_whole {
	uint8_t *p; /* REASS_HEADROOM bytes before it are the caller's */
	uint32_t len;
	const void *note;
	bool ce;    /* a fragment met congestion (RFC 3168 5.3) */
};

struct reass;
/* NULL: no memory. */
struct reass *reass_new(const struct reass_conf *conf, uint64_t seed, uint64_t now_ns);
void reass_free(struct reass *r);
/* One fragment. True: it completes its datagram. */
bool reass_input(struct reass *r, const struct reass_frag *f, struct reass_whole *whole,
		 uint64_t now_ns);
/* Drops what has waited too long. */
void reass_advance(struct reass *r, uint64_t now_ns);
uint64_t reass_next_ns(const struct reass *r);
/* In use, for tests. */
uint32_t reass_blocks(const struct reass *r);
uint32_t reass_datagrams(const struct reass *r);
