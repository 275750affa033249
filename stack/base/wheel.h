/* Timing wheel: arm, disarm, advance, next deadline. Owned by one thread; never reads a clock.
 * A timer never fires early, and never later than the first pop at or after its due time; timers
 * due within one tick (WHEEL_TICK_NS) of each other come in any order. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/list.h"

enum { WHEEL_TICK_SHIFT = 14, WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 6 };
enum { WHEEL_READY = WHEEL_LEVELS * WHEEL_SLOTS };
#define WHEEL_TICK_NS (1ull << WHEEL_TICK_SHIFT) /* 16.4 us */

struct wheel_timer {
	struct list link; /* self-linked when not armed */
	uint64_t due_ns;
	uint16_t slot; /* level * WHEEL_SLOTS + index, for the occupancy bits; WHEEL_READY */
	uint8_t armed;
	uint8_t kind; /* the owner's: what to do when it fires */
};

struct wheel {
	uint64_t tick;			/* time already advanced to, in ticks */
	uint64_t occupied[WHEEL_LEVELS];	/* bit set: slot not empty */
	struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
	struct list ready;		/* found due, not yet popped */
	uint64_t scan_ns;		/* no timer in the current tick's slot is due before this */
	uint64_t quiet_ns;		/* before this nothing fires and no slot is entered */
	uint32_t armed;			/* timers on the wheel, for leak checks */
};

void wheel_init(struct wheel *w, uint64_t now_ns);
void wheel_timer_init(struct wheel_timer *t, uint8_t kind);
/* Arms, or moves an armed timer. A due time in the past fires at the next advance. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ns);
void wheel_disarm(struct wheel *w, struct wheel_timer *t);
/* Takes the next timer due at or before now_ns off the wheel and returns it, or NULL when there is
 * none left. Call until NULL; the caller may arm and disarm any timer in between. */
struct wheel_timer *wheel_pop_due(struct wheel *w, uint64_t now_ns);
/* A time not later than the earliest due timer, UINT64_MAX when none is armed. */
uint64_t wheel_next_ns(const struct wheel *w);
