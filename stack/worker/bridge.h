/* The bridge between two engines that share their ports and addresses during an upgrade: the new one (the
 * host) has the ports; the old one (the guest) keeps its connections and sends and receives by way of the
 * host. One shared memory, made by the guest: a ring of frames per data thread and direction, and what
 * each side tells about its local ports.
 *
 * Who gets a frame: what the host does not know (no connection, no listener for a SYN, no socket) goes to
 * the guest, which answers as an engine does that is alone. Packets to our own addresses go the same way
 * in both directions, marked so that they do not come back.
 *
 * Both sides are the same user's and the same program's, but lengths and numbers are checked. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/chan/layout.h"
#include "stack/net/ports.h"

struct netif;
struct rte_mbuf;
struct worker;

enum {
	BRIDGE_MAGIC = 0x464e4252,
	BRIDGE_VERSION = 1,
	BRIDGE_SLOT = 2048,	/* bytes; a record takes as many as it needs */
	BRIDGE_SLOTS = 1024,	/* of a ring */
	BRIDGE_RECORD_MAX = 65536 + 256,
};
enum bridge_side { BRIDGE_HOST, BRIDGE_GUEST };
enum bridge_kind {
	BRIDGE_FRAME = 1, /* guest: to be sent on port nif; host: received there */
	BRIDGE_LOCAL,	  /* an IPv4 packet to an address or group of ours, without checksums */
	BRIDGE_REFUSED,	  /* a datagram that came as BRIDGE_LOCAL and that nobody took */
};

struct bridge_record { /* at the start of a slot, followed by len bytes */
	uint32_t len;
	uint16_t kind;	/* enum bridge_kind */
	uint16_t nif;	/* number of the port, or BRIDGE_NO_NIF */
};
enum { BRIDGE_NO_NIF = 0xffff };
struct bridge_ring {
	_Alignas(64) _Atomic uint32_t tail; /* slots ever filled: the producer's */
	_Alignas(64) _Atomic uint32_t head; /* slots ever emptied: the consumer's */
	_Alignas(64) uint8_t slot[BRIDGE_SLOTS][BRIDGE_SLOT];
};
struct bridge_mem {
	uint32_t magic, version;
	uint32_t n_workers[2]; /* by side */
	/* By side and data thread: it sleeps, its eventfd wants a write. */
	struct {
		_Alignas(64) _Atomic uint32_t asleep;
	} thread[2][CHAN_MAX_WORKERS];
	struct ports_view view[2]; /* by the side that writes it */
	struct bridge_ring ring[2][CHAN_MAX_WORKERS]; /* by the side and thread that fill it */
};

/* One side of it, in private memory; constant once a data thread has it, but for fill[]. */
struct bridge {
	struct bridge_mem *mem;
	enum bridge_side side;
	uint32_t n_mine, n_theirs;    /* data threads */
	int bell[2][CHAN_MAX_WORKERS]; /* eventfds, by side */
	uint32_t fill[CHAN_MAX_WORKERS]; /* tail of our rings, each its data thread's */
};

/* ---- set-up: bridge.c ---- */
/* The guest's: new memory for n data threads of it; its descriptor, or -errno. */
int bridge_create(struct bridge *b, uint32_t n_workers);
/* The host's: maps fd for n data threads of its own. 0 or -errno (-EPROTO: not what we expect). */
int bridge_open(struct bridge *b, int fd, uint32_t n_workers);
/* The guest's, when the host has told how many data threads it has. 0 or -EPROTO. */
int bridge_joined(struct bridge *b, uint32_t n_workers);
/* Closes eventfds and unmaps. */
void bridge_close(struct bridge *b);
static inline struct ports_view *bridge_view(const struct bridge *b, bool mine)
{
	return &b->mem->view[mine ? b->side : !b->side];
}

/* ---- rings: bridge.c ---- */
struct bridge_piece {
	const void *p;
	uint32_t len;
};
/* Appends a record to the ring of our thread `from`. False: no room, or longer than
 * BRIDGE_RECORD_MAX. */
bool bridge_put(struct bridge *b, uint32_t from, enum bridge_kind kind, uint16_t nif,
		const struct bridge_piece *piece, unsigned n);
/* The next record of their ring `ring`: its bytes into buf (BRIDGE_RECORD_MAX). 1, 0: none, or -EPROTO:
 * the ring holds what no engine writes, and has been emptied. */
int bridge_get(struct bridge *b, uint32_t ring, struct bridge_record *r, void *buf);
bool bridge_is_empty(const struct bridge *b, uint32_t ring);
/* Our thread `from` has put records: wakes who reads them, if it sleeps. */
void bridge_wake(struct bridge *b, uint32_t from);

/* ---- on the data threads: bridge_worker.c ---- */
/* Before the thread runs, or on it. NULL: the other side is gone. */
void bridge_attach(struct worker *w, struct bridge *b);
/* The guest's port from now on: what it sends goes to the host. All data threads stand still. */
void bridge_take_port(struct netif *nif, struct bridge *b);
