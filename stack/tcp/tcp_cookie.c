/* SYN cookies: a listener whose queue is full keeps nothing about a SYN. What has to be known when the
 * final ACK comes is in what that ACK repeats: our ISN and our timestamp (RFC 4987 3.6).
 *
 * ISN = fixed(flow) + IRS + tick * 2^24 + (secret of the tick (flow, IRS) + index of the MSS) mod 2^24, so
 * that numbers of one flow grow with time (RFC 6528 3). The secret of a tick is drawn when the tick begins
 * and forgotten when its cookies have expired. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum {
	TICKS = ARRAY_LEN(((struct tcp_cookies *)0)->key), /* a cookie is good in this tick and the last */
	LOW_BITS = 24,
	STAMP_WSCALE = 15, /* bits 0-3 of the timestamp; this value: no scaling */
	STAMP_SACK = 1 << 4,
	STAMP_ECN = 1 << 5,
	STAMP_ALL = 63,
};
#define LOW_MASK ((1u << LOW_BITS) - 1)
#define TICK_NS (60 * NSEC_PER_SEC)

/* What most paths carry, from the smallest on; only these can be told from a cookie. */
static const uint16_t mss4[] = { 536, 1300, 1440, 1460 }, mss6[] = { 1220, 1420, 1440, 8940 };
_Static_assert(sizeof(mss4) == sizeof(mss6), "one number of entries");

static const uint16_t *mss_table(const struct tcp_flow *flow)
{
	return ipaddr_is_v4(&flow->remote.addr) ? mss4 : mss6;
}

/* Secrets of what has expired are replaced. The present tick. */
static uint64_t turn(struct tcp_env *env, uint64_t now_ns)
{
	struct tcp_cookies *k = &env->cookies;
	uint64_t tick = now_ns / TICK_NS;
	uint64_t fresh = k->drawn ? min_u64(tick - k->tick, TICKS) : TICKS;

	for (uint64_t i = 0; i < fresh; i++)
		k->key[(tick - i) % TICKS] =
			(struct siphash_key){ { rng_u64(env->rng), rng_u64(env->rng) } };
	k->tick = tick;
	k->drawn = true;
	return tick;
}

static uint32_t fixed_part(const struct tcp_env *env, const struct tcp_flow *flow)
{
	return tcp_flow_keyed(&env->key, flow, TCP_SALT_COOKIE);
}

/* With the IRS, or the next number would bring back the next smaller MSS. */
static uint32_t secret_part(const struct tcp_env *env, const struct tcp_flow *flow, seq_t irs,
			    uint64_t tick)
{
	return tcp_flow_keyed(&env->cookies.key[tick % TICKS], flow, irs.v);
}

seq_t tcp_cookie_make(struct tcp_env *env, const struct tcp_flow *flow, seq_t irs, uint16_t *mss,
		      uint64_t now_ns)
{
	const uint16_t *table = mss_table(flow);
	uint64_t tick = turn(env, now_ns);
	uint32_t i = ARRAY_LEN(mss4) - 1;

	while (i && table[i] > *mss)
		i--;
	*mss = table[i];
	return seq_of(fixed_part(env, flow) + irs.v + (uint32_t)(tick << LOW_BITS) +
		      ((secret_part(env, flow, irs, tick) + i) & LOW_MASK));
}

uint16_t tcp_cookie_check(struct tcp_env *env, const struct tcp_flow *flow, seq_t irs, seq_t iss,
			  uint64_t now_ns)
{
	uint64_t tick = turn(env, now_ns);
	uint32_t rest = iss.v - fixed_part(env, flow) - irs.v;
	uint32_t age = ((uint32_t)tick - (rest >> LOW_BITS)) & (UINT32_MAX >> LOW_BITS);

	if (age >= TICKS)
		return 0;
	uint32_t i = (rest - secret_part(env, flow, irs, tick - age)) & LOW_MASK;
	return i < ARRAY_LEN(mss4) ? mss_table(flow)[i] : 0;
}

uint32_t tcp_cookie_stamp(const struct tcp_synq *q, uint64_t now_ns)
{
	uint32_t now = tcp_ts_now(0, now_ns), stamp = now & ~(uint32_t)STAMP_ALL;

	stamp |= q->wscale_ok ? q->snd_wscale : STAMP_WSCALE;
	stamp |= q->sack_ok ? STAMP_SACK : 0;
	stamp |= q->ecn_ok ? STAMP_ECN : 0;
	if (stamp > now) /* never of the future: what we send next has to be newer (RFC 7323 5.2) */
		stamp -= STAMP_ALL + 1;
	return stamp + q->ts_offset;
}

bool tcp_cookie_unstamp(struct tcp_synq *q, uint32_t tsecr)
{
	uint32_t stamp = tsecr - q->ts_offset;

	q->sack_ok = stamp & STAMP_SACK;
	q->ecn_ok = stamp & STAMP_ECN;
	q->snd_wscale = stamp & STAMP_WSCALE;
	q->wscale_ok = q->snd_wscale != STAMP_WSCALE;
	return !q->wscale_ok || q->snd_wscale <= TCP_WSCALE_MAX;
}
