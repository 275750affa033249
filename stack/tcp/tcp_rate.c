/* Marks and samples of the delivery rate. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

#define RATE_MAX (1ull << 36) /* bytes a second: times a round trip it fits 64 bits */

static struct tcp_rate_mark *mark_at(const struct tcp_conn *c, uint32_t i)
{
	if (!c->model)
		return (struct tcp_rate_mark *)&c->rate.one;
	return &c->model->mark[(c->rate.first + i) % TCP_RATE_MARKS];
}

static void forget_first(struct tcp_conn *c)
{
	c->rate.first = (uint8_t)((c->rate.first + 1) % TCP_RATE_MARKS);
	c->rate.n--;
}

void tcp_rate_init(struct tcp_conn *c)
{
	c->rate.n = c->rate.first = 0;
	c->rate.period_us = c->model ? 0 : TCP_RATE_PERIOD_US;
	c->rate.limited |= c->rate.us == 0; /* as Linux calls what it does not know */
}

/* C.first_send_time: when did that leave which was delivered last? */
static uint32_t first_send_us(const struct tcp_conn *c)
{
	if (c->recovery != TCPR_OPEN && c->rack.valid)
		return c->rack.us;
	return tcp_sent_guess(&c->sent, c->snd_una);
}

void tcp_rate_mark(struct tcp_conn *c, seq_t start, seq_t end, uint32_t now_us, bool again)
{
	struct tcp_rate *r = &c->rate;
	bool idle = seq_eq(start, c->snd_una) && !again;

	if (r->n == (c->model ? TCP_RATE_MARKS : 1)) {
		if (!c->model)
			return;
		forget_first(c);
	}
	*mark_at(c, r->n++) = (struct tcp_rate_mark){
		.end = end,
		.sent_us = now_us,
		.first_us = idle ? now_us : first_send_us(c),
		.delivered = tcp_delivered(c),
		.delivered_us = r->delivered_us,
		.flight = tcp_pipe(c),
		.lost = c->lost_bytes,
		.app_limited = r->dry,
		.again = again,
	};
	r->marked_us = now_us;
	if (c->model)
		r->period_us = c->rtt.srtt_us / (TCP_RATE_MARKS / 2);
}

/* IsNewestPacket() */
static bool is_newest(const struct tcp_rate_pick *pick, const struct tcp_rate_mark *m)
{
	if (!pick->has || tcp_us_lt(pick->mark.sent_us, m->sent_us))
		return true;
	return pick->mark.sent_us == m->sent_us && seq_gt(m->end, pick->mark.end);
}

/* Of several copies the last is taken for the one that has arrived (4.1.3.5); what arrives earlier than
 * it can is found out by the time. */
void tcp_rate_arrived(struct tcp_conn *c, struct tcp_rate_pick *pick, seq_t start, seq_t end,
		      bool again, uint32_t us)
{
	for (uint32_t i = 0; i < c->rate.n; i++) {
		struct tcp_rate_mark *m = mark_at(c, i);

		if (m->done || seq_gt(m->end, end) || seq_le(m->end, start))
			continue;
		m->done = true;
		if (m->again == again && (!again || m->sent_us == us) && is_newest(pick, m))
			*pick = (struct tcp_rate_pick){ .has = true, .mark = *m };
	}
}

/* GenerateRateSample() */
void tcp_rate_sample(struct tcp_conn *c, const struct tcp_rate_pick *pick, uint64_t now_ns,
		     struct tcp_rate_sample *rs)
{
	const struct tcp_rate_mark *m = &pick->mark;
	struct tcp_rate *r = &c->rate;
	uint32_t delivered = tcp_delivered(c);

	while (r->n && (mark_at(c, 0)->done || seq_le(mark_at(c, 0)->end, c->snd_una)))
		forget_first(c);
	if (r->dry && (int32_t)(delivered - r->dry_until) > 0)
		r->dry = false;
	if (c->model && tcp_rate_is_dry(c))
		tcp_rate_dry(c);
	if (!pick->has || (int32_t)(delivered - m->delivered) <= 0)
		return;
	if (m->again && tcp_us(now_ns) - m->sent_us < c->rtt.min_us)
		return; /* an earlier copy has arrived */
	uint32_t us = max_u32(m->sent_us - m->first_us, tcp_us(now_ns) - m->delivered_us);
	rs->has = true;
	rs->app_limited = m->app_limited;
	rs->prior_delivered = m->delivered;
	rs->delivered = delivered - m->delivered;
	rs->flight = m->flight;
	rs->lost = c->lost_bytes - m->lost;
	if (us == 0 || us < c->rtt.min_us) /* no reliable rate sample */
		return;
	rs->rate = min_u64(rs->delivered * (NSEC_PER_SEC / NSEC_PER_USEC) / us, RATE_MAX);
	if (rs->app_limited && rs->rate < tcp_rate_last(c))
		return; /* as Linux tells: the best that is known */
	r->bytes = rs->delivered;
	r->us = us;
	r->limited = rs->app_limited;
}

/* MarkConnectionAppLimited() */
void tcp_rate_dry(struct tcp_conn *c)
{
	c->rate.dry = true;
	c->rate.dry_until = tcp_delivered(c) + tcp_pipe(c);
}

const struct tcp_rate_mark *tcp_rate_near(const struct tcp_conn *c, seq_t seq)
{
	const struct tcp_rate_mark *best = NULL;
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < c->rate.n; i++) {
		const struct tcp_rate_mark *m = mark_at(c, i);
		uint32_t far = seq_ge(m->end, seq) ? seq_diff(m->end, seq) : seq_diff(seq, m->end);

		if (far <= least) {
			least = far;
			best = m;
		}
	}
	return best;
}

uint64_t tcp_rate_last(const struct tcp_conn *c)
{
	const struct tcp_rate *r = &c->rate;

	return r->us ? r->bytes * (NSEC_PER_SEC / NSEC_PER_USEC) / r->us : 0;
}
