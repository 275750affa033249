/* Hierarchical timing wheel. A timer lies at the level of the highest 6-bit digit in which its tick
 * differs from the wheel's, in the slot of that digit; hence all of a level comes before all of the
 * next one, and the earliest slot is the first occupied one of the lowest occupied level. Entering
 * a slot of an upper level deals its timers out to the levels below. The top level is circular, and
 * what is further away than its reach (13 days) is parked in its farthest slot and dealt again. */
// SPDX-License-Identifier: MIT
#include "stack/base/wheel.h"
#include "stack/base/util.h"

enum { TOP = WHEEL_LEVELS - 1, DIGIT = WHEEL_SLOTS - 1 };

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	*w = (struct wheel){ .tick = now_ns >> WHEEL_TICK_SHIFT };
	for (int l = 0; l < WHEEL_LEVELS; l++) {
		for (int i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slot[l][i]);
	}
	list_init(&w->ready);
}

void wheel_timer_init(struct wheel_timer *t, uint8_t kind)
{
	*t = (struct wheel_timer){ .kind = kind };
	list_init(&t->link);
}

/* Puts the timer where due_ns belongs, seen from w->tick. */
static void place(struct wheel *w, struct wheel_timer *t)
{
	uint64_t tick = max_u64(t->due_ns >> WHEEL_TICK_SHIFT, w->tick);
	unsigned level = (63 - (unsigned)__builtin_clzll((tick ^ w->tick) | 1)) / WHEEL_BITS;

	if (level >= TOP) {
		uint64_t here = w->tick >> (TOP * WHEEL_BITS);
		uint64_t there = tick >> (TOP * WHEEL_BITS);

		level = TOP;
		tick = min_u64(there, here + DIGIT) << (TOP * WHEEL_BITS);
	}
	unsigned index = tick >> (level * WHEEL_BITS) & DIGIT;
	t->slot = (uint16_t)(level * WHEEL_SLOTS + index);
	list_push(&w->slot[level][index], &t->link);
	w->occupied[level] |= 1ull << index;
	w->quiet_ns = 0; /* it may be the first now */
	if (tick == w->tick)
		w->scan_ns = min_u64(w->scan_ns, t->due_ns);
}

/* Takes the timer off whatever list it is on. */
static void unplace(struct wheel *w, struct wheel_timer *t)
{
	list_del(&t->link);
	if (t->slot == WHEEL_READY)
		return;
	unsigned level = t->slot / WHEEL_SLOTS, index = t->slot % WHEEL_SLOTS;
	if (list_empty(&w->slot[level][index]))
		w->occupied[level] &= ~(1ull << index);
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ns)
{
	if (t->armed)
		unplace(w, t);
	else
		w->armed++;
	t->armed = 1;
	t->due_ns = due_ns;
	place(w, t);
}

void wheel_disarm(struct wheel *w, struct wheel_timer *t)
{
	if (!t->armed)
		return;
	unplace(w, t);
	t->armed = 0;
	w->armed--;
}

/* First tick of the earliest occupied slot and its level; UINT64_MAX when all are empty. */
static uint64_t earliest_slot(const struct wheel *w, unsigned *level)
{
	*level = 0;
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		if (!w->occupied[l])
			continue;
		unsigned shift = l * WHEEL_BITS;
		unsigned here = w->tick >> shift & DIGIT;
		/* Rotate so that bit 0 is the current digit; only the top level ever wraps. */
		uint64_t bits = w->occupied[l];
		if (here)
			bits = bits >> here | bits << (WHEEL_SLOTS - here);
		*level = l;
		uint64_t tick = ((w->tick >> shift) + (unsigned)__builtin_ctzll(bits)) << shift;
		/* The current digit of an upper level is never occupied, so this moves forward. */
		return tick;
	}
	return UINT64_MAX;
}

/* Moves the current tick's timers that are due to the ready list, and notes when to look again. */
static void scan_current(struct wheel *w, uint64_t now_ns)
{
	unsigned index = w->tick & DIGIT;
	struct list *slot = &w->slot[0][index];

	w->scan_ns = UINT64_MAX;
	list_for_each_safe(it, tmp, slot) {
		struct wheel_timer *t = container_of(it, struct wheel_timer, link);

		if (t->due_ns > now_ns) {
			w->scan_ns = min_u64(w->scan_ns, t->due_ns);
			continue;
		}
		list_del(it);
		list_push(&w->ready, it);
		t->slot = WHEEL_READY;
	}
	if (list_empty(slot))
		w->occupied[0] &= ~(1ull << index);
}

/* Deals the timers of the upper-level slot that has just been entered out to lower levels. */
static void cascade(struct wheel *w, unsigned level)
{
	unsigned index = w->tick >> (level * WHEEL_BITS) & DIGIT;
	struct list *slot = &w->slot[level][index];
	struct list *n;

	w->occupied[level] &= ~(1ull << index);
	while ((n = list_pop(slot)))
		place(w, container_of(n, struct wheel_timer, link));
}

/* Nothing lies between the current tick and this one, so no slot is entered. */
static inline void pass_to(struct wheel *w, uint64_t now_tick)
{
	if (now_tick > w->tick) {
		w->tick = now_tick;
		w->scan_ns = UINT64_MAX;
	}
}

/* Fills the ready list with the timers of the next tick that has any due. False: none until now. */
static bool advance(struct wheel *w, uint64_t now_ns)
{
	/* The wheel never turns back, also when threads read slightly different clocks. */
	uint64_t now_tick = max_u64(now_ns >> WHEEL_TICK_SHIFT, w->tick);

	while (list_empty(&w->ready)) {
		unsigned level;
		uint64_t tick = earliest_slot(w, &level);

		if (tick > now_tick) {
			pass_to(w, now_tick);
			return false;
		}
		if (tick != w->tick) {
			w->tick = tick;
			w->scan_ns = 0;
		}
		if (level > 0) {
			cascade(w, level);
			continue;
		}
		if (now_ns < w->scan_ns)
			return false;
		scan_current(w, now_ns);
	}
	return true;
}

static __attribute__((noinline)) struct wheel_timer *look(struct wheel *w, uint64_t now_ns)
{
	if (!advance(w, now_ns)) {
		w->quiet_ns = wheel_next_ns(w);
		return NULL;
	}
	struct wheel_timer *t = container_of(list_pop(&w->ready), struct wheel_timer, link);
	t->armed = 0;
	w->armed--;
	return t;
}

/* Every turn of a thread's loop asks, and most bring no news of timers. */
struct wheel_timer *wheel_pop_due(struct wheel *w, uint64_t now_ns)
{
	if (now_ns >= w->quiet_ns)
		return look(w, now_ns);
	pass_to(w, now_ns >> WHEEL_TICK_SHIFT);
	return NULL;
}

uint64_t wheel_next_ns(const struct wheel *w)
{
	unsigned level;

	if (!list_empty(&w->ready))
		return w->tick << WHEEL_TICK_SHIFT;
	uint64_t tick = earliest_slot(w, &level);
	if (tick == UINT64_MAX)
		return UINT64_MAX;
	/* In the current tick the exact time is known; otherwise the start of the slot will do. */
	return tick == w->tick ? w->scan_ns : tick << WHEEL_TICK_SHIFT;
}
