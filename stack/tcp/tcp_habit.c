/* What connections have done first, remembered by whom they were with: where the application has answered in
 * time again and again, the next connection's first ACKs wait for the segment that will carry them. Linux
 * learns this for each connection anew (its pingpong mode), and has sent two ACKs of its own by then. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include "stack/tcp/tcp_core.h"

/* So many in a row, before it is counted on; after a disappointment not for HABIT_WAIT connections, each
 * time twice as many. */
enum { HABIT_SURE = 8, HABIT_WAIT = 64, HABIT_SHIFT_MAX = 9 };

/* Services: a port of ours, or a peer's address and port. */
static struct tcp_habit *habit_of(const struct tcp_env *env, const struct tcp_conn *c,
				  enum tcp_habit_kind kind)
{
	uint32_t key = c->flow.local.port;

	if (!c->passive) {
		key = c->flow.remote.port;
		for (unsigned i = 0; i < 4; i++) {
			uint32_t word;

			memcpy(&word, (const char *)&c->flow.remote.addr + 4 * i, sizeof(word));
			key = key * 31 + word;
		}
	}
	return &env->table->habit[key * 0x9e3779b1u >> (32 - TCP_HABIT_BITS)][kind];
}

static bool rely_on(struct tcp_habit *h)
{
	if (h->wait) {
		h->wait--;
		return false;
	}
	if (h->seen < HABIT_SURE)
		return false;
	if (++h->uses == 0 && h->shift)
		h->shift--;
	return true;
}

void tcp_habit_start(const struct tcp_env *env, struct tcp_conn *c)
{
	if (!c->opts.quickack && rely_on(habit_of(env, c, TCP_HABIT_ANSWERS)))
		c->pingpong = true;
}

/* On one host connect() returns when the other end can be accepted, as programs with both ends know. */
static bool is_near(const struct tcp_env *env, const struct tcp_flow *flow)
{
	const struct tcp_flow back = { .local = flow->remote, .remote = flow->local };

	return ipaddr_eq(&flow->local.addr, &flow->remote.addr) || tcp_table_lookup(env, &back);
}

bool tcp_habit_speaks(const struct tcp_env *env, const struct tcp_conn *c)
{
	return !c->opts.quickack && rely_on(habit_of(env, c, TCP_HABIT_SPEAKS)) && !is_near(env, &c->flow);
}

static void seen(struct tcp_habit *h)
{
	h->seen = (uint8_t)min_u32(h->seen + 1u, HABIT_SURE);
}

void tcp_habit_answer(const struct tcp_env *env, struct tcp_conn *c, bool text, uint64_t now_ns)
{
	if (c->last_rx_data_ns) {
		if (now_ns - c->last_rx_data_ns >= TCP_DELACK_NS)
			return;
		c->pingpong |= text;
		seen(habit_of(env, c, TCP_HABIT_ANSWERS));
	} else if (!c->passive && c->tx_data_segs == text) { /* the first that leaves */
		if (now_ns - c->open_ns < TCP_SPEAKS_NS)
			seen(habit_of(env, c, TCP_HABIT_SPEAKS));
		tcp_habit_start(env, c);
	}
}

void tcp_habit_late(const struct tcp_env *env, const struct tcp_conn *c)
{
	bool text = !seq_eq(c->rcv_nxt, seq_add(c->irs, 1));
	struct tcp_habit *h;

	if (c->fin_rcvd || !seq_eq(c->rcv_acked, seq_add(c->irs, 1)) || (text && !c->pingpong))
		return; /* not one of the first */
	h = habit_of(env, c, text ? TCP_HABIT_ANSWERS : TCP_HABIT_SPEAKS);
	h->seen = 0;
	h->wait = (uint16_t)(HABIT_WAIT << h->shift);
	h->shift = (uint8_t)min_u32(h->shift + 1u, HABIT_SHIFT_MAX);
}
