/* Neighbour cache of one data thread: RFC 826 resolution with the reachability states of RFC 4861
 * section 7.3, a few packets queued per unresolved neighbour, a bounded table. Pure: packets are
 * opaque, requests and queued packets leave through struct neigh_ops, time is an argument. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/net/netif.h"

enum neigh_state {
	NEIGH_INCOMPLETE, /* asked, no answer yet: packets wait */
	NEIGH_REACHABLE,  /* answered lately */
	NEIGH_STALE,	  /* address known, not confirmed lately; used as it is */
	NEIGH_DELAY,	  /* stale and used: gives upper layers time before asking */
	NEIGH_PROBE,	  /* asked by unicast, used meanwhile */
	NEIGH_FAILED,	  /* no answer; the next packet asks again */
	NEIGH_UNREACHABLE, /* IPv6: no answer to PROBE; asked by multicast, used meanwhile (RFC 7048) */
};
enum {
	NEIGH_QUEUE = 8,	    /* packets that wait per neighbour */
	NEIGH_TRIES = 3,	    /* requests before giving up */
	NEIGH_RETRANS_MS = 1000,
	NEIGH_DELAY_MS = 5000,
	NEIGH_REACHABLE_MS = 30000, /* spread over 0.5 .. 1.5 times this */
	NEIGH_BACKOFF = 3,	    /* UNREACHABLE: so much longer between requests (RFC 7048 3) */
	NEIGH_LAST_TRIES = 4,	    /* ... and so many of them */
	NEIGH_LOCK_MS = 1000,	    /* a changed address is not believed again so soon */
};

struct neigh_ops {
	/* Send a request for target: to mac, or broadcast when mac is NULL. */
	void (*request)(void *arg, struct netif *nif, const struct ipaddr *target,
			const struct eth_addr *mac);
	/* A queued packet may leave now. */
	void (*send)(void *arg, struct netif *nif, void *pkt, const struct eth_addr *mac);
	/* A queued packet will never leave. unreachable: the neighbour did not answer (only from
	 * neigh_advance()); otherwise the queue or table was full. */
	void (*drop)(void *arg, struct netif *nif, void *pkt, bool unreachable);
	/* An IPv6 neighbour does not answer. May be NULL. */
	void (*lost)(void *arg, struct netif *nif, const struct ipaddr *addr);
};

struct neigh_table;
/* NULL: no memory. max: most entries. */
struct neigh_table *neigh_new(uint32_t max, uint64_t seed, const struct neigh_ops *ops, void *arg,
			      uint64_t now_ns);
/* Drops what is queued. */
void neigh_free(struct neigh_table *t);

/* Address of addr on nif. True: *mac is set, send the packet now. False: pkt (may be NULL) was
 * queued or dropped, it is no longer the caller's. */
bool neigh_resolve(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr, void *pkt,
		   struct eth_addr *mac, uint64_t now_ns);

enum neigh_heard {
	NEIGH_HEARD_REPLY,   /* answer to us */
	NEIGH_HEARD_REQUEST, /* asked for us: creates an entry (RFC 826) */
	NEIGH_HEARD_OTHER,   /* anything else: updates an entry that exists */
};
/* addr is at mac, it says. */
void neigh_learn(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		 struct eth_addr mac, enum neigh_heard heard, uint64_t now_ns);
/* A neighbour advertisement for addr, with the flags of RFC 4861 4.4; mac NULL: it has no address in it. */
void neigh_advert(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		  const struct eth_addr *mac, bool solicited, bool override, uint64_t now_ns);
/* An upper layer had an answer from addr (RFC 4861 7.3.1). */
void neigh_confirm(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		   uint64_t now_ns);

void neigh_advance(struct neigh_table *t, uint64_t now_ns);
uint64_t neigh_next_ns(const struct neigh_table *t);

struct neigh_row {
	struct ipaddr addr;
	struct eth_addr mac;
	enum neigh_state state;
	uint16_t nif, queued;
};
/* Entries, for `fastnet` and tests: at most n from position *cursor on. */
uint32_t neigh_rows(const struct neigh_table *t, uint32_t *cursor, struct neigh_row *rows,
		    uint32_t n);
uint32_t neigh_count(const struct neigh_table *t);
