/* Extent D of the shared-memory ABI (layout.h): what programs of one user write into each other, see
 * lane.h. One for each client, written by it and by the programs that its sockets have lanes to. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/layout.h"

/* One end of a connection whose two programs pass bytes without the engine. It is this end's until both
 * sockets have gone, so a late write of the other program can't hit anybody else. [p] the other program
 * [a] ours. */
struct chan_lane_rec {
	/* what we receive, and how far the other has read; written by its tx_lock's and rx_lock's owner */
	_Alignas(64) _Atomic uint32_t evseq; /* [p] +1 with news; our waiters' futex word beside a->evseq */
	_Atomic uint32_t rx_tail;  /* [p] position behind the last byte in the lane */
	_Atomic uint32_t tx_head;  /* [p] position up to which it has read our lane */
	_Atomic uint32_t rx_on;	   /* [p] epoch of the lane that it writes or has written */
	_Atomic uint32_t rx_begin; /* [p] first position of it: before that is the receive ring */
	_Atomic uint32_t rx_left;  /* [p] == rx_on: it writes no more into that lane; rx_tail is its end */
	uint32_t pad[10];
	_Atomic uint32_t waiters;  /* [a] threads that sleep on evseq */
	_Atomic uint32_t muffled;  /* [a] those that don't hear it, and queues not in sub: ask the engine */
	_Atomic uint16_t sub[CHAN_SUBS]; /* [a] as in B */
	_Atomic uint32_t tx_want;  /* [a] tell us when a third of our lane is free; the other takes it back */
	_Atomic uint32_t tx_on;	   /* [a] what rx_on, rx_left, rx_tail are to the other */
	_Atomic uint32_t tx_left;
	_Atomic uint32_t tx_tail;
	_Atomic uint32_t tx_begin; /* [a] rx_begin as it was first: what the engine goes by */
	uint32_t pad1[7];
};
_Static_assert(sizeof(struct chan_lane_rec) == 128, "ABI");
/* News for one event queue from other programs: their sockets' ids, as marks. */
struct chan_inbox {
	_Alignas(64) _Atomic uint32_t seq; /* [p] +1 with each mark */
	_Atomic uint32_t opened;   /* [a] +2 with each queue of this number, odd while it is open */
	_Atomic uint32_t armed;	   /* [a] 1 before a thread sleeps; [p] who takes it back wakes it */
	uint32_t pad[13];
	struct chan_dirty marks;
};
/* Offsets in D. */
enum {
	CHAN_D_OFF_REC = 0,
	CHAN_D_OFF_INBOX = CHAN_MAX_LANES * 128,
	CHAN_D_OFF_AREA = CHAN_D_OFF_INBOX + CHAN_MAX_EVQS * (64 + 64 + 64 * 8 + 64 * 64 * 8),
	CHAN_D_SIZE = CHAN_D_OFF_AREA + CHAN_LANE_AREA,
};
_Static_assert(sizeof(struct chan_inbox) * CHAN_MAX_EVQS == CHAN_D_OFF_AREA - CHAN_D_OFF_INBOX &&
	       CHAN_D_OFF_AREA % 4096 == 0, "ABI");
