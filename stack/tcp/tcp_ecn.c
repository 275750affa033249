/* Explicit congestion notification: negotiation, echo and answer (RFC 3168 6.1), and the exact echo that
 * DCTCP wants (RFC 8257 3.2). Asked for by us only if the host or the controller wants it; granted to
 * a peer that asks, as Linux does. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

enum { ECN_SYN = TCPF_ECE | TCPF_CWR };

bool tcp_ecn_granted(const struct tcp_env *env, const struct tcp_sockopts *o, uint8_t syn_flags)
{
	bool may = env->ecn != TCP_ECN_OFF || (o && tcp_cc_for(env, o->cc)->wants_ecn);

	return may && (syn_flags & ECN_SYN) == ECN_SYN;
}

/* 6.1.1; 6.1.1.1: the second attempt goes without, in case somebody on the path drops such SYNs. */
uint8_t tcp_ecn_syn_flags(const struct tcp_env *env, struct tcp_conn *c)
{
	c->ecn_asked = c->retries == 0 && (env->ecn == TCP_ECN_ON || c->cc->wants_ecn);
	return c->ecn_asked ? ECN_SYN : 0;
}

void tcp_ecn_learn(const struct tcp_env *env, struct tcp_conn *c, uint8_t flags)
{
	if (flags & TCPF_ACK)
		c->ecn_ok = c->ecn_asked && (flags & ECN_SYN) == TCPF_ECE;
	else /* both sides open */
		c->ecn_ok = tcp_ecn_granted(env, &c->opts, flags);
}

/* RFC 8257 3.2: what was received before the change is acknowledged with the old state. */
static void dctcp_received(struct tcp_env *env, struct tcp_conn *c, bool ce, uint64_t now_ns)
{
	if (ce == c->ecn_echo)
		return;
	if (c->ack_delayed || c->ack_now)
		tcp_emit_ack(env, c, now_ns);
	c->ecn_echo = ce;
	c->quick = max_u32(c->quick, 1);
}

void tcp_ecn_received(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		      uint64_t now_ns)
{
	bool ce = seg->ecn == TCP_ECN_CE;

	c->ecn_seen |= seg->ecn != 0;
	if (ce)
		STAT_INC(tcp_ecn_ce);
	if (c->cc->wants_ecn) {
		dctcp_received(env, c, ce, now_ns);
		return;
	}
	if (seg->flags & TCPF_CWR) /* 6.1.3 */
		c->ecn_echo = false;
	if (ce) {
		c->ecn_echo = true;
		c->quick = TCP_QUICK_SEGS; /* the sender should hear of it soon */
	}
}

void tcp_ecn_mark(struct tcp_conn *c, struct tcp_seg *seg)
{
	if (c->ecn_echo)
		seg->flags |= TCPF_ECE;
	if (seg->len == 0 || c->resending) /* 6.1.4, 6.1.5: new data only */
		return;
	seg->ecn = TCP_ECN_ECT0;
	if (c->ecn_cwr) {
		seg->flags |= TCPF_CWR; /* 6.1.2: on the first new data after the reduction */
		c->ecn_cwr = false;
	}
}
