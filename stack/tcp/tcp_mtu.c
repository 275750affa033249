/* Segment size: the MSS options, what routers say of the path (RFC 1191), and where they say nothing the
 * search for what gets through (RFC 4821), as Linux does both. Sizes are in terms of the MSS option: a packet
 * without its IP and TCP headers of 20 bytes each. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum {
	HDRS4 = 40, HDRS6 = 60,
	PMTU_MIN4 = 552, PMTU_MIN6 = 1280, /* less is not believed (Linux's min_pmtu; RFC 8200 5) */
	BASE_MSS = 1024,  /* Linux's tcp_base_mss: where a search begins */
	SEARCH_END = 8,	  /* tcp_probe_threshold: closer is near enough */
	PROBE_CWND = 11,  /* segments: a lost probe must be found by what follows */
	PROBE_AFTER = TCP_DUP_THRESH + 1, /* so many segments must be able to follow it */
};
#define TOLD_NS (600 * NSEC_PER_SEC)   /* RFC 1191 6.3; Linux's mtu_expires */
#define SEARCH_NS (600 * NSEC_PER_SEC) /* tcp_probe_interval */
/* Three timeouts of 200 ms and their doublings in a row, as Linux's tcp_retries1: is it the size? */
#define BLACK_HOLE_NS (3000 * NSEC_PER_MSEC)

static uint32_t options_len(const struct tcp_conn *c)
{
	return c->ts_ok ? TCP_TS_SPACE : 0;
}

static void sync_mss(struct tcp_conn *c)
{
	uint32_t wire = min_u32(c->peer_mss, c->path_mss);

	if (c->mtu_searching)
		wire = min_u32(wire, c->mtu.low);
	/* RFC 6691: the MSS options do not count TCP options, the segments have to */
	c->mss = (uint16_t)(max_u32(wire, TCP_MSS_MIN) - options_len(c));
	if (c->syn_acked) /* less than a segment would stop it */
		c->cwnd = max_u32(c->cwnd, c->mss);
}

static void set_told(struct tcp_conn *c, uint64_t until_ns)
{
	c->mtu.until_ns = until_ns;
	c->mtu_told = until_ns != 0;
}

static void start_search(const struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->mtu_searching = true;
	c->mtu.low = env->base_mss ? env->base_mss : BASE_MSS;
	c->mtu.high = (uint16_t)min_u32(c->peer_mss, c->path_mss);
	c->mtu.since_ns = now_ns;
}

void tcp_mtu_init(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->mtu = (struct tcp_mtu){ .since_ns = now_ns };
	c->mtu_searching = env->mtu_probing == TCP_MTU_ALWAYS;
	c->mtu.low = env->base_mss ? env->base_mss : BASE_MSS;
	if (env->ops->path_known)
		c->mtu.known = env->ops->path_known(env, &c->flow);
}

void tcp_mtu_negotiated(struct tcp_conn *c)
{
	c->path_mss = c->adv_mss;
	if (c->mtu.known) {
		c->path_mss = min_u32(c->path_mss, c->mtu.known);
		set_told(c, c->mtu.since_ns + TOLD_NS); /* looked up again then */
	}
	c->mtu.high = (uint16_t)min_u32(c->peer_mss, c->path_mss);
	sync_mss(c);
}

/* ---- what a router says ---- */

/* The search knows, too: what is longer than that does not get through. */
static void bound_search(struct tcp_conn *c, uint32_t mss)
{
	c->mtu.high = (uint16_t)min_u32(c->mtu.high, mss);
	c->mtu.low = (uint16_t)min_u32(c->mtu.low, mss);
}

void tcp_mtu_fell(struct tcp_env *env, struct tcp_conn *c, uint32_t mtu, uint64_t now_ns)
{
	bool v4 = ipaddr_is_v4(&c->flow.remote.addr);
	uint32_t least = v4 ? PMTU_MIN4 : PMTU_MIN6, was = c->mss;
	uint32_t mss = max_u32(mtu, least) - (v4 ? HDRS4 : HDRS6);

	if (!v4 && mtu < least) /* RFC 8201 4: no link of IPv6 is so small */
		return;
	if (mss >= c->path_mss && !(c->mtu_probing && mss < c->mtu_probing))
		return;
	STAT_INC(tcp_pmtu_fell);
	if (env->ops->path_told)
		env->ops->path_told(env, &c->flow, mtu);
	c->path_mss = min_u32(c->path_mss, mss);
	set_told(c, now_ns + TOLD_NS);
	c->mtu.locked |= v4 && mtu < least; /* then routers must cut (as Linux) */
	c->opts.may_cut |= c->mtu.locked;
	if (!c->syn_acked) {
		c->mtu.known = (uint16_t)c->path_mss;
		return;
	}
	bound_search(c, mss);
	sync_mss(c);
	if (c->mtu_probing > mss && c->mss == was) {
		tcp_mtu_probe_lost(env, c);
	} else if (c->mss < was && !seq_eq(c->snd_una, c->snd_nxt)) {
		c->mtu_probing = 0;
		tcp_recovery_resend_all(env, c);
	}
}

/* What the first hop takes and routers have told by now; 0: there is no way. */
static uint32_t path_now(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t mss = tcp_announced_mss(env, &c->flow, c->opts.user_mss);
	uint16_t known = env->ops->path_known ? env->ops->path_known(env, &c->flow) : 0;

	if (mss && known) {
		set_told(c, now_ns + TOLD_NS);
		mss = min_u32(mss, known);
	}
	return mss;
}

void tcp_mtu_told_expired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	set_told(c, 0);
	uint32_t mss = path_now(env, c, now_ns);

	c->path_mss = mss ? mss : c->adv_mss;
	sync_mss(c);
}

/* RFC 8201 4: it may grow again as soon as no router's word stands against it. Nothing is sent again: what is
 * under way has passed the first hop, whose size it is about. */
void tcp_path_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	bool told = c->mtu.until_ns > now_ns;
	uint32_t mss = tcp_is_closed(c) ? 0 : path_now(env, c, now_ns);

	if (!mss)
		return;
	if (!c->syn_acked) { /* the SYN says what it said, see tcp_mtu_negotiated() */
		c->mtu.known = mss < c->adv_mss ? (uint16_t)mss : c->mtu.known;
		return;
	}
	if (told)
		mss = min_u32(mss, c->path_mss);
	if (mss == c->path_mss)
		return;
	STAT_INC(tcp_path_changed);
	c->path_mss = mss;
	if (c->mtu_searching && c->mtu.high > mss)
		bound_search(c, mss);
	else if (c->mtu_searching)
		c->mtu.high = (uint16_t)min_u32(c->peer_mss, mss);
	sync_mss(c);
}

/* ---- the search ---- */

static void probe_failed(struct tcp_conn *c)
{
	STAT_INC(tcp_mtu_probe_lost);
	c->mtu.high = (uint16_t)min_u32(c->mtu.high, c->mtu_probing - 1u);
	c->mtu_probing = 0;
}

void tcp_mtu_probe_lost(struct tcp_env *env, struct tcp_conn *c)
{
	seq_t from = seq_max(c->mtu.start, c->snd_una), to = c->mtu.end;

	probe_failed(c);
	if (seq_lt(from, to))
		tcp_recovery_resend(env, c, from, to); /* RFC 4821 7.4: that is no congestion */
}

bool tcp_mtu_is_probe_lost(const struct tcp_conn *c)
{
	return c->mtu_probing && seq_eq(c->snd_una, c->mtu.start) &&
	       tcp_lost(c) <= seq_diff(c->mtu.end, c->mtu.start);
}

void tcp_mtu_acked(struct tcp_conn *c)
{
	if (seq_lt(c->snd_una, c->mtu.end))
		return;
	STAT_INC(tcp_mtu_probe_ok);
	c->mtu.low = c->mtu_probing;
	c->mtu_probing = 0;
	sync_mss(c);
}

void tcp_mtu_timeout(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	if (c->mtu_probing && seq_eq(c->snd_una, c->mtu.start))
		probe_failed(c);
	c->mtu_probing = 0;
	if (env->mtu_probing == TCP_MTU_NEVER || now_ns - c->stall_ns < BLACK_HOLE_NS)
		return;
	STAT_INC(tcp_mtu_black_hole);
	if (!c->mtu_searching) {
		start_search(env, c, now_ns);
	} else {
		uint32_t base = env->base_mss ? env->base_mss : BASE_MSS;

		c->mtu.low = (uint16_t)max_u32(min_u32(base, c->mtu.low / 2u), TCP_MSS_MIN);
	}
	sync_mss(c);
}

/* The size of the next probe, 0: there is none now. */
static uint16_t next_probe(struct tcp_conn *c, uint64_t now_ns)
{
	uint32_t low = min_u32(c->mtu.low, c->mtu.high), high = c->mtu.high;

	if (high - low >= SEARCH_END)
		return (uint16_t)((low + high + 1) / 2);
	if (now_ns - c->mtu.since_ns >= SEARCH_NS) { /* RFC 4821 7.3: it may have grown */
		c->mtu.since_ns = now_ns;
		c->mtu.high = (uint16_t)min_u32(c->peer_mss, c->path_mss);
	}
	return 0;
}

uint32_t tcp_mtu_probe_len(struct tcp_conn *c, uint64_t now_ns)
{
	if (!c->mtu_searching || c->mtu_probing || c->recovery != TCPR_OPEN || tcp_sack_telling(c) ||
	    c->cwnd < (uint32_t)PROBE_CWND * c->mss)
		return 0;
	uint16_t size = next_probe(c, now_ns);
	if (!size)
		return 0;
	uint32_t len = size - options_len(c), need = len + (uint32_t)PROBE_AFTER * c->mss;

	if (len <= c->mss || seq_diff(c->snd_end, c->snd_nxt) < need || tcp_wnd_room(c) < need ||
	    tcp_pipe(c) + len + c->mss > c->cwnd || c->pace_budget < len)
		return 0;
	STAT_INC(tcp_mtu_probe);
	c->mtu_probing = size;
	c->mtu.start = c->snd_nxt;
	c->mtu.end = seq_add(c->snd_nxt, len);
	return len;
}
