/* TCP Fast Open (RFC 7413), both sides: the cookies that a server gives and checks, those that a client
 * keeps, and what the two do to a handshake. Builds no segment. */
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "stack/tcp/tcp_core.h"

enum {
	COOKIE_LEN = 8,	  /* as Linux; RFC 7413 4.1.1 allows 4 to 16 */
	OPTIONS_MAX = 40, /* room that a SYN's options may take from the data */
	LOSSES_MANY = 2,  /* SYNs with data lost in a row, until they are taken for unwelcome */
	LOSSES_MAX = 6,
};
enum { TCP_FO_FAIL_COOKIE = 1, TCP_FO_FAIL_DATA, TCP_FO_FAIL_REPEATED }; /* tcp_conn.fo_fail */
/* RFC 7413 4.1.2: cookies expire, here with the second period. */
#define KEY_LIFE_NS (6 * 3600 * NSEC_PER_SEC)
#define HOLE_NS (60 * NSEC_PER_SEC)  /* doubled with every further loss */
#define RESET_NS (60 * NSEC_PER_SEC) /* RFC 7413 5.1: a reset child counts for so long */

/* ---- the server's cookies: RFC 7413 4.1.2 ---- */
enum { IN_FORCE, FORMER, AGES };

/* Of the stack's own key. The same on all data threads, which share it: a client's next port may lead to
 * another one. */
static uint64_t own_cookie(const struct tcp_env *env, const struct tcp_flow *flow, uint64_t period)
{
	struct { struct ipaddr local, remote; uint64_t period; } in = {
		.local = endpoint_key(&flow->local), .remote = endpoint_key(&flow->remote),
		.period = period,
	};
	struct siphash_key key = { { env->key.k[0] ^ TCP_SALT_FASTOPEN, env->key.k[1] } };

	return siphash(&key, &in, sizeof(in));
}

/* Of a program's key: what Linux makes of it, so that servers which share a key share cookies, whatever
 * they run on. When it expires is the program's to say. */
static uint64_t keyed_cookie(const struct siphash_key *key, const struct tcp_flow *flow)
{
	const struct ipaddr *from = &flow->remote.addr, *to = &flow->local.addr;
	struct ipaddr in[2] = { *from, *to };

	if (!ipaddr_is_v4(from))
		return siphash(key, in, sizeof(in));
	uint32_t in4[2] = { from->w[3], to->w[3] };
	return siphash(key, in4, sizeof(in4));
}

/* False: there is none so old. */
static bool make_cookie(const struct tcp_env *env, const struct tcp_listener *l, const struct tcp_flow *flow,
			uint32_t age, uint64_t now_ns, uint8_t cookie[COOKIE_LEN])
{
	uint64_t period = now_ns / KEY_LIFE_NS, h;

	if (age >= AGES || (l->fo_keys.n ? age >= l->fo_keys.n : age > period))
		return false;
	if (l->fo_keys.n)
		h = keyed_cookie(&l->fo_keys.key[age], flow);
	else
		h = own_cookie(env, flow, period - age);
	memcpy(cookie, &h, COOKIE_LEN);
	return true;
}

static bool is_cookie(const struct tcp_env *env, const struct tcp_listener *l, const struct tcp_flow *flow,
		      uint32_t age, uint64_t now_ns, const struct tcp_fo *fo)
{
	uint8_t good[COOKIE_LEN];

	return fo->len == COOKIE_LEN && make_cookie(env, l, flow, age, now_ns, good) &&
	       memcmp(fo->b, good, COOKIE_LEN) == 0;
}

/* RFC 7413 4.2.2: is there room for one more that has not proved where it is? */
static bool has_room(struct tcp_env *env, struct tcp_listener *l, uint64_t now_ns)
{
	uint32_t qlen = l->opts ? l->opts->fastopen : 0;

	if (qlen == 0 && env->fastopen & TCP_FO_ALL_LISTENERS)
		qlen = l->backlog;
	if (l->n_fo_reset && now_ns - l->fo_reset_ns >= RESET_NS)
		l->n_fo_reset = 0;
	if (tcp_queue_len(l, TCPQ_FASTOPEN) + l->n_fo_reset < qlen)
		return true;
	if (qlen)
		STAT_INC(tcp_fastopen_overflow);
	return false;
}

bool tcp_fo_syn(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow,
		const struct tcp_seg *seg, struct tcp_fo *answer, uint64_t now_ns)
{
	if (!(env->fastopen & TCP_FO_SERVER) || !(seg->has_fo || seg->len) || !has_room(env, l, now_ns))
		return false;
	if (env->fastopen & TCP_FO_SERVER_NO_COOKIE || (l->opts && l->opts->fastopen_no_cookie))
		return true;
	if (!seg->has_fo)
		return false;
	if (is_cookie(env, l, flow, IN_FORCE, now_ns, &seg->fo))
		return true;
	answer->wanted = true; /* it asks for one, or has an old or wrong one */
	answer->len = COOKIE_LEN;
	make_cookie(env, l, flow, IN_FORCE, now_ns, answer->b);
	if (is_cookie(env, l, flow, FORMER, now_ns, &seg->fo))
		return true;
	if (seg->fo.len)
		STAT_INC(tcp_fastopen_failed);
	return false;
}

void tcp_fo_begin(struct tcp_listener *l, struct tcp_conn *c, const struct tcp_seg *seg)
{
	c->fo_child = true;
	c->fo_listener = l;
	list_push(&l->fo, &c->fo_link);
	tcp_queue_add(l, TCPQ_FASTOPEN, 1);
	/* The SYN-ACK leaves with the next flush, and what is written until its ACK comes behind it. */
	c->snd_nxt = c->iss;
	c->sent.n = 0;
	c->syn_due = true;
	c->snd_wnd = c->max_snd_wnd = seg->wnd; /* not scaled in a SYN */
	c->snd_wnd_raw = seg->wnd;
	c->snd_wl1 = seg->seq;
	c->fo_acked = seg->len != 0;
	STAT_INC(tcp_fastopen_passive);
}

void tcp_fo_end(struct tcp_conn *c, enum tcp_fo_end how, uint64_t now_ns)
{
	struct tcp_listener *l = c->fo_listener;

	if (!l)
		return;
	list_del(&c->fo_link);
	c->fo_listener = NULL;
	tcp_queue_add(l, TCPQ_FASTOPEN, -1);
	if (how != TCP_FO_RESET)
		return;
	/* Who resets what it opened with a false address would else have no limit. */
	l->n_fo_reset++;
	l->fo_reset_ns = now_ns;
}

void tcp_fo_unlisten(struct tcp_listener *l)
{
	list_for_each_safe(it, next, &l->fo)
		tcp_fo_end(container_of(it, struct tcp_conn, fo_link), TCP_FO_DONE, 0);
}

/* ---- the client's cookies: RFC 7413 4.1.3 ---- */
/* What is known of a server that does Fast Open, or of a path that does not. */
struct fo_peer {
	struct ipaddr addr; /* any: free */
	uint64_t loss_ns;
	struct tcp_fo fo;
	uint16_t mss;	    /* of the server's SYN-ACK */
	uint8_t losses;	    /* SYNs with data in a row that met no answer */
};

/* By address, a new one takes the place of an old. The port of a next connection may lead to another data
 * thread, which shall know as much: hence the lock, held for a copy and only by Fast Open's clients. */
struct tcp_fo_peers {
	pthread_spinlock_t lock;
	struct fo_peer peer[512];
};

struct tcp_fo_peers *tcp_fo_peers_new(void)
{
	struct tcp_fo_peers *f = calloc(1, sizeof(*f));

	if (f)
		pthread_spin_init(&f->lock, PTHREAD_PROCESS_PRIVATE);
	return f;
}

void tcp_fo_peers_free(struct tcp_fo_peers *f)
{
	if (f)
		pthread_spin_destroy(&f->lock);
	free(f);
}

static struct fo_peer *place_of(struct tcp_env *env, const struct tcp_flow *flow)
{
	struct ipaddr addr = endpoint_key(&flow->remote);
	uint64_t h = siphash(&env->key, &addr, sizeof(addr));

	return &env->fo_peers->peer[h % ARRAY_LEN(env->fo_peers->peer)];
}

/* What is known of this peer: zeroes, nothing. */
static struct fo_peer peer_of(struct tcp_env *env, const struct tcp_flow *flow)
{
	struct ipaddr addr = endpoint_key(&flow->remote);
	struct fo_peer p;

	pthread_spin_lock(&env->fo_peers->lock);
	p = *place_of(env, flow);
	pthread_spin_unlock(&env->fo_peers->lock);
	return ipaddr_eq(&p.addr, &addr) ? p : (struct fo_peer){ .losses = 0 };
}

/* The place of this peer, to be changed until the end; whoever had it is forgotten. */
static struct fo_peer *change_begin(struct tcp_env *env, const struct tcp_flow *flow)
{
	struct ipaddr addr = endpoint_key(&flow->remote);
	struct fo_peer *p = place_of(env, flow);

	pthread_spin_lock(&env->fo_peers->lock);
	if (!ipaddr_eq(&p->addr, &addr))
		*p = (struct fo_peer){ .addr = addr };
	return p;
}

static void change_end(struct tcp_env *env) { pthread_spin_unlock(&env->fo_peers->lock); }

static bool swallows_data(const struct fo_peer *p, uint64_t now_ns)
{
	return p->losses >= LOSSES_MANY && now_ns - p->loss_ns < HOLE_NS << (p->losses - LOSSES_MANY);
}

void tcp_fo_connect(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	const struct fo_peer p = peer_of(env, &c->flow);
	bool no_cookie = env->fastopen & TCP_FO_CLIENT_NO_COOKIE || c->opts.fastopen_no_cookie;
	uint32_t mss = c->path_mss;

	if (!c->opts.fastopen_syn || !(env->fastopen & TCP_FO_CLIENT) || swallows_data(&p, now_ns))
		return;
	c->fo_client = true;
	if (!no_cookie && !p.fo.len) {
		c->fo.wanted = true; /* a request */
		c->fo_fail = TCP_FO_FAIL_COOKIE;
		return;
	}
	if (p.mss)
		mss = min_u32(mss, p.mss);
	if (!no_cookie)
		c->fo = p.fo;
	c->fo_room = (uint16_t)(mss > OPTIONS_MAX ? mss - OPTIONS_MAX : 0);
	c->fo_held = c->fo_room > 0;
	c->syn_due = !c->fo_held;
}

void tcp_fo_syn_sent(struct tcp_conn *c)
{
	uint32_t queued = seq_diff(c->snd_end, c->iss) - 1;

	c->fo_held = false;
	c->fo_len = (uint16_t)min_u32(queued, c->fo_room);
	c->fo_room = 0;
	c->snd_nxt = seq_add(c->iss, 1 + c->fo_len);
}

void tcp_fo_syn_lost(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	c->fo = (struct tcp_fo){ 0 }; /* RFC 7413 4.1.3.1: again without the option */
	if (c->fo_len == 0)
		return;
	c->snd_nxt = seq_add(c->iss, 1); /* the data goes when the handshake is done */
	if (c->retries)
		return;
	struct fo_peer *p = change_begin(env, &c->flow);
	p->losses = (uint8_t)min_u32(p->losses + 1u, LOSSES_MAX);
	p->loss_ns = now_ns;
	change_end(env);
	STAT_INC(tcp_fastopen_lost);
}

void tcp_fo_synack(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg)
{
	bool taken = seq_gt(seg->ack, seq_add(c->iss, 1));

	if (seg->has_fo && seg->fo.len && c->fo_client) {
		struct fo_peer *p = change_begin(env, &c->flow);

		p->fo = seg->fo;
		p->mss = tcp_mss_of(seg, &c->flow);
		change_end(env);
	}
	if (c->fo_len == 0)
		return;
	c->fo_acked = taken;
	if (!taken)
		c->fo_fail = c->rtx_segs ? TCP_FO_FAIL_REPEATED : TCP_FO_FAIL_DATA;
	if (taken) {
		STAT_INC(tcp_fastopen_active);
		if (peer_of(env, &c->flow).losses) {
			change_begin(env, &c->flow)->losses = 0;
			change_end(env);
		}
	}
	/* What was not taken is as if it had never been sent: it leaves now. */
	c->snd_nxt = seg->ack;
	if (c->sent.n) {
		uint32_t us = tcp_sent_at(&c->sent, 0)->us;

		c->sent.n = 0;
		tcp_sent_note(&c->sent, seg->ack, us);
	}
}
