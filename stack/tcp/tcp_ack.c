/* What an ACK means: snd_una, the window, a round-trip sample, the end of our FIN; recovery and
 * timers are told. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include "stack/tcp/tcp_core.h"

static void take_sample(struct tcp_conn *c, uint32_t us, uint64_t now_ns)
{
	tcp_rtt_sample(&c->rtt, us, tcp_us(now_ns), c->snd_una, c->snd_nxt);
	c->rtt.backoff = 0;
	if (c->cc->rtt && c->syn_acked)
		c->cc->rtt(c, us);
}

/* snd_una has moved. What was sent again says nothing (Karn), except by its echoed timestamp. Gives what our
 * own clock has measured, 0: nothing. */
static uint32_t sample_rtt(struct tcp_conn *c, const struct tcp_seg *seg,
			   const struct tcp_news *news, uint64_t now_ns)
{
	uint32_t us = 0;
	bool passed = tcp_sent_acked(&c->sent, c->snd_una, &us);

	/* The middle of a burst left no later than its end. */
	if (!passed && !news && unlikely(tcp_rtt_wants_any(&c->rtt)) && c->syn_acked && c->sent.n) {
		us = tcp_sent_at(&c->sent, 0)->us;
		passed = true;
	}
	if (passed && !news) {
		us = tcp_us(now_ns) - us;
		take_sample(c, us, now_ns);
		return us;
	}
	if (news && news->has_rtt) {
		take_sample(c, news->rtt_us, now_ns);
		return news->rtt_us;
	}
	/* Its millisecond clock is too coarse for a LAN; where the round trip has ten of them it is
	 * good enough, and every ACK helps (RFC 7323 4.1). */
	bool wanted = c->rtt.backoff || c->rtt.srtt_us == 0 ||
		      c->rtt.base_us > TCP_RTO_MIN_US + TCP_TS_FINE_US;
	if (!c->ts_ok || !seg->has_ts || seg->tsecr == 0 || !wanted)
		return 0;
	uint32_t ms = tcp_ts_now(c->ts_offset, now_ns) - seg->tsecr;
	if (ms <= TCP_RTO_MAX_US / 1000)
		take_sample(c, max_u32(ms, 1) * 1000, now_ns);
	return 0;
}

/* The delivery rate, where nothing is lost or held: acked bytes up to snd_una have arrived. */
static void tell_rate(struct tcp_env *env, struct tcp_conn *c, uint32_t acked, uint32_t rtt_us,
		      uint64_t now_ns)
{
	struct tcp_rate_sample rs = { .now_ns = now_ns, .acked = acked, .rtt_us = rtt_us };
	struct tcp_rate_pick pick = { .has = false };

	tcp_rate_arrived(c, &pick, seq_sub(c->snd_una, acked), c->snd_una, false, 0);
	tcp_rate_sample(c, &pick, now_ns, &rs);
	if (c->cc->control)
		c->cc->control(env, c, &rs);
}

static void syn_acked(struct tcp_conn *c, uint64_t now_ns)
{
	c->syn_acked = true;
	c->open_ns = now_ns;
	if (c->rtt.srtt_us == 0) { /* RFC 6298 5.7: it was repeated, and nothing could be measured */
		c->rtt.base_us = TCP_RTO_FALLBACK_US;
		c->rtt.backoff = 0;
	}
}

void tcp_ack_new(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		 struct tcp_news *news, uint64_t now_ns)
{
	uint32_t acked = seq_diff(seg->ack, c->snd_una);

	if (news)
		tcp_board_acked(env, c, seg->ack, news);
	c->snd_una = seg->ack;
	tcp_urgent_acked(c);
	if (unlikely(c->mtu_probing))
		tcp_mtu_acked(c);
	uint32_t rtt_us = sample_rtt(c, seg, news, now_ns);
	c->retries = 0;
	c->stall_ns = 0;
	if (!c->syn_acked) {
		syn_acked(c, now_ns);
		acked--;
	}
	if (c->fin_sent && seq_gt(c->snd_una, c->snd_end)) {
		c->fin_acked = true;
		acked--;
		tcp_event(env, c, TCPE_SENT_FIN_ACKED);
	}
	if (acked) {
		c->tx_bytes += acked;
		if (!news) {
			tcp_recovery_open_acked(c, acked, now_ns);
			if (unlikely(c->model || tcp_rate_passed(c)))
				tell_rate(env, c, acked, rtt_us, now_ns);
		}
		tcp_event(env, c, TCPE_WRITABLE);
	}
	if (news) {
		news->acked = acked;
		tcp_recovery_news(env, c, news, false);
	}
	tcp_timer_acked(env, c, now_ns);
	if (tcp_unsent(c))
		tcp_want_output(env, c);
	else if (seq_eq(c->snd_una, c->snd_nxt))
		tcp_brake_set(c, TCP_BRAKE_IDLE, now_ns);
}

/* RFC 9293 3.10.7.4 fifth goes by the sequence number first. What is sent again has an old one and the newest
 * ACK: its window must count too, or the old window would be read from the new snd_una on and reach
 * beyond what was promised (as Linux decides). */
static bool window_is_news(const struct tcp_conn *c, const struct tcp_seg *seg)
{
	uint32_t wnd = (uint32_t)seg->wnd << c->snd_wscale;

	if (seq_lt(seg->ack, c->snd_una))
		return false;
	if (seq_gt(seg->ack, c->snd_una) || seq_gt(seg->seq, c->snd_wl1))
		return true;
	/* of two that say the same otherwise the wider is the later: windows do not shrink */
	return seq_eq(seg->seq, c->snd_wl1) && (wnd > c->snd_wnd || wnd == 0);
}

void tcp_update_window(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg)
{
	if (!window_is_news(c, seg))
		return;
	c->snd_wl1 = seg->seq;
	c->snd_wnd_raw = seg->wnd;
	c->snd_wnd = (uint32_t)seg->wnd << c->snd_wscale;
	c->max_snd_wnd = max_u32(c->max_snd_wnd, c->snd_wnd);
	if (c->persist && c->snd_wnd > 0)
		tcp_timer_window_opened(c);
	tcp_want_output(env, c);
}

/* Our FIN is acknowledged: the states move on. */
static void fin_acked(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	switch (c->state) {
	case TCPS_FIN_WAIT_1:
		tcp_set_state(c, TCPS_FIN_WAIT_2, now_ns);
		break;
	case TCPS_CLOSING:
		tcp_to_record(env, c, TCP_TIMEWAIT_NS, now_ns);
		break;
	case TCPS_LAST_ACK:
		tcp_done(env, c, 0, now_ns);
		break;
	default:
		break;
	}
}

bool tcp_ack_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		   uint64_t now_ns)
{
	struct tcp_news news = { .seg = seg, .now_ns = now_ns, .now_us = tcp_us(now_ns) };
	bool same_wnd = seg->wnd == c->snd_wnd_raw;

	/* RFC 9293 3.10.7.4 fifth, RFC 5961 5.2 */
	if (seq_gt(seg->ack, c->snd_nxt) ||
	    seq_lt(seg->ack, seq_sub(c->snd_una, c->max_snd_wnd))) {
		STAT_INC(tcp_drop_ack);
		TRACE(TCP_DROP, c->id, now_ns, TCP_DROP_ACK, seg->seq.v, seg->ack.v);
		tcp_challenge_ack(env, c, now_ns);
		return false;
	}
	c->retries = 0; /* the peer answers probes */
	tcp_update_window(env, c, seg);
	if (c->recovery == TCPR_OPEN)
		tcp_board_begin(c);
	news.fack = c->rack.fack;
	news.ece = c->ecn_ok && seg->flags & TCPF_ECE;
	if (news.ece && seq_gt(seg->ack, c->snd_una)) {
		c->ce_bytes += seq_diff(seg->ack, c->snd_una);
		if (c->cc->marked)
			c->cc->marked(c, seq_diff(seg->ack, c->snd_una));
	}
	if (unlikely(seg->n_sack) && c->sack_ok)
		tcp_board_sack(env, c, seg, &news);
	if (seq_gt(seg->ack, c->snd_una)) {
		bool open = c->recovery == TCPR_OPEN && !news.sacked && !news.dsack &&
			    !news.ece;

		tcp_ack_new(env, c, seg, open ? NULL : &news, now_ns);
		if (c->fin_acked)
			fin_acked(env, c, now_ns);
		return true;
	}
	bool dup = seq_eq(seg->ack, c->snd_una) && seg->len == 0 && !(seg->flags & TCPF_FIN) &&
		   same_wnd && !seq_eq(c->snd_una, c->snd_nxt); /* RFC 5681 2 */
	if (news.has_rtt)
		take_sample(c, news.rtt_us, now_ns);
	if (dup || news.sacked || news.dsack || news.ece)
		tcp_recovery_news(env, c, &news, dup);
	return true;
}
