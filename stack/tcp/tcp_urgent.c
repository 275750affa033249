/* Urgent data (RFC 9293 3.8.5, RFC 6093): our pointer in what we send, the peer's in what arrives. As
 * Linux and everybody else, the pointer names the byte behind the urgent one. The byte itself travels in
 * the stream; who takes it out of there is the application's side (stack/chan/urgent.c). */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

void tcp_app_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos)
{
	seq_t up = seq_add(c->iss, 2 + pos);

	if (tcp_is_closed(c) || seq_gt(up, c->snd_end) || seq_le(up, c->snd_una))
		return;
	if (c->urg_tx && seq_le(up, c->snd_up))
		return;
	c->snd_up = up;
	c->urg_tx = true;
	tcp_want_output(env, c);
}

/* A pointer beyond the 16 bits is told as far as they reach, by new segments only: those in the
 * neighbourhood of the urgent byte will follow. */
void tcp_urgent_mark(const struct tcp_conn *c, struct tcp_seg *seg)
{
	uint32_t ahead = seq_diff(c->snd_up, seg->seq);

	if (!seq_lt(seg->seq, c->snd_up))
		return;
	if (ahead > UINT16_MAX && seq_le(seq_add(seg->seq, UINT16_MAX), c->snd_nxt))
		return;
	seg->flags |= TCPF_URG;
	seg->urg = (uint16_t)min_u32(ahead, UINT16_MAX);
}

/* States in which the peer has more to say (RFC 9293 3.10.7.4 sixth). */
static bool may_receive(const struct tcp_conn *c)
{
	return !c->fin_rcvd && !c->orphan &&
	       (c->state == TCPS_ESTABLISHED || c->state == TCPS_FIN_WAIT_1 ||
		c->state == TCPS_FIN_WAIT_2);
}

void tcp_urgent_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg)
{
	seq_t at = seq_add(seg->seq, seg->urg ? seg->urg - 1u : 0);

	if (!may_receive(c))
		return;
	/* A repetition must not make urgent what has been read, or is about to be: what is in order
	 * was told when it came. */
	tcp_urgent_received(c);
	if (seq_lt(at, c->rcv_nxt) || (c->urg_rx && seq_le(at, c->rcv_up)))
		return;
	c->rcv_up = at;
	c->urg_rx = true;
	STAT_INC(tcp_rx_urgent);
	env->ops->urgent(env, c, seq_diff(at, c->irs) - 1);
}
