/* The fake host, clock and wire of the packet tests. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"
#include "tests/pkt/invariant.h"
#include "tests/unit/unit.h"

enum { OUR_SALT = 1, PEER_SALT = 77 };
static const uint32_t variant_iss[RIG_VARIANTS] = { 1000, UINT32_MAX, UINT32_MAX - 700,
						    0x7ffffff0, UINT32_MAX - 90 };
static const uint32_t variant_irs[RIG_VARIANTS] = { 5000, UINT32_MAX - 2, UINT32_MAX, 0x7fffff00,
						    UINT32_MAX - 1500 };

static struct rig *rig_of(struct tcp_env *env) { return (struct rig *)env; }

/* ---- the fake host ---- */

static void op_output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      struct tcp_conn *c, uint32_t tx_pos)
{
	struct rig *r = rig_of(env);

	ck_assert_uint_lt(r->n_out, RIG_OUTS);
	ck_assert_uint_eq(seg->sport, flow->local.port);
	ck_assert_uint_eq(seg->dport, flow->remote.port);
	if (seg->len) {
		ck_assert_ptr_nonnull(c);
		ck_assert_uint_eq(tx_pos, seg->seq.v - c->iss.v - !(seg->flags & TCPF_SYN));
		ck_assert_uint_le(tx_pos + seg->len, rig_sock_of(c)->tx_tail);
		uint32_t most = seg->flags & TCPF_SYN ? c->path_mss - 40 : max_u32(c->mss, c->mtu_probing);
		ck_assert_uint_le(seg->len, max_u32(most, env->tso_bytes));
	}
	if (seg->has_ts)
		r->last_tsval = seg->tsval;
	r->out[r->n_out++] = (struct rig_out){ *flow, *seg, c, tx_pos,
						c ? &c->opts : env->synack_opts };
}

static int op_rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
		       uint32_t len)
{
	struct rig *r = rig_of(env);

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le((uint64_t)pos + len, RIG_RX_CAP);
	ck_assert_uint_ge(pos, tcp_rx_tail(c)); /* never again what the application may be reading */
	ck_assert_uint_le(pos + len, seq_diff(c->rcv_adv, c->irs) - 1);
	if (r->rx_fail && r->rx_fail--)
		return -ENOMEM;
	memcpy(rig_sock_of(c)->rx + pos, p, len);
	return 0;
}

struct rig_sock *rig_new_sock(struct rig *r)
{
	struct rig_sock *s = calloc(1, sizeof(*s));

	ck_assert_uint_lt(r->n_sock, RIG_SOCKS);
	s->rx = malloc(RIG_RX_CAP);
	memset(s->rx, 0xa5, RIG_RX_CAP);
	s->c.id = r->n_sock;
	r->sock[r->n_sock++] = s;
	return s;
}

static struct tcp_conn *op_conn_new(struct tcp_env *env, struct tcp_listener *l,
				    const struct tcp_flow *flow)
{
	struct rig *r = rig_of(env);

	ck_assert_uint_le(l->n_acceptq, l->backlog);
	if (r->conn_fail && r->conn_fail--)
		return NULL;
	r->c = &rig_new_sock(r)->c;
	return r->c;
}

static void op_accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c)
{
	ck_assert(c->state == TCPS_ESTABLISHED || c->state == TCPS_FIN_WAIT_1 ||
		  (c->state == TCPS_SYN_RCVD && c->fo_child));
	ck_assert(!rig_sock_of(c)->accepted);
	rig_sock_of(c)->accepted = true;
	tcp_queue_add(l, TCPQ_ACCEPT, 1);
}

static bool op_listener_closed(struct tcp_env *env, struct tcp_listener *l)
{
	return l == rig_of(env)->closed;
}

static void op_released(struct tcp_env *env, struct tcp_conn *c)
{
	struct rig_sock *s = rig_sock_of(c);

	ck_assert(!s->released);
	ck_assert(list_empty(&c->touch_link) && list_empty(&c->pend_link) && !c->timer.armed);
	s->released = true;
	memset(c, 0x5a, sizeof(*c)); /* nobody may look any more */
}

static void op_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos)
{
	struct rig *r = rig_of(env);

	ck_assert((int32_t)(pos - tcp_rx_tail(c)) >= 0);
	r->n_urgent++;
	r->urgent_pos = pos;
}

static uint16_t op_path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	struct rig *r = rig_of(env);

	return r->opt.path_mss == UINT16_MAX ? 0 : r->opt.path_mss;
}

static const struct tcp_ops ops = {
	.output = op_output,
	.rx_write = op_rx_write,
	.conn_new = op_conn_new,
	.accepted = op_accepted,
	.listener_closed = op_listener_closed,
	.released = op_released,
	.urgent = op_urgent,
	.path_mss = op_path_mss,
};

static void check_conn(struct tcp_conn *c)
{
	const char *wrong = conn_wrong(c);

	if (wrong)
		ck_abort_msg("invariant of the connection: %s", wrong);
}

static void check_all(struct rig *r)
{
	for (uint32_t i = 0; i < r->n_sock; i++) {
		if (!r->sock[i]->released && r->sock[i]->c.counted)
			check_conn(&r->sock[i]->c);
	}
}

static void flush(struct rig *r)
{
	tcp_flush(&r->env, r->now_ns);
	check_all(r);
}

/* ---- start and end ---- */
struct ipaddr rig_addr(const struct rig *r, uint8_t n)
{
	struct ipaddr six = { .b = { 0xfd, 0x77, [15] = n } };

	return rig_is_v6(r) ? six : ipaddr_v4(0x0a000000u + n);
}

struct rig *rig_start(const struct rig_opts *opt)
{
	struct rig *r = malloc(sizeof(*r));

	memset(r, 0xa5, sizeof(*r));
	*r = (struct rig){ .opt = *opt, .now_ns = 1000 * NSEC_PER_SEC };
	r->opt.mss = opt->mss ? opt->mss : 1460;
	r->opt.path_mss = opt->path_mss ? opt->path_mss : 1460;
	r->opt.rcvbuf = opt->rcvbuf ? opt->rcvbuf : 65535;
	r->opt.backlog = opt->backlog ? opt->backlog : 8;
	r->wnd = opt->wnd == ZERO ? 0 : opt->wnd ? (uint16_t)opt->wnd : UINT16_MAX;
	stats_this_thread = &r->stats;
	rng_seed(&r->rng, 42);
	r->env.ops = &ops;
	r->env.key = (struct siphash_key){ { 0x0123456789abcdef, 0xfedcba9876543210 } };
	r->env.rng = &r->rng;
	r->env.tso_bytes = opt->tso_bytes;
	r->env.mtu_probing = (enum tcp_mtu_probing)opt->mtu_probing;
	r->env.max_conns = 32;
	r->env.max_timewait = opt->max_timewait ? opt->max_timewait : 16;
	r->env.max_synq = opt->max_synq ? opt->max_synq : 16;
	r->env.syncookies = opt->cookies;
	r->env.fastopen = opt->fastopen;
	r->env.abort_on_overflow = opt->abort_on_overflow;
	r->flow.local = (struct endpoint){ .addr = rig_addr(r, 1), .port = 80 };
	r->flow.remote = (struct endpoint){ .addr = rig_addr(r, 2), .port = 40000 };
	r->iss = variant_iss[opt->variant % RIG_VARIANTS];
	r->irs = variant_irs[opt->variant % RIG_VARIANTS];
	/* the clock is put where RFC 6528 gives the ISN that the variant wants */
	r->now_ns += (uint64_t)(r->iss - tcp_isn(&r->env, &r->flow, r->now_ns).v) << 6;
	ck_assert_int_eq(tcp_env_init(&r->env, r->now_ns), 0);
	return r;
}

void rig_listen_start(struct rig *r)
{
	r->listen_opts = r->opt.o;
	r->listen_opts.rcvbuf = r->opt.rcvbuf;
	r->listener = (struct tcp_listener){
		.local = r->flow.local,
		.backlog = r->opt.backlog,
		.opts = &r->listen_opts,
	};
	ck_assert_int_eq(tcp_listen(&r->env, &r->listener), 0);
	r->listening = true;
}

void rig_free(struct rig *r)
{
	QUIET(r);
	for (uint32_t i = 0; i < r->n_sock; i++) {
		if (!r->sock[i]->released && r->sock[i]->c.counted)
			tcp_abort(&r->env, &r->sock[i]->c, r->now_ns);
	}
	if (r->listening)
		tcp_unlisten(&r->env, &r->listener);
	rig_after_ms(r, 130000); /* TIME-WAIT and FIN-WAIT-2 records end by themselves */
	ck_assert_uint_eq(r->env.n_conns, 0);
	ck_assert_uint_eq(r->env.n_synq, 0);
	ck_assert_uint_eq(r->env.n_timewait, 0);
	ck_assert_uint_eq(r->env.wheel.armed, 0);
	ck_assert(tcp_next_ns(&r->env) == UINT64_MAX);
	for (uint32_t i = 0; i <= r->env.table->mask; i++)
		ck_assert_ptr_null(r->env.table->bucket[i]);
	tcp_env_fini(&r->env);
	for (uint32_t i = 0; i < r->n_sock; i++) {
		free(r->sock[i]->rx);
		free(r->sock[i]);
	}
	free(r);
}

static void make_established(struct rig *r)
{
	rig_after_ms(r, r->opt.rtt_ms);
	IN(r, .seq = 0, .ack = 1, .flags = S | A, .mss = r->opt.mss, .ws = r->opt.ws,
	   .ts = r->opt.ts);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	EVENTS(r, TCPE_CONNECTED | TCPE_WRITABLE);
	if (r->opt.delack) {
		r->c->quick = 0;
		r->c->last_rx_data_ns = r->now_ns;
	}
}

static void make_closed(struct rig *r, enum tcp_state state)
{
	bool passive = state == TCPS_CLOSE_WAIT || state == TCPS_LAST_ACK;

	if (passive) {
		IN(r, .seq = 1, .ack = 1, .flags = F | A);
		OUT(r, .seq = 1, .ack = 2, .flags = A);
		EVENTS(r, TCPE_FIN | TCPE_READABLE);
		if (state == TCPS_CLOSE_WAIT)
			return;
	}
	rig_shutdown(r);
	OUT(r, .seq = 1, .ack = 1 + passive, .flags = F | A);
	if (state == TCPS_FIN_WAIT_2 || state == TCPS_TIME_WAIT) {
		IN(r, .seq = 1, .ack = 2, .flags = A);
		EVENTS(r, TCPE_SENT_FIN_ACKED);
	}
	if (state == TCPS_CLOSING || state == TCPS_TIME_WAIT) {
		IN(r, .seq = 1, .ack = state == TCPS_CLOSING ? 1 : 2, .flags = F | A);
		OUT(r, .seq = 2, .ack = 2, .flags = A);
		rig_events(r);
	}
}

struct rig *rig_make(const struct rig_opts *opt, enum tcp_state state)
{
	struct rig *r = rig_start(opt);

	if (state == TCPS_LISTEN) {
		rig_listen_start(r);
		return r;
	}
	r->c = &rig_new_sock(r)->c;
	r->c->opts = opt->o;
	r->c->opts.rcvbuf = r->opt.rcvbuf;
	ck_assert_int_eq(tcp_connect(&r->env, r->c, &r->flow, r->now_ns), 0);
	ck_assert_uint_eq(r->c->iss.v, r->iss);
	flush(r);
	OUT(r, .seq = 0, .flags = S, .mss = tcp_announced_mss(&r->env, &r->flow, opt->o.user_mss),
	    .ts = true, .ws = tcp_choose_wscale(r->opt.rcvbuf) + 1);
	if (state == TCPS_SYN_RCVD) {
		IN(r, .seq = 0, .flags = S, .mss = r->opt.mss, .ws = r->opt.ws, .ts = r->opt.ts);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	} else if (state != TCPS_SYN_SENT) {
		make_established(r);
	}
	if (state > TCPS_ESTABLISHED)
		make_closed(r, state);
	ck_assert_int_eq(r->c->state, state);
	return r;
}

/* ---- the application ---- */

void rig_send(struct rig *r, uint32_t n)
{
	struct rig_sock *s = rig_sock_of(r->c);

	s->tx_tail += n;
	tcp_app_wrote(&r->env, r->c, s->tx_tail, r->now_ns);
	flush(r);
}

void rig_read_n(struct rig *r, uint32_t n)
{
	struct tcp_conn *c = r->c;

	ck_assert_uint_le(n, tcp_rx_tail(c) - c->rx_head);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t pos = c->rx_head + i;

		if (rig_sock_of(c)->rx[pos] != rig_byte(pos, PEER_SALT))
			ck_abort_msg("wrong byte at position %u", pos);
	}
	tcp_app_read(&r->env, c, c->rx_head + n, r->now_ns);
	flush(r);
}

void rig_read(struct rig *r)
{
	rig_read_n(r, tcp_rx_tail(r->c) - r->c->rx_head);
}

void rig_shutdown(struct rig *r)
{
	tcp_shutdown(&r->env, r->c, r->now_ns);
	flush(r);
}

void rig_close(struct rig *r)
{
	tcp_close(&r->env, r->c, r->now_ns);
	flush(r);
}

void rig_abort(struct rig *r)
{
	tcp_abort(&r->env, r->c, r->now_ns);
	flush(r);
}

void rig_set_opts(struct rig *r)
{
	tcp_opts_changed(&r->env, r->c, r->now_ns);
	flush(r);
}

uint32_t rig_events(struct rig *r)
{
	uint32_t events = 0;
	struct list *n;

	while ((n = list_pop(&r->env.touched))) {
		struct tcp_conn *c = container_of(n, struct tcp_conn, touch_link);

		ck_assert_uint_ne(c->events, 0);
		if (c == r->c)
			events = c->events;
		c->events = 0;
	}
	return events;
}

/* ---- the clock ---- */

void rig_after_us(struct rig *r, uint64_t us)
{
	uint64_t end_ns = r->now_ns + us * 1000;
	uint64_t next_ns;

	while ((next_ns = tcp_next_ns(&r->env)) <= end_ns) {
		r->now_ns = max_u64(r->now_ns, next_ns);
		tcp_advance(&r->env, r->now_ns);
		flush(r);
		ck_assert(tcp_next_ns(&r->env) > r->now_ns); /* nothing due is left behind */
	}
	r->now_ns = end_ns;
	flush(r);
}

int rig_run(const char *name, const struct rig_test *tests, size_t n)
{
	TCase *tc = tcase_create(name);

	for (size_t i = 0; i < n; i++)
		tcase_add_loop_test(tc, tests[i].fn, 0, RIG_VARIANTS);
	tcase_set_timeout(tc, 30);
	return unit_run(name, tc);
}
