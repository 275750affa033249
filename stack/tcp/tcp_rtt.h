/* Round-trip estimator and retransmission timeout, RFC 6298. Knows no connection and no clock. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/base/seq.h"

enum {
	TCP_RTO_INIT_US = 1000000,	/* RFC 6298 2.1 */
	TCP_RTO_FALLBACK_US = 3000000,	/* RFC 6298 5.7: the SYN had to be repeated, nothing measured */
	TCP_RTO_MIN_US = 200000,	/* least beyond SRTT. Below RFC 6298 2.4's 1 s, as Linux: most
					 * RTTs are < 1 ms */
	TCP_RTO_MAX_US = 120000000,	/* RFC 6298 2.5 wants at least 60 s */
	TCP_RTT_MIN_US = 300000000,	/* a path may get longer: RFC 8985 6.2 step 1; as Linux
					 * (tcp_min_rtt_wlen) */
};

/* Zeroed memory is the valid start state: no sample yet. */
struct tcp_rtt {
	uint32_t srtt_us, var_us; /* both 0 until the first sample; srtt_us is at least 1 after it */
	uint32_t min_us;	  /* smallest sample of the last TCP_RTT_MIN_US, at least of half of it */
	uint32_t half_us;	  /* ... of the half that is under way, 0 = no sample */
	uint32_t half_at_us;	  /* when it began */
	uint32_t base_us;	  /* timeout without backoff, 0 = TCP_RTO_INIT_US */
	uint32_t slack_us;	  /* ... so much of it is for the variation */
	uint32_t peak_us;	  /* largest 4 * var_us of this round trip, at least TCP_RTO_MIN_US */
	seq_t round;		  /* it ends when more than this is acknowledged */
	uint8_t backoff;	  /* doublings since the last acknowledgement of new data */
};

/* Nothing has been measured yet, or not since the timer has doubled: also what is a little short helps. */
static inline bool tcp_rtt_wants_any(const struct tcp_rtt *r) { return r->backoff || r->srtt_us == 0; }
/* One measurement that is not ambiguous (Karn), when the flight is [una, nxt); the time is modulo 2^32. */
void tcp_rtt_sample(struct tcp_rtt *r, uint32_t us, uint32_t now_us, seq_t una, seq_t nxt);
/* Timeout without backoff. */
static inline uint32_t tcp_rtt_base_us(const struct tcp_rtt *r)
{
	return r->base_us ? r->base_us : TCP_RTO_INIT_US;
}
/* Timeout in force: base << backoff, bounded. */
uint32_t tcp_rtt_backed_off_us(const struct tcp_rtt *r);
static inline uint32_t tcp_rtt_rto_us(const struct tcp_rtt *r)
{
	return r->backoff ? tcp_rtt_backed_off_us(r) : tcp_rtt_base_us(r);
}
