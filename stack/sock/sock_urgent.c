/* Urgent data between the TCP core and an application: where the peer's pointer is published, and what a
 * send with MSG_OOB becomes. The other side, and what the words mean, is stack/chan/urgent.h. */
// SPDX-License-Identifier: MIT
#include "stack/sock/sock_int.h"

/* The later one of two positions less than 2 GB apart. */
static uint32_t later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0 ? a : b;
}

/* Linux's tcp_check_urg(): when the reader stands exactly at the byte that was urgent so far, and it
 * has arrived, that byte leaves the stream: it was announced as urgent, and the new pointer must not
 * turn it into text. Elsewhere it becomes text. */
void sock_urgent(struct tcp_env *tcp, struct tcp_conn *c, uint32_t pos)
{
	struct sock *s = sock_of(c);
	bool is_inline = sock_read_opts(s->b).flags & CHAN_O_OOBINLINE;
	uint32_t past = atomic_load_explicit(&s->b->urg_past, memory_order_relaxed), floor;

	if (s->closing || !sock_take_rx(s))
		return;
	floor = s->rx_head;
	if (s->urg.seq != past) {
		floor = later(floor, s->urg_floor);
		if (floor == s->urg.pos && floor != tcp_rx_tail(c) && !is_inline)
			floor++;
	}
	sock_set_flag(s, CHAN_A_URGENT, 0);
	if (unlikely(sock_has_line(s))) {
		sock_set_flag(s, CHAN_A_URG_BUSY, 0);
		sock_touch(s, false);
		sock_signal_urgent(s);
	}
	s->urg_floor = floor;
	atomic_store_explicit(&s->a->urg_floor, floor, memory_order_relaxed);
	s->urg.pos = pos;
	s->urg.seq += s->urg.seq == UINT32_MAX ? 2 : 1;
	atomic_store_explicit(&s->a->urg, chan_urg_word(s->urg), memory_order_release);
}

void sock_take_urgent(struct sock *s)
{
	struct chan_urg u = chan_urg_of(atomic_load_explicit(&s->b->urg_tx, memory_order_acquire));

	if (u.seq == s->urg_tx)
		return;
	if ((int32_t)(s->tx_tail - u.pos) <= 0)
		return; /* not published yet: a mark follows (or it is nonsense) */
	s->urg_tx = u.seq;
	atomic_store_explicit(&s->a->urg_tx_seen, u.seq, memory_order_release);
	if (s->tx_tail - u.pos <= s->tx_tail - s->tx_una)
		tcp_app_urgent(&s->cw->env->tcp, &s->conn, u.pos);
}
