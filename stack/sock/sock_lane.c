/* Lanes, the engine's side: see sock_lane.h for who calls, chan/lane.h for what they are. Everything in D is
 * hostile; what is read there can only harm the two programs that share it. */
// SPDX-License-Identifier: MIT
#include "stack/sock/sock_lane.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/chan/lane.h"
#include "stack/sock/sock_int.h"

enum {
	RING_FIRST = 16 << 10, /* eight times larger with each that was found full, ... */
	RING_MAX = 1 << 20,    /* ... up to this (chan/lane.c: LANE_MAX) */
	RETRY_PASSES = 8,
	PEER_ASKED = (int)UINT32_MAX - 1, /* the control thread has not answered yet */
	NEVER = UINT16_MAX,
	CAS_TRIES = 64, /* nobody keeps us here */
};
enum lane_state {
	LANE_NONE,    /* never offered */
	LANE_OFFERED, /* the writer has not begun, for all we know */
	LANE_OPEN,    /* it has, and everything before that has gone by TCP */
	LANE_OVER,    /* it has left, and all of it is accounted for */
};

/* One end, and the lane that leads to it. */
struct lane_end {
	struct sock *s;		  /* NULL: gone */
	struct client_worker *cw; /* whose memory it is; NULL: gone, too */
	struct list link;	  /* cw->lanes */
	struct chan_lane_rec *rec;
	uint32_t number;	  /* of rec */
	uint32_t epoch, pos;	  /* position that is accounted for */
	uint32_t size, block;	  /* of the ring, size 0: none */
	enum lane_state state;
};
struct sock_lane {
	struct lane_end end[2];
};

/* Memory of one client's D that this data thread gives out. */
struct lane_pool {
	struct buddy area;
	uint32_t first, next, last; /* record numbers */
	uint32_t *free, n_free, cap;
	uint32_t area_off;	    /* in D */
};
struct lane_peer {
	uint32_t number, ext;
};

static inline uint32_t load(const _Atomic uint32_t *v)
{
	return atomic_load_explicit(v, memory_order_acquire);
}

/* ---- memory ---- */
static struct lane_pool *pool_of(struct client_worker *cw)
{
	uint32_t n = cw->client->conf.n_workers, w = cw->env->worker;
	uint32_t bytes = CHAN_LANE_AREA / pow2_ceil(n), recs = CHAN_MAX_LANES / n;
	struct lane_pool *p = cw->lane_pool;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (buddy_init(&p->area, bytes) < 0) {
		free(p);
		return NULL;
	}
	p->area_off = CHAN_D_OFF_AREA + w * bytes;
	p->first = p->next = w * recs;
	p->last = p->first + recs;
	cw->lane_pool = p;
	return p;
}

static bool rec_alloc(struct client_worker *cw, struct lane_end *e)
{
	struct lane_pool *p = pool_of(cw);

	if (!p || (p->n_free == 0 && p->next == p->last))
		return false;
	e->number = p->n_free ? p->free[--p->n_free] : p->next++;
	e->rec = (struct chan_lane_rec *)((char *)cw->client->rd.base + CHAN_D_OFF_REC) + e->number;
	/* Who still sleeps on the last one's word counts itself out later. */
	uint32_t waiters = load(&e->rec->waiters);
	memset(e->rec, 0, sizeof(*e->rec));
	atomic_store_explicit(&e->rec->waiters, waiters, memory_order_relaxed);
	return true;
}

static void rec_free(struct lane_end *e)
{
	struct lane_pool *p = e->cw->lane_pool;

	if (p->n_free == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 64;
		uint32_t *more = realloc(p->free, cap * sizeof(*more));

		if (!more)
			return; /* this number is lost */
		p->free = more;
		p->cap = cap;
	}
	p->free[p->n_free++] = e->number;
}

static uint32_t order_of(uint32_t size) { return (uint32_t)__builtin_ctz(size) - BUDDY_SHIFT; }

static bool ring_alloc(struct lane_end *e, uint32_t size)
{
	struct client *c = e->cw->client;
	struct lane_pool *p = pool_of(e->cw);
	uint64_t had = atomic_fetch_add_explicit(&c->n_bytes, size, memory_order_relaxed);

	e->block = BUDDY_NONE;
	if (p && (!c->conf.max_bytes || had + size <= c->conf.max_bytes))
		e->block = buddy_alloc(&p->area, order_of(size));
	if (e->block == BUDDY_NONE) {
		atomic_fetch_sub_explicit(&c->n_bytes, size, memory_order_relaxed);
		return false;
	}
	e->size = size;
	return true;
}

static uint32_t ring_off(const struct lane_end *e)
{
	return e->cw->lane_pool->area_off + (e->block << BUDDY_SHIFT);
}

static void ring_free(struct lane_end *e)
{
	if (!e->size)
		return;
	region_drop(&e->cw->client->rd, ring_off(e), e->size);
	buddy_free(&e->cw->lane_pool->area, e->block, order_of(e->size));
	atomic_fetch_sub_explicit(&e->cw->client->n_bytes, e->size, memory_order_relaxed);
	e->size = 0;
}

/* ---- whose programs may ---- */
void sock_lane_peer(struct client_worker *cw, uint32_t number, uint32_t ext)
{
	struct lane_peer *p;

	for (uint32_t i = 0; i < cw->n_peers; i++) {
		if (cw->peers[i].number == number) {
			cw->peers[i].ext = ext;
			return;
		}
	}
	p = realloc(cw->peers, (cw->n_peers + 1) * sizeof(*p));
	if (!p)
		return; /* asked again */
	cw->peers = p;
	cw->peers[cw->n_peers++] = (struct lane_peer){ number, ext };
}

/* The number that programs of cw know the D of `other` by, PEER_ASKED or UINT32_MAX: never. */
static uint32_t peer_ext(struct client_worker *cw, const struct client *other)
{
	struct sock_mail m = { .type = SOCK_MAIL_PEER_WANTED, .from = cw->env->worker,
			       .p = cw->client, .a = other->conf.number };

	for (uint32_t i = 0; i < cw->n_peers; i++)
		if (cw->peers[i].number == other->conf.number)
			return cw->peers[i].ext;
	if (cw->env->host->mail(cw->env->host_arg, UINT32_MAX, &m))
		sock_lane_peer(cw, other->conf.number, (uint32_t)PEER_ASKED);
	return (uint32_t)PEER_ASKED;
}

/* ---- offering ---- */
/* Nothing that only segments would do, nor that only the engine would tell of. */
static bool may_have(const struct sock *from, const struct sock *to)
{
	const uint32_t no_b = CHAN_B_SHUT_WR | CHAN_B_URGENT | CHAN_B_SIGNALS;
	const uint32_t no_b_to = CHAN_B_SHUT_RD | CHAN_B_SUB_ALL | CHAN_B_SIGNALS;
	uint32_t fb = load(&from->b->flags), tb = load(&to->b->flags);

	if (fb & no_b || tb & no_b_to || from->closing || to->closing || to->stamp || to->line_comes ||
	    from->line_comes)
		return false;
	return !from->sndbuf && !from->lowat && !from->conn.opts.pacing && to->conn.opts.rcvbuf_max &&
	       from->state == CHAN_ST_CONNECTED && to->state == CHAN_ST_CONNECTED;
}

/* Lets both halves know where their records are, and who listens at this moment. */
static void publish_end(const struct lane_end *e, const struct lane_end *other, uint32_t ext)
{
	struct client *c = e->cw->client;
	struct sock *s = e->s;
	struct chan_lane_a *a = &s->a->lane;
	int64_t to_d = (int64_t)c->ra.size - ((char *)s->a - (char *)c->ra.base);

	memset(a, 0, sizeof(*a));
	a->rec = to_d + ((char *)e->rec - (char *)c->rd.base);
	a->peer_ext = ext;
	a->peer_rec = (uint32_t)((char *)other->rec - (char *)other->cw->client->rd.base);
	a->peer_sock = other->s->id;
	sock_set_flag(s, CHAN_A_LANE, 0);
	/* Pairs with chan_subscribe(): either it sees the flag, or we its place. */
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		uint16_t none = 0, sub = atomic_load_explicit(&s->b->sub[i], memory_order_relaxed);

		atomic_compare_exchange_strong_explicit(&e->rec->sub[i], &none, sub, memory_order_seq_cst,
							memory_order_relaxed);
	}
	if (load(&s->b->flags) & CHAN_B_SUB_ALL)
		atomic_fetch_add_explicit(&e->rec->muffled, 1, memory_order_seq_cst);
	sock_touch(s, true);
}

static struct sock_lane *lane_new(struct sock *s, struct sock *to, const uint32_t ext[2])
{
	struct sock_lane *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->end[0] = (struct lane_end){ .s = s, .cw = s->cw };
	l->end[1] = (struct lane_end){ .s = to, .cw = to->cw };
	if (!rec_alloc(s->cw, &l->end[0])) {
		free(l);
		return NULL;
	}
	if (!rec_alloc(to->cw, &l->end[1])) {
		rec_free(&l->end[0]);
		free(l);
		return NULL;
	}
	for (int i = 0; i < 2; i++) {
		list_push(&l->end[i].cw->lanes, &l->end[i].link);
		l->end[i].s->lane = l;
		l->end[i].s->lane_end = (uint8_t)i;
		publish_end(&l->end[i], &l->end[!i], ext[i]);
	}
	return l;
}

/* A ring in the memory of `to`, and the writer may begin. */
static void offer(struct sock_lane *l, struct lane_end *to)
{
	struct lane_end *from = &l->end[to == l->end];
	uint32_t size = to->size ? min_u32(to->size * 8, RING_MAX) : RING_FIRST;
	struct client *c = to->cw->client;
	struct chan_lane_a *ta = &to->s->a->lane, *fa = &from->s->a->lane;

	ring_free(to);
	atomic_store_explicit(&ta->rx_epoch, 0, memory_order_release);
	if (!ring_alloc(to, size)) {
		to->state = LANE_NONE;
		from->s->passes = NEVER;
		return;
	}
	to->epoch++;
	ta->rx_ring = (int64_t)c->ra.size - ((char *)to->s->a - (char *)c->ra.base) + ring_off(to);
	ta->rx_size = size;
	atomic_store_explicit(&ta->rx_epoch, to->epoch, memory_order_release);
	fa->tx_ring = ring_off(to);
	fa->tx_size = size;
	atomic_store_explicit(&fa->tx_epoch, to->epoch, memory_order_release);
	to->state = LANE_OFFERED;
	sock_set_flag(from->s, CHAN_A_LANE_TX, 0);
	STAT_INC(chan_lanes);
	TRACE(SOCK_LANE, from->s->id, to->cw->env->now_ns, to->s->id, size, to->epoch);
}

void sock_lane_passed(struct sock *s, struct sock *to)
{
	uint32_t after = s->cw->env->lane_after, ext[2];
	struct sock_lane *l = s->lane;
	struct lane_end *e;

	if (!after || s->passes == NEVER || ++s->passes < after)
		return;
	s->passes = (uint16_t)(after - min_u32(after, RETRY_PASSES));
	if (tcp_tx_nxt(&s->conn) != s->tx_tail || !may_have(s, to) || s->cw->deleting || to->cw->deleting)
		return;
	if (!l) {
		ext[0] = peer_ext(s->cw, to->cw->client);
		ext[1] = peer_ext(to->cw, s->cw->client);
		if (ext[0] == UINT32_MAX || ext[1] == UINT32_MAX)
			s->passes = NEVER;
		if (ext[0] >= CHAN_MAX_EXTENTS || ext[1] >= CHAN_MAX_EXTENTS)
			return;
		l = lane_new(s, to, ext);
		if (!l) {
			s->passes = NEVER;
			return;
		}
	}
	e = &l->end[!s->lane_end];
	if (e->s != to)
		return;
	/* The next one when all of the last has been read. */
	if (e->state == LANE_NONE || (e->state == LANE_OVER && (int32_t)(to->rx_head - e->pos) >= 0))
		offer(l, e);
}

/* ---- accounting ---- */
/* Has the writer begun? What is in the send ring up to there goes its way. False: violation. */
static bool look_begun(struct lane_end *to, struct lane_end *from)
{
	uint32_t begin;

	if (to->state != LANE_OFFERED || load(&from->rec->tx_on) != to->epoch)
		return true;
	begin = load(&from->rec->tx_begin);
	if (!sock_take_tx_to(from->s, begin))
		return false;
	to->state = LANE_OPEN;
	to->pos = begin;
	return true;
}

/* The reader's program has no other way to say how far it is, if it can't map the writer's memory. */
static void tell_writer(struct lane_end *to, struct lane_end *from, uint32_t head)
{
	_Atomic uint32_t *at = &from->rec->tx_head;
	uint32_t now = load(at), tries = 0;

	while ((int32_t)(head - now) > 0 && ++tries < CAS_TRIES &&
	       !atomic_compare_exchange_weak_explicit(at, &now, head, memory_order_seq_cst,
						      memory_order_acquire))
		;
	if (load(&from->rec->tx_want) &&
	    chan_lane_writable(load(&from->rec->tx_tail) - head, to->size)) {
		atomic_store_explicit(&from->rec->tx_want, 0, memory_order_relaxed);
		sock_touch(from->s, true);
	}
}

/* Both ends of TCP as if n bytes had gone by segments, and what the halves say. */
static void settle(struct lane_end *to, struct lane_end *from, uint32_t tail, uint32_t head)
{
	struct sock_env *env = to->cw->env;
	struct sock *r = to->s, *w = from->s;
	uint32_t before = r->rx_head;

	if (tail != to->pos) {
		tcp_join_skip(&env->tcp, &w->conn, tail - to->pos, head, env->now_ns);
		to->pos = tail;
	}
	if (r->conn.tune.space != r->rx_space)
		sock_tell_rcvbuf(r);
	if ((int32_t)(tail - r->rx_end) > 0)
		r->rx_end = tail;
	r->rx_head = head;
	r->rx_tail = tcp_rx_tail(&r->conn);
	atomic_store_explicit(&r->a->rx_tail, r->rx_tail, memory_order_release);
	sock_ring_trim(r, REGION_DOWN, head);
	if (head != before)
		sock_touch(w, true); /* there may be room, and nobody else rings its doorbell */
	sock_want_head(r);
	w->tx_tail = tail;
	sock_sent(w, tail);
	sock_tx_done(w, tail);
	sock_signal(r, SOCK_SIGNAL_IN);
	sock_touch(r, true);
}

/* It has been left, and nothing of it is to come. */
static void over(struct lane_end *to, struct lane_end *from)
{
	to->state = LANE_OVER;
	if (to->s) {
		/* Its writer may not have been able to say so. */
		atomic_store_explicit(&to->rec->rx_tail, to->pos, memory_order_relaxed);
		atomic_store_explicit(&to->rec->rx_left, to->epoch, memory_order_release);
		atomic_store_explicit(&to->s->a->lane.rx_over, to->epoch, memory_order_release);
	}
	atomic_store_explicit(&from->s->a->lane.tx_over, to->epoch, memory_order_release);
	from->s->una_moved = true;
	sock_touch(from->s, true);
}

/* Nobody will read it: bytes that came later are answered as if a segment had met a closed socket. */
static void unread(struct lane_end *to, struct lane_end *from)
{
	struct sock_env *env = from->cw->env;
	bool left = load(&from->rec->tx_left) == to->epoch;
	uint32_t tail = load(&from->rec->tx_tail);

	from->s->tx_tail = tail;
	if (tail == to->pos) {
		if (left)
			over(to, from);
		return;
	}
	to->pos = tail;
	tcp_join_refused(&env->tcp, &from->s->conn, env->now_ns);
}

/* The lane to `to`. False: violation. */
static bool account(struct sock_lane *l, struct lane_end *to)
{
	struct lane_end *from = &l->end[to == l->end];
	uint32_t head, tail;
	bool left;

	if (!from->s || from->s->closing || to->state == LANE_NONE)
		return true;
	if (!look_begun(to, from))
		return false;
	if (to->state != LANE_OPEN)
		return true;
	if (!to->s || to->s->closing) {
		unread(to, from);
		return true;
	}
	/* In this order: what is read has been written, what is left has an end. */
	head = load(&to->s->b->rx_head);
	left = load(&from->rec->tx_left) == to->epoch;
	tail = load(&from->rec->tx_tail);
	if (tcp_tx_nxt(&from->s->conn) != to->pos || !tcp_join_may_skip(&to->cw->env->tcp, &from->s->conn))
		return true; /* something before it is under way: later */
	/* By sign: more than 4 GB may have passed since the last look. */
	if ((int32_t)(tail - head) < 0) {
		sock_violation(to->cw, "rx_head out of range");
		return false;
	}
	settle(to, from, tail, head);
	tell_writer(to, from, head);
	if (left)
		over(to, from);
	else
		sock_take_shut_wr(from->s); /* it has waited for these bytes */
	return true;
}

bool sock_lane_take_tx(struct sock *s)
{
	/* Before the look whether it writes by the lane: then it is of the send ring. */
	uint32_t tail = load(&s->b->tx_tail);
	struct lane_end *to = &s->lane->end[!s->lane_end];

	if (!account(s->lane, to))
		return false;
	/* What is written to a connection that has ended is of no consequence, wherever it is. */
	if (to->state == LANE_OPEN || tcp_is_closed(&s->conn))
		return true;
	return sock_take_tx_to(s, to->state == LANE_OVER ? load(&s->b->tx_tail) : tail);
}

bool sock_lane_take_rx(struct sock *s)
{
	uint32_t head = load(&s->b->rx_head);
	struct lane_end *to = &s->lane->end[s->lane_end];

	if (!account(s->lane, to))
		return false;
	/* Read in the lane, and that could not be accounted for, or not yet. */
	if ((to->state == LANE_OFFERED || to->state == LANE_OPEN) && (int32_t)(head - s->rx_tail) > 0)
		head = s->rx_tail;
	if (!sock_take_rx_to(s, (int32_t)(head - s->rx_head) > 0 ? head : s->rx_head))
		return false;
	/* Its positions come back in 4 GB. */
	if (to->state == LANE_OVER && (int32_t)(s->rx_head - to->pos) >= 0)
		atomic_store_explicit(&s->a->lane.rx_epoch, 0, memory_order_release);
	return true;
}

bool sock_lane_owes(const struct sock *s)
{
	const struct lane_end *to = &s->lane->end[!s->lane_end];

	return to->state == LANE_OPEN && to->s && !to->s->closing &&
	       load(&s->lane->end[s->lane_end].rec->tx_tail) != to->pos;
}

void sock_lane_look(struct sock *s)
{
	for (int i = 0; i < 2; i++) {
		struct lane_end *to = &s->lane->end[i], *from = &s->lane->end[!i];

		if (!account(s->lane, to) || !from->s || !(from->s->flags_a & CHAN_A_LANE_TX))
			continue;
		if (!to->s || !may_have(from->s, to->s))
			sock_set_flag(from->s, 0, CHAN_A_LANE_TX);
	}
}

/* ---- the end ---- */
void sock_lane_gone(struct sock *s)
{
	struct sock_lane *l = s->lane;
	struct lane_end *e;

	if (!l)
		return;
	e = &l->end[!s->lane_end];
	l->end[s->lane_end].s = NULL;
	s->lane = NULL;
	if (e->s) {
		sock_lane_look(e->s);
		return;
	}
	for (int i = 0; i < 2; i++) {
		e = &l->end[i];
		if (!e->cw)
			continue;
		ring_free(e);
		rec_free(e);
		list_del(&e->link);
	}
	free(l);
}

void sock_lane_forget(struct client_worker *cw)
{
	while (!list_empty(&cw->lanes)) {
		struct lane_end *e = container_of(cw->lanes.next, struct lane_end, link);

		list_del(&e->link);
		e->cw = NULL;
	}
	if (cw->lane_pool) {
		buddy_fini(&cw->lane_pool->area);
		free(cw->lane_pool->free);
		free(cw->lane_pool);
		cw->lane_pool = NULL;
	}
	free(cw->peers);
	cw->peers = NULL;
	cw->n_peers = 0;
}
