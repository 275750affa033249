/* Between two sockets of one data thread: what one has written is copied into the other's receive ring, once,
 * and no segment is made of it. Whether that may be is the TCP core's to say (tcp_join.c). */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

/* Is the other end on this engine? Its address does not change. */
static bool is_near(struct sock *s)
{
	struct sock_env *env = s->cw->env;

	if (unlikely(!s->near_known)) {
		s->near_known = true;
		s->is_near = env->host->is_settled &&
			     env->host->is_local(env->host_arg, &s->conn.flow.remote);
	}
	return s->is_near;
}

void sock_near_buffer(struct sock *s)
{
	if (!is_near(s))
		return;
	sock_set_flag(s, CHAN_A_NEAR, 0);
	if (!s->sndbuf)
		s->a->sndbuf = max_u32(s->a->sndbuf, SOCK_SNDBUF_NEAR);
}

/* n bytes from pos of s to the end of d's receive stream. */
static bool copy(struct sock *s, uint32_t pos, struct sock *d, uint32_t n)
{
	uint32_t to = tcp_rx_tail(&d->conn);
	struct sock_piece piece[8];
	unsigned pieces = sock_tx_pieces(s, pos, n, piece);

	if (pieces == 0 || sock_rx_room(d, to + n) < 0)
		return false;
	for (unsigned i = 0; i < pieces; i++) {
		if (sock_rx_store(d, to, piece[i].p, piece[i].len) < 0)
			return false;
		to += piece[i].len;
	}
	if ((int32_t)(to - d->rx_end) > 0)
		d->rx_end = to;
	return true;
}

void sock_pipe(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	struct tcp_conn *peer;
	uint32_t n;

	/* After the tail that has been taken: urgent bytes are noted before it moves. */
	if (!is_near(s) || s->closing || !env->host->is_settled(env->host_arg) ||
	    unlikely(atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_URGENT))
		return;
	/* As long as there is any room: the rest is fetched by the peer's next read, which tells of
	 * it only when the window is nearly closed. */
	while ((n = tcp_join_room(&env->tcp, &s->conn, s->tx_tail, &peer, env->now_ns)) > 0) {
		uint32_t pos = tcp_tx_nxt(&s->conn);

		if (unlikely(s->flags_a & CHAN_A_NEAR && sock_of(peer)->cw->client != s->cw->client))
			sock_set_flag(s, 0, CHAN_A_NEAR);
		/* Perhaps by the thread that has written, before: its mark may come later in this round. */
		if (unlikely(sock_take_shut_rd(sock_of(peer))))
			continue;
		if (!copy(s, pos, sock_of(peer), n))
			return;
		tcp_join_passed(&env->tcp, &s->conn, n, env->now_ns);
		sock_sent(s, pos + n);
		sock_lane_passed(s, sock_of(peer));
	}
}
