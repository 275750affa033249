/* Tail loss probes, RFC 8985 7: when the last segments of a flight are lost nothing comes back that would
 * tell; one segment, sent before the timeout, draws the ACK that does. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

#define MAX_ACK_DELAY_US 200000u /* what Linux grants a peer's delayed ACK */
#define PTO_MIN_US 2000u	 /* two ticks: a probe is a timer, too (as Linux) */

/* 7.2: nothing lost or held, no probe under way, and new data in flight. */
static bool may_probe(const struct tcp_conn *c)
{
	return c->sack_ok && c->recovery == TCPR_OPEN && c->syn_acked &&
	       !seq_eq(c->snd_una, c->snd_nxt);
}

uint64_t tcp_tlp_timeout_ns(const struct tcp_conn *c)
{
	uint64_t us = NSEC_PER_SEC / NSEC_PER_USEC;

	if (!may_probe(c))
		return 0;
	if (c->rtt.srtt_us) {
		us = 2ull * c->rtt.srtt_us + PTO_MIN_US;
		if (seq_diff(c->snd_nxt, c->snd_una) <= c->mss)
			us += MAX_ACK_DELAY_US;
	}
	return us * NSEC_PER_USEC;
}

/* 7.3: one segment that is new, or else the last one again. */
void tcp_tlp_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (!may_probe(c))
		return;
	STAT_INC(tcp_tlp_probe);
	tcp_board_begin(c);
	c->tlp_again = !tcp_send_one(env, c, now_ns);
	if (c->tlp_again) {
		uint32_t out = seq_diff(c->snd_nxt, c->snd_una);
		uint32_t len = min_u32(out, tcp_send_mss(c) + (c->fin_sent && !c->fin_acked));

		tcp_send_again(env, c, seq_sub(c->snd_nxt, len), c->snd_nxt, now_ns);
	}
	c->tlp_out = true;
	c->tlp_end = c->snd_nxt;
	c->recovery = TCPR_DISORDER; /* what comes now is looked at closely */
	tcp_recovery_trace(c, now_ns);
	tcp_timer_restarted(env, c, now_ns);
}

/* 7.4.2: has the probe repaired a loss that nobody else has seen? */
bool tcp_tlp_acked(struct tcp_conn *c, const struct tcp_news *news)
{
	if (seq_lt(c->snd_una, c->tlp_end) && !(news->dsack && c->tlp_again))
		return false;
	bool past = seq_gt(c->snd_una, c->tlp_end);
	bool pure_dup = !news->acked && !news->sacked && !news->dsack;

	if (!c->tlp_again || news->dsack || pure_dup) {
		/* new data, or both copies have arrived */
		c->tlp_out = false;
		return false;
	}
	if (!past && !seq_eq(c->snd_una, c->tlp_end))
		return false;
	if (!past && news->acked)
		return false; /* one copy; does another ACK or a D-SACK follow? */
	c->tlp_out = false;
	STAT_INC(tcp_tlp_repaired);
	return true;
}
