/* RFC 6298 section 2: smoothed round-trip time, its variation, and the timeout that follows.
 *
 * The RFC's bounds are for the sum; here, as on Linux, the floor is the variation's. A steady path of 100 ms
 * would otherwise end up with no patience for an ACK that is delayed. And where a flight gives many samples
 * the variation of most of them is nothing (RFC 7323 G): the largest of a round trip counts, and what is
 * too much goes away by a quarter for each of them. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_rtt.h"
#include "stack/base/util.h"

/* Two halves of the window are remembered: the one that is under way, and in min_us the one before. */
static void note_min(struct tcp_rtt *r, uint32_t us, uint32_t now_us)
{
	if (r->half_us && now_us - r->half_at_us < TCP_RTT_MIN_US / 2) {
		r->half_us = min_u32(r->half_us, us);
		r->min_us = min_u32(r->min_us, us);
		return;
	}
	r->min_us = r->half_us ? min_u32(r->half_us, us) : us;
	r->half_us = us;
	r->half_at_us = now_us;
}

static void smooth(struct tcp_rtt *r, uint32_t us)
{
	if (us >= r->srtt_us) { /* (2.3): beta 1/4, alpha 1/8, RTTVAR from the old SRTT */
		r->var_us = (uint32_t)((3ull * r->var_us + (us - r->srtt_us)) / 4);
	} else { /* shorter is no reason to wait longer: an eighth of beta upwards (as Linux) */
		uint32_t off = r->srtt_us - us;

		if (off > r->var_us)
			r->var_us += (off - r->var_us) / 32;
		else
			r->var_us = (uint32_t)((3ull * r->var_us + off) / 4);
	}
	r->srtt_us = max_u32((uint32_t)((7ull * r->srtt_us + us) / 8), 1);
}

void tcp_rtt_sample(struct tcp_rtt *r, uint32_t us, uint32_t now_us, seq_t una, seq_t nxt)
{
	us = max_u32(min_u32(us, TCP_RTO_MAX_US), 1);
	note_min(r, us, now_us);
	if (r->srtt_us == 0) { /* (2.2) */
		r->srtt_us = us;
		r->var_us = us / 2;
		r->peak_us = r->slack_us = max_u32(4 * r->var_us, TCP_RTO_MIN_US);
		r->round = nxt;
	} else {
		smooth(r, us);
		r->peak_us = max_u32(r->peak_us, 4 * r->var_us);
		r->slack_us = max_u32(r->slack_us, r->peak_us);
		if (seq_gt(una, r->round)) {
			r->slack_us -= (r->slack_us - r->peak_us) / 4;
			r->peak_us = TCP_RTO_MIN_US;
			r->round = nxt;
		}
	}
	r->base_us = min_u32(r->srtt_us + r->slack_us, TCP_RTO_MAX_US);
}

uint32_t tcp_rtt_backed_off_us(const struct tcp_rtt *r)
{
	uint64_t us = (uint64_t)tcp_rtt_base_us(r) << (r->backoff < 20 ? r->backoff : 20);

	return (uint32_t)min_u64(us, TCP_RTO_MAX_US); /* (5.5) */
}
