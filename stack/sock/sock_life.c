/* Birth and death of an application socket on the engine's side. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/trace.h"
#include "stack/sock/sock_int.h"

/* ---- the table of a client ---- */
struct sock *sock_find(struct client_worker *cw, uint32_t id)
{
	if (id >= CHAN_MAX_SOCKS || !cw->block[id / SOCK_BLOCK])
		return NULL;
	return cw->block[id / SOCK_BLOCK][id % SOCK_BLOCK];
}

/* One more block of ids for this worker, lowest id on top of the stack. */
static int take_block(struct client_worker *cw)
{
	uint32_t n = atomic_fetch_add_explicit(&cw->client->next_block, 1, memory_order_relaxed);
	uint32_t *ids;

	if (n >= ARRAY_LEN(cw->block)) {
		atomic_fetch_sub_explicit(&cw->client->next_block, 1, memory_order_relaxed);
		return -ENOBUFS;
	}
	ids = realloc(cw->free_ids, (cw->cap_free + SOCK_BLOCK) * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	cw->free_ids = ids;
	cw->block[n] = calloc(SOCK_BLOCK, sizeof(*cw->block[n]));
	if (!cw->block[n])
		return -ENOMEM;
	cw->cap_free += SOCK_BLOCK;
	for (uint32_t i = SOCK_BLOCK; i > 0; i--)
		cw->free_ids[cw->n_free++] = n * SOCK_BLOCK + i - 1;
	return 0;
}

/* The application does not know the id yet, or has no descriptor of its last owner any more. */
static void reset_b(struct sock *s)
{
	struct chan_sock_b *b = s->b;

	atomic_store_explicit(&b->tx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&b->rx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&b->flags, 0, memory_order_relaxed);
	atomic_store_explicit(&b->waiters, 0, memory_order_relaxed);
	atomic_store_explicit(&b->rx_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&b->tx_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&b->close_seq, 0, memory_order_relaxed);
	atomic_store_explicit(&b->opt_seq, 0, memory_order_relaxed);
	atomic_store_explicit(&b->file_flags, 0, memory_order_relaxed);
	atomic_store_explicit(&b->rcvtimeo_ms, 0, memory_order_relaxed);
	atomic_store_explicit(&b->sndtimeo_ms, 0, memory_order_relaxed);
	atomic_store_explicit(&b->rcvlowat, 0, memory_order_relaxed);
	atomic_store_explicit(&b->pacing, 0, memory_order_relaxed);
	atomic_store_explicit(&b->errq_head, 0, memory_order_relaxed);
	atomic_store_explicit(&b->zc_next, 0, memory_order_relaxed);
	atomic_store_explicit(&b->zc_told, 0, memory_order_relaxed);
	atomic_store_explicit(&b->urg_taken, 0, memory_order_relaxed);
	atomic_store_explicit(&b->urg_tx, 0, memory_order_relaxed);
	atomic_store_explicit(&b->urg_past, 0, memory_order_relaxed);
	atomic_store_explicit(&b->line, 0, memory_order_relaxed);
	atomic_store_explicit(&b->rx_sleepers, 0, memory_order_relaxed);
	atomic_store_explicit(&b->peek_off, 0, memory_order_relaxed);
	atomic_store_explicit(&b->err_seen, s->err_seq, memory_order_relaxed);
	for (unsigned i = 0; i < CHAN_SUBS; i++) {
		atomic_store_explicit(&b->sub[i], 0, memory_order_relaxed);
		atomic_store_explicit(&b->seen[i], s->notified[i], memory_order_relaxed);
	}
	memset(&b->opts, 0, sizeof(b->opts));
}

/* Where the last owner of the id left off; elsewhere than any owner did if his page has been given back. */
static uint32_t next_evseq(const struct sock *s)
{
	uint32_t last = atomic_load_explicit(&s->a->evseq, memory_order_relaxed);

	return last ? last : s->cw->shed_rounds << 16;
}

/* Counters that others compare go on; those that b has beside them need not. */
static void reset_a(struct sock *s)
{
	struct chan_sock_a *a = s->a;

	s->gen = ++s->cw->gen;
	s->evseq = next_evseq(s);
	atomic_store_explicit(&a->evseq, s->evseq, memory_order_relaxed);
	s->err_seq = atomic_load_explicit(&a->err_seq, memory_order_relaxed);
	for (unsigned i = 0; i < CHAN_SUBS; i++)
		s->notified[i] = atomic_load_explicit(&a->notified[i], memory_order_relaxed);
	atomic_store_explicit(&a->rx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&a->tx_una, 0, memory_order_relaxed);
	atomic_store_explicit(&a->flags, 0, memory_order_relaxed);
	atomic_store_explicit(&a->rx_nseg, 0, memory_order_relaxed);
	atomic_store_explicit(&a->tx_nseg, 0, memory_order_relaxed);
	a->worker = s->cw->env->worker;
	a->sndbuf = SOCK_SNDBUF_MIN;
	memset(&a->local, 0, sizeof(a->local));
	memset(&a->remote, 0, sizeof(a->remote));
	a->mss = a->soft_err = a->v6 = a->path_mtu = 0;
	memset(&a->errq, 0, sizeof(a->errq));
	atomic_store_explicit(&a->errq_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&a->rx_drops, 0, memory_order_relaxed);
	atomic_store_explicit(&a->urg, 0, memory_order_relaxed);
	atomic_store_explicit(&a->urg_floor, 0, memory_order_relaxed);
	atomic_store_explicit(&a->urg_tx_seen, 0, memory_order_relaxed);
	atomic_store_explicit(&a->rx_time_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&a->tx_nxt, 0, memory_order_relaxed);
	atomic_store_explicit(&a->rcvbuf, 0, memory_order_relaxed);
	a->type = SOCK_TYPE_STREAM;
	atomic_store_explicit(&a->gen, s->gen, memory_order_release);
}

struct sock *sock_new(struct client_worker *cw)
{
	struct client *c = cw->client;
	uint32_t had = atomic_fetch_add_explicit(&c->n_socks, 1, memory_order_relaxed);

	if (had >= c->conf.max_socks) {
		STAT_INC(chan_quota);
		goto fail;
	}
	if (cw->n_free == 0 && take_block(cw) < 0)
		goto fail;
	struct sock *s = slab_alloc(&cw->env->priv->socks);
	if (!s)
		goto fail;
	memset(s, 0, sizeof(*s));
	s->cw = cw;
	s->id = cw->free_ids[--cw->n_free];
	s->a = &c->sock_a[s->id];
	s->b = &c->sock_b[s->id];
	s->state = CHAN_ST_OPEN;
	list_init(&s->event_link);
	reset_a(s);
	reset_b(s);
	atomic_store_explicit(&s->a->state, CHAN_ST_OPEN, memory_order_release);
	cw->block[s->id / SOCK_BLOCK][s->id % SOCK_BLOCK] = s;
	list_push(&cw->socks, &s->link);
	cw->peak_socks = max_u32(cw->peak_socks, ++cw->n_socks);
	cw->env->n_socks++;
	TRACE(SOCK_OPEN, s->id, cw->env->now_ns, c->conf.number, 0, 0);
	return s;
fail:
	atomic_fetch_sub_explicit(&c->n_socks, 1, memory_order_relaxed);
	return NULL;
}

void sock_free(struct sock *s)
{
	struct client_worker *cw = s->cw;
	struct sock_env *env = cw->env;

	CHECK(!s->l);
	TRACE(SOCK_CLOSE, s->id, env->now_ns, s->state, 0, 0);
	if (s->dgram)
		sock_dgram_fini(s);
	if (s->hold)
		ports_put(env->ports, s->hold, 0);
	sock_lane_gone(s);
	sock_ring_free(s);
	if (sock_has_line(s))
		sock_line_close(s);
	list_del(&s->event_link);
	list_del(&s->link);
	atomic_store_explicit(&s->a->state, CHAN_ST_FREE, memory_order_release);
	sock_wake_last(s);
	cw->block[s->id / SOCK_BLOCK][s->id % SOCK_BLOCK] = NULL;
	cw->free_ids[cw->n_free++] = s->id;
	cw->n_socks--;
	env->n_socks--;
	atomic_fetch_sub_explicit(&cw->client->n_socks, 1, memory_order_relaxed);
	slab_free(&env->priv->socks, s);
	sock_shed_look(cw);
}

/* ---- death ---- */
void sock_released(struct tcp_env *tcp, struct tcp_conn *c)
{
	struct sock *s = sock_of(c);

	s->started = s->near_known = false;
	if (!s->reopen) {
		sock_free(s);
		return;
	}
	sock_lane_gone(s);
	sock_set_flag(s, 0, CHAN_A_LANE | CHAN_A_LANE_TX);
}

void *sock_record_new(struct tcp_env *tcp, struct tcp_conn *c)
{
	struct sock *s = sock_of(c);

	(void)tcp;
	if (s->hold)
		ports_get(s->hold);
	return s->hold;
}

void sock_record_gone(struct tcp_env *tcp, void *kept)
{
	ports_put(env_of(tcp)->ports, kept, 0);
}

void sock_abort(struct sock *s)
{
	struct sock_env *env = s->cw->env;

	if (s->l)
		sock_unlisten(s);
	if (s->started)
		tcp_abort(&env->tcp, &s->conn, env->now_ns);
	else
		sock_free(s);
}

void sock_close(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	uint64_t now = env->now_ns;

	if (s->closing)
		return;
	if (s->l)
		sock_unlisten(s);
	/* What was sent is sent. */
	if (s->dgram)
		sock_dgram_flush(s);
	if (!s->started) {
		sock_free(s);
		return;
	}
	/* The last word of the application: what it wrote is sent, what it read is read. */
	struct chan_opts o = sock_read_opts(s->b);
	if (unlikely(s->lane) && sock_take_tx(s))
		sock_pipe(s); /* behind that is what went by the lane */
	if (!sock_take_tx(s) || !sock_take_rx(s)) {
		tcp_abort(&env->tcp, &s->conn, now);
		return;
	}
	tcp_app_wrote(&env->tcp, &s->conn, s->tx_tail, now);
	sock_take_urgent(s);
	if ((o.flags & CHAN_O_LINGER) && o.linger_s == 0) {
		tcp_abort(&env->tcp, &s->conn, now);
		return;
	}
	tcp_app_read(&env->tcp, &s->conn, s->rx_head, now);
	s->closing = true;
	if (unlikely(s->lane))
		sock_lane_look(s); /* what is written from now on is to meet a closed socket */
	tcp_close(&env->tcp, &s->conn, now);
}

static bool has_holder(const struct client *c, uint32_t id)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->live); i++) {
		uint64_t live = atomic_load_explicit(&c->live[i], memory_order_acquire);

		for (; live; live &= live - 1) {
			uint32_t p = i * 64 + (uint32_t)__builtin_ctzll(live);

			if (atomic_load_explicit(&c->held[p].word[id / 64],
						 memory_order_relaxed) >> (id % 64) & 1)
				return true;
		}
	}
	return false;
}

/* While we look the socket may pass from one process to another (fork and close), each time to one that we
 * have asked already. The next holder's bit is set before the last one's is cleared, and close_seq
 * counts afterwards: so nobody has it when two looks in a row find nobody and nobody has let go
 * meanwhile. Whoever has marks the socket then, and we look again. */
bool sock_is_held(const struct client *c, uint32_t id)
{
	const struct chan_sock_b *b = &c->sock_b[id];
	uint32_t seq = atomic_load_explicit(&b->close_seq, memory_order_acquire);

	for (int i = 0; i < 2; i++) {
		if (has_holder(c, id))
			return true;
		atomic_thread_fence(memory_order_acquire);
	}
	return atomic_load_explicit(&b->close_seq, memory_order_relaxed) != seq;
}

void sock_check_held(struct sock *s)
{
	struct tcp_listener *tl = s->queued ? s->conn.listener : NULL;

	if (tl) {
		struct listener *l = container_of(tl, struct listener, tl);

		/* accept() may be ahead of us: that marks this socket ours to judge, and may free it. */
		if (l->home) {
			struct client_worker *cw = s->cw;
			uint32_t id = s->id, gen = s->gen;

			sock_accept_taken(l->home);
			s = sock_find(cw, id);
			if (!s || s->gen != gen)
				return;
		}
	}
	if (!s->queued && !s->closing && !sock_is_held(s->cw->client, s->id))
		sock_close(s);
}

