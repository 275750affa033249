/* Proportional rate reduction, RFC 6937 3: while the window shrinks, what leaves is in proportion to what
 * is delivered, down to ssthresh, and the slow-start reduction bound below it. cwnd is pipe plus
 * what may leave now. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

void tcp_prr_start(struct tcp_conn *c)
{
	c->prr = true;
	c->prr_delivered = c->prr_out = 0;
	c->prr_flight = max_u32(seq_diff(c->snd_nxt, c->snd_una), 1);
}

void tcp_prr_acked(struct tcp_conn *c, uint32_t delivered, enum tcp_prr_kind kind)
{
	uint32_t pipe = tcp_pipe(c);
	int64_t out;

	c->prr_delivered += delivered;
	if (pipe > c->ssthresh) {
		uint64_t share = (uint64_t)c->prr_delivered * c->ssthresh + c->prr_flight - 1;

		out = (int64_t)(share / c->prr_flight) - c->prr_out;
	} else {
		/* Conservative while losses go on, else one segment more: slow start */
		int64_t limit = (int64_t)c->prr_delivered - c->prr_out;

		limit = limit > delivered ? limit : delivered;
		if (kind == TCP_PRR_GOOD)
			limit += c->mss;
		out = c->ssthresh - pipe;
		out = out < limit ? out : limit;
	}
	if (kind == TCP_PRR_ENTER && out < c->mss) /* the fast retransmit itself */
		out = c->mss;
	c->cwnd = max_u32(pipe + (uint32_t)(out > 0 ? out : 0), c->mss);
}
