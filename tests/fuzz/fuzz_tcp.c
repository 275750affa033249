/* Fuzz target: the input is a program for the TCP core: segments of four peers, valid, nearly valid and
 * garbage, what the application does, and time. Listeners with and without cookies, Fast Open and
 * deferred accept, active opens; every state is met. The invariants hold after every step, and nothing
 * is left at the end. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/tcp/tcp_core.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/pkt/invariant.h"

enum { CONNS = 12, PEERS = 4, PORT = 80, PEER_PORT = 4000, LOCAL_PORT = 5000, STEPS = 400 };

struct conn {
	struct tcp_conn c; /* must stay first */
	uint32_t tx_tail;
	bool used, passive;
};

/* What a peer has last been told: near-valid segments are made of it. */
struct heard {
	seq_t seq, ack;
	uint32_t tsval;
	uint16_t port; /* ours */
	struct tcp_fo fo;
};

static struct {
	struct tcp_env env; /* must stay first */
	struct tcp_listener l;
	struct tcp_sockopts opts;
	bool listening;
	bool rich; /* the input says more about options */
	struct conn conn[CONNS];
	struct heard heard[PEERS];
	struct stats stats;
	struct rng rng;
	uint64_t now;
} f;

/* Mostly small, around 0, sometimes anything. */
static uint32_t delta(struct input *in)
{
	uint8_t b = u8(in);

	if (b < 192)
		return 0;
	return b < 250 ? (uint32_t)(int8_t)u8(in) : u16(in) << 16 | u16(in);
}

/* ---- the host ---- */
static void output(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   struct tcp_conn *c, uint32_t tx_pos)
{
	uint32_t peer = flow->remote.port - PEER_PORT;
	uint8_t hdr[TCP_HDR_MAX];

	CHECK(peer < PEERS && seg->sport == flow->local.port && seg->dport == flow->remote.port);
	CHECK(tcp_seg_emit(seg, hdr) == tcp_seg_hdr_len(seg));
	CHECK(seg->len == 0 || (c && tx_pos + seg->len <= ((struct conn *)c)->tx_tail));
	if (seg->flags & TCPF_RST)
		return;
	struct heard *h = &f.heard[peer];
	h->seq = seq_add(seg->seq, tcp_seg_space(seg));
	if (seg->flags & TCPF_ACK)
		h->ack = seg->ack;
	h->tsval = seg->has_ts ? seg->tsval : 0;
	h->port = flow->local.port;
	if (seg->has_fo && seg->fo.len)
		h->fo = seg->fo;
}

static int rx_write(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p, uint32_t len)
{
	static volatile __attribute__((unused)) uint8_t sink;

	CHECK(len > 0 && pos - tcp_rx_tail(c) < 1u << 30);
	CHECK(pos + len <= seq_diff(c->rcv_adv, c->irs) - 1);
	for (uint32_t i = 0; i < len; i++)
		sink ^= ((const uint8_t *)p)[i];
	return rng_below(&f.rng, 64) ? 0 : -ENOMEM;
}

static struct conn *new_conn(bool passive)
{
	for (int i = 0; i < CONNS; i++) {
		if (f.conn[i].used)
			continue;
		memset(&f.conn[i], 0, sizeof(f.conn[i]));
		f.conn[i].used = true;
		f.conn[i].passive = passive;
		f.conn[i].c.id = (uint32_t)i;
		return &f.conn[i];
	}
	return NULL;
}

static struct tcp_conn *conn_new(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow)
{
	struct conn *k = new_conn(true);

	CHECK(l == &f.l && f.listening && l->n_acceptq <= l->backlog);
	return k ? &k->c : NULL;
}

static void accepted(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c)
{
	CHECK(l == &f.l && f.listening && !tcp_is_closed(c));
	l->n_acceptq++;
}

static void released(struct tcp_env *env, struct tcp_conn *c)
{
	struct conn *k = (struct conn *)c;

	CHECK(k->used && list_empty(&c->touch_link) && list_empty(&c->pend_link) && !c->timer.armed);
	CHECK(list_empty(&c->fo_link));
	memset(k, 0x5a, sizeof(*k));
	k->used = false;
}

static void urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos) { }

static uint16_t path_mss(struct tcp_env *env, const struct tcp_flow *flow)
{
	return rng_below(&f.rng, 100) ? 1460 : 0;
}

static const struct tcp_ops ops = { .output = output, .rx_write = rx_write, .conn_new = conn_new,
				    .accepted = accepted, .released = released, .urgent = urgent,
				    .path_mss = path_mss };

/* ---- what happens ---- */
static struct tcp_flow flow_to(uint32_t peer, uint16_t port)
{
	return (struct tcp_flow){
		.local = { .addr = ipaddr_v4(0x0a000001), .port = port },
		.remote = { .addr = ipaddr_v4(0x0a000002), .port = (uint16_t)(PEER_PORT + peer) },
	};
}

static void options_in(struct input *in, struct tcp_seg *s, const struct heard *h)
{
	uint8_t o = u8(in);

	s->has_mss = o & 1;
	s->mss = o & 1 ? (uint16_t)u16(in) : 0;
	s->has_wscale = o & 2;
	s->wscale = o & 2 ? u8(in) % 15 : 0;
	s->sack_ok = o & 4;
	s->has_ts = o & 8;
	if (o & 8) {
		s->tsval = (uint32_t)(f.now / NSEC_PER_MSEC) + delta(in);
		s->tsecr = h->tsval + delta(in);
	}
	s->has_fo = o & 16;
	if (o & 16) {
		s->fo = h->fo;
		s->fo.len = o & 32 ? (uint8_t)(u8(in) % 9 * 2) : h->fo.len;
		s->fo.len = s->fo.len == 2 ? 4 : s->fo.len;
	}
	for (s->n_sack = 0; o & 64 && s->n_sack < u8(in) % (TCP_SACK_MAX + 1u); s->n_sack++) {
		s->sack[s->n_sack].start = seq_add(h->seq, delta(in));
		s->sack[s->n_sack].end = seq_add(s->sack[s->n_sack].start, u8(in));
	}
}

/* As a parser would give it: options that belong to a SYN are there only with one. */
static void segment_in(struct input *in, uint32_t peer)
{
	static const uint8_t usual[] = { TCPF_SYN, TCPF_ACK, TCPF_ACK, TCPF_SYN | TCPF_ACK,
					 TCPF_FIN | TCPF_ACK, TCPF_RST, TCPF_RST | TCPF_ACK,
					 TCPF_ACK | TCPF_PSH };
	static const uint8_t text[2048];
	struct heard *h = &f.heard[peer];
	uint8_t how = u8(in);
	struct tcp_seg s = { .flags = how & 128 ? u8(in) : usual[how & 7], .ecn = how >> 3 & 3 };
	uint16_t port = how & 64 ? PORT : h->port;

	s.seq = seq_add(h->ack, delta(in));
	if (s.flags & TCPF_SYN)
		s.seq = seq_sub(s.seq, h->ack.v ? 1 : 0); /* once more, or for the first time */
	s.ack = s.flags & TCPF_ACK ? seq_add(h->seq, delta(in)) : seq_of(0);
	s.len = how & 32 ? u16(in) % 1461 : 0;
	s.wnd = (uint16_t)u16(in);
	s.urg = s.flags & TCPF_URG ? (uint16_t)u16(in) : 0;
	options_in(in, &s, h);
	if (!(s.flags & TCPF_SYN))
		s.has_mss = s.has_wscale = s.sack_ok = s.has_fo = false;
	if (s.flags & TCPF_SYN && !(s.flags & TCPF_ACK))
		h->seq = seq_of(0);
	struct tcp_flow flow = flow_to(peer, port);
	s.sport = flow.remote.port;
	s.dport = port;
	tcp_input(&f.env, &flow, &s, text, f.now);
}

static void unlisten(void)
{
	if (!f.listening)
		return;
	for (int i = 0; i < CONNS; i++) {
		if (f.conn[i].used && f.conn[i].c.listener == &f.l)
			f.conn[i].c.listener = NULL;
	}
	tcp_unlisten(&f.env, &f.l);
	memset(&f.l, 0x5a, sizeof(f.l));
	f.listening = false;
}

static void set_rich_opts(struct input *in, struct tcp_sockopts *o)
{
	uint8_t b = u8(in), cc = u8(in);
	enum { CONTROLLERS = 0
#define CC_DEF(name) + 1
#include "stack/base/cc.def"
#undef CC_DEF
	};

	o->cc = cc % (CONTROLLERS + 1);
	o->pacing = cc & 64 ? 100000 : 0;
	o->user_mss = cc & 128 ? 88 : 0;
	o->rcvbuf_max = b & 1 ? o->rcvbuf * 4 : 0;
	o->keepidle_s = o->keepintvl_s = o->keepcnt = b & 2 ? 1 : 0;
	o->cork = b & 4;
	o->linger2_s = b & 8 ? 1 : 0;
	o->quickack = b & 16;
	o->delack = b & 32;
	o->may_cut = b & 64;
}

static void set_opts(struct input *in, struct tcp_sockopts *o)
{
	uint8_t b = u8(in);

	*o = (struct tcp_sockopts){
		.rcvbuf = b & 1 ? 65535 : 1 + u16(in) * 16u, .sndbuf = 1 << 20, .nodelay = b & 2,
		.keepalive = b & 4, .defer = b & 8 ? 3 : 0, .fastopen = b & 16 ? 2 : 0,
		.fastopen_syn = b & 32, .fastopen_no_cookie = b & 64, .user_timeout_ms = b & 128 ? 3000 : 0,
	};
	if (f.rich)
		set_rich_opts(in, o);
}

static void listen_again(struct input *in)
{
	if (f.listening && u8(in) < 200) {
		f.l.n_acceptq -= f.l.n_acceptq > 0; /* accept() */
		return;
	}
	unlisten();
	set_opts(in, &f.opts);
	f.l = (struct tcp_listener){
		.local = flow_to(0, PORT).local, .backlog = u8(in) % 4, .opts = &f.opts,
	};
	f.listening = tcp_listen(&f.env, &f.l) == 0;
	CHECK(f.listening);
}

static void connect_to(struct input *in, uint32_t peer)
{
	struct conn *k = new_conn(false);
	uint16_t port = (uint16_t)(LOCAL_PORT + u8(in) % 4);
	struct tcp_flow flow = flow_to(peer, port);

	if (!k)
		return;
	set_opts(in, &k->c.opts);
	if (tcp_connect(&f.env, &k->c, &flow, f.now) < 0) {
		k->used = false;
		return;
	}
	f.heard[peer].port = port;
}

/* A buffer that shrinks is the host's affair. */
static void change_opts(struct input *in, struct tcp_conn *c)
{
	uint32_t rcvbuf = c->opts.rcvbuf;

	set_opts(in, &c->opts);
	c->opts.rcvbuf = max_u32(c->opts.rcvbuf, rcvbuf);
	tcp_opts_changed(&f.env, c, f.now);
}

static void app(struct input *in)
{
	struct conn *k = &f.conn[u8(in) % CONNS];
	uint8_t what = u8(in);

	if (!k->used)
		return;
	switch (what % 8) {
	case 0:
	case 1:
		k->tx_tail += u16(in) % 4000 * (what & 64 ? 16 : 1);
		tcp_app_wrote(&f.env, &k->c, k->tx_tail, f.now);
		if (what & 128 && k->tx_tail)
			tcp_app_urgent(&f.env, &k->c, k->tx_tail - 1);
		break;
	case 2:
		tcp_app_read(&f.env, &k->c, tcp_rx_tail(&k->c) - (what & 128 ? delta(in) : 0), f.now);
		if (what & 64)
			tcp_fill_info(&f.env, &k->c, &(struct tcp_info){ 0 }, f.now);
		break;
	case 3:
		tcp_shutdown(&f.env, &k->c, f.now);
		break;
	case 4:
		tcp_close(&f.env, &k->c, f.now);
		break;
	case 5:
		tcp_abort(&f.env, &k->c, f.now);
		break;
	case 6:
		if (what & 128)
			change_opts(in, &k->c);
		else
			tcp_shutdown_rcv(&k->c);
		break;
	default:
		tcp_icmp_error(&f.env, &k->c.flow, k->c.snd_una, what & 64 ? EMSGSIZE : EHOSTUNREACH,
			       what & 32, u16(in), f.now);
		break;
	}
}

static void after(uint64_t ns)
{
	uint64_t end = f.now + ns, next;

	while ((next = tcp_next_ns(&f.env)) <= end) {
		f.now = max_u64(f.now, next);
		tcp_advance(&f.env, f.now);
		tcp_flush(&f.env, f.now);
	}
	f.now = end;
}

static void settle(void)
{
	struct list *n;

	tcp_flush(&f.env, f.now);
	while ((n = list_pop(&f.env.touched)))
		container_of(n, struct tcp_conn, touch_link)->events = 0;
	for (int i = 0; i < CONNS; i++) {
		const char *wrong = f.conn[i].used && f.conn[i].c.counted ? conn_wrong(&f.conn[i].c) : NULL;

		if (wrong) {
			fprintf(stderr, "connection %d: %s\n", i, wrong);
			CHECK(!wrong);
		}
	}
	uint32_t young = 0;
	CHECK(f.env.n_synq <= f.env.max_synq && f.env.n_timewait <= f.env.max_timewait);
	if (f.listening) {
		for (uint32_t i = 0; i < f.env.table->synq_used; i++)
			young += f.env.table->synq[i].listener == &f.l && !f.env.table->synq[i].retries;
		CHECK(f.l.n_synq == f.env.n_synq && f.l.n_young == young);
	}
}

static void start(struct input *in)
{
	uint8_t mode = u8(in);

	memset(&f, 0, sizeof(f));
	stats_this_thread = &f.stats;
	rng_seed(&f.rng, mode);
	f.now = 1000 * NSEC_PER_SEC;
	f.env = (struct tcp_env){
		.ops = &ops, .key = { { 1, 2 } }, .rng = &f.rng, .max_conns = 16, .max_timewait = 4,
		.max_synq = 4, .tso_bytes = mode & 64 ? 20000 : 0,
		.syncookies = (enum tcp_cookie_mode)(mode % 3), .abort_on_overflow = mode & 4,
		.fastopen = TCP_FO_CLIENT | TCP_FO_SERVER | (mode & 8 ? TCP_FO_SERVER_NO_COOKIE : 0) |
			    (mode & 16 ? TCP_FO_CLIENT_NO_COOKIE : 0) |
			    (mode & 32 ? TCP_FO_ALL_LISTENERS : 0),
	};
	f.rich = mode & 128;
	if (f.rich) {
		mode = u8(in);
		f.env.mtu_probing = mode % 3;
		f.env.ecn = (enum tcp_ecn_mode)((mode >> 2 & 3) % 3);
		f.env.base_mss = mode & 16 ? 500 : 0;
	}
	CHECK(tcp_env_init(&f.env, f.now) == 0);
	for (int i = 0; i < PEERS; i++)
		f.heard[i].port = PORT;
}

static void finish(void)
{
	unlisten();
	for (int i = 0; i < CONNS; i++) {
		if (f.conn[i].used)
			tcp_abort(&f.env, &f.conn[i].c, f.now);
		CHECK(!f.conn[i].used);
	}
	after(200 * NSEC_PER_SEC); /* longer than any record lives */
	CHECK(f.env.n_conns == 0 && f.env.n_synq == 0 && f.env.n_timewait == 0);
	CHECK(f.env.wheel.armed == 0);
	tcp_env_fini(&f.env);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, p + n };

	if (n > FUZZ_MAX)
		return 0;
	start(&in);
	listen_again(&in);
	for (int i = 0; in.p < in.end && i < STEPS; i++) {
		uint8_t op = u8(&in);

		if (op < 160)
			segment_in(&in, op % PEERS);
		else if (op < 200)
			app(&in);
		else if (op < 220)
			after((uint64_t)1 << u8(&in) % 38);
		else if (op < 240)
			connect_to(&in, op % PEERS);
		else
			listen_again(&in);
		settle();
	}
	finish();
	return 0;
}

/* Handshakes with data, one of each kind, alone and with a long life behind them; the first byte is the mode,
 * then come the listener's options. */
size_t fuzz_example(unsigned i, uint8_t *buf)
{
	enum { END_OPTS = 0 };
	static const uint8_t passive[] = {
		0, 64, 0, 0xff, 0xff, 11, 5, 180, 7, 0, 0,	 /* SYN with MSS, scale, timestamps */
		0, 65, 0, 0, 0xff, 0xff, 8, 0, 0,		 /* its ACK */
		0, 103, 0, 0, 0, 99, 0xff, 0xff, 8, 0, 0,	 /* data */
		160, 0, 0, 1, 0, 160, 0, 2, 210, 30,		 /* written, read, a second */
		0, 68, 0, 0, 0xff, 0xff, 8, 0, 0, 160, 0, 4,	 /* FIN, close */
	};
	static const uint8_t active[] = {
		220, 1, 33, 160, 0, 0, 0, 50, 0, 3, 0, 0, 0xff, 0xff, 1, 5, 180, /* connect, write, SYN-ACK */
		0, 33, 0, 0, 0, 20, 0xff, 0xff, END_OPTS, 160, 0, 3, 210, 25,
		0, 4, 0, 0, 0xff, 0xff, END_OPTS, 210, 36,
	};
	static const uint8_t fast[] = {
		0, 64, 0, 0xff, 0xff, 17, 5, 180,	      /* asks for a cookie */
		0, 101, 0, 0, 0, 0,			      /* and resets */
		0, 96, 0, 0, 99, 0xff, 0xff, 17, 5, 180,      /* SYN with cookie and data */
		160, 0, 0, 1, 0, 210, 31, 0, 65, 0, 0, 0xff, 0xff, END_OPTS, 160, 0, 4,
	};
	static const struct { const uint8_t *p; size_t n; } body[] = {
		{ passive, sizeof(passive) }, { active, sizeof(active) }, { fast, sizeof(fast) } };

	enum { MODES = 5, LONG = 1500 };
	uint32_t tail = i / (MODES * ARRAY_LEN(body));

	if (tail > 3)
		return 0;
	const uint8_t mode = (uint8_t)(i / ARRAY_LEN(body) % MODES);
	const uint8_t plain[] = { mode == 3 ? 8 | 32 : mode == 4 ? 16 | 2 : mode,
				  1 | 16 | (mode == 2 ? 8 : 0), 3 };
	/* BBR, keepalive, RFC 4821's search */
	const uint8_t rich[] = { 128, 4 | 2, 1 | 4, 2 | 1, 4 | (uint8_t)(tail << 6), 3 };
	const bool is_rich = tail && mode == 1;
	size_t n = is_rich ? sizeof(rich) : sizeof(plain);
	memcpy(buf, is_rich ? rich : plain, n);
	memcpy(buf + n, body[i % ARRAY_LEN(body)].p, body[i % ARRAY_LEN(body)].n);
	n += body[i % ARRAY_LEN(body)].n;
	struct rng r;
	rng_seed(&r, i);
	for (size_t end = n + (tail ? LONG : 0); n < end; n++)
		buf[n] = rng_below(&r, 3) ? (uint8_t)rng_u64(&r) : 0; /* plain fields lead far */
	return n;
}
