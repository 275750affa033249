/* The only writer of readiness: turns what changed in a burst into the A halves, evseq, event queues,
 * futex wakes and doorbells. The arguments for the fences stand in chan/wait.h and chan/evq.h. */
// SPDX-License-Identifier: MIT
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

void sock_touch(struct sock *s, bool push)
{
	s->wake = true;
	s->push |= push;
	if (!s->publish) {
		s->publish = true;
		list_push(&s->cw->env->priv->event, &s->event_link);
	}
}

/* On the list for what must be looked at after the fence; evseq stays. */
static void touch_quiet(struct sock *s)
{
	if (!s->publish) {
		s->publish = true;
		list_push(&s->cw->env->priv->event, &s->event_link);
	}
}

void sock_set_state(struct sock *s, uint32_t state)
{
	s->state = state;
	atomic_store_explicit(&s->a->state, state, memory_order_release);
	sock_touch(s, true);
}

void sock_set_flag(struct sock *s, uint32_t set, uint32_t clear)
{
	uint32_t flags = (s->flags_a | set) & ~clear;

	if (flags == s->flags_a)
		return;
	s->flags_a = flags;
	atomic_store_explicit(&s->a->flags, flags, memory_order_release);
}

void sock_set_error(struct sock *s, int err)
{
	atomic_store_explicit(&s->a->err, (uint32_t)err, memory_order_relaxed);
	atomic_store_explicit(&s->a->err_seq, ++s->err_seq, memory_order_release);
	sock_touch(s, true);
}

/* ---- what the core reports ---- */
/* May the window run out while unread bytes wait, or is a delayed ACK due when they are read? Then the
 * application must tell when it reads. */
static bool needs_head(const struct sock *s)
{
	const struct tcp_conn *c = &s->conn;

	return s->rx_tail != s->rx_head && (tcp_read_may_ack(c) ||
					    seq_diff(c->rcv_adv, c->rcv_nxt) < c->opts.rcvbuf / 2);
}

void sock_want_head(struct sock *s)
{
	if ((s->flags_a & CHAN_A_WANT_HEAD) || !needs_head(s))
		return;
	sock_set_flag(s, CHAN_A_WANT_HEAD, 0);
	s->head_look = true;
}

void sock_tell_rcvbuf(struct sock *s)
{
	s->rx_space = s->conn.tune.space;
	atomic_store_explicit(&s->a->rcvbuf, tcp_rcvbuf_told(&s->conn), memory_order_relaxed);
}

void sock_head_moved(struct sock *s)
{
	struct sock_env *env = s->cw->env;

	tcp_app_read(&env->tcp, &s->conn, s->rx_head, env->now_ns);
	if (unlikely(s->conn.tune.space != s->rx_space))
		sock_tell_rcvbuf(s);
	/* What has waited at the other end may come now. */
	if (s->conn.mate && tcp_tx_nxt(s->conn.mate) != sock_of(s->conn.mate)->tx_tail)
		sock_pipe(sock_of(s->conn.mate));
	if (unlikely(s->lane))
		sock_lane_look(s);
	/* It stays set as long as it is needed: too little may have been read for a window update. */
	if (!needs_head(s))
		sock_set_flag(s, 0, CHAN_A_WANT_HEAD);
}

static uint64_t realtime_ns(const struct sock *s)
{
	const struct sock_env *env = s->cw->env;

	return env->host->realtime_ns ? env->host->realtime_ns(env->host_arg) : 0;
}

static void readable(struct sock *s)
{
	uint32_t tail = tcp_rx_tail(&s->conn);

	if (tail == s->rx_tail)
		return;
	s->rx_tail = tail;
	if (unlikely(s->stamp))
		atomic_store_explicit(&s->a->rx_time_ns, realtime_ns(s), memory_order_relaxed);
	atomic_store_explicit(&s->a->rx_tail, tail, memory_order_release);
	sock_signal(s, SOCK_SIGNAL_IN);
	sock_touch(s, true);
	if (!sock_take_rx(s))
		return;
	if (s->rx_head != s->conn.rx_head)
		sock_head_moved(s);
	sock_want_head(s);
}

static void tune_sndbuf(struct sock *s)
{
	uint32_t want = min_u32(tcp_tune_sndbuf(&s->conn), SOCK_SNDBUF_MAX);

	if (!s->sndbuf && want > s->a->sndbuf)
		s->a->sndbuf = want;
}

void sock_tx_done(struct sock *s, uint32_t una)
{
	if (una == s->tx_una)
		return;
	s->tx_una = una;
	atomic_store_explicit(&s->a->tx_una, una, memory_order_release);
	sock_ring_trim(s, REGION_UP, una);
	s->una_moved = true;
	touch_quiet(s);
}

void sock_sent(struct sock *s, uint32_t pos)
{
	if ((int32_t)(pos - atomic_load_explicit(&s->a->tx_nxt, memory_order_relaxed)) <= 0)
		return;
	atomic_store_explicit(&s->a->tx_nxt, pos, memory_order_release);
	if (s->lowat) {
		s->una_moved = true;
		touch_quiet(s);
	}
}

static void writable(struct sock *s)
{
	uint32_t una = tcp_tx_una(&s->conn);

	if (una == s->tx_una)
		return;
	sock_tx_done(s, una);
	tune_sndbuf(s);
}

static void connected(struct sock *s)
{
	s->established = true;
	s->a->local = s->conn.flow.local;
	s->a->remote = s->conn.flow.remote;
	s->a->mss = s->conn.mss;
	sock_near_buffer(s);
	sock_signal(s, SOCK_SIGNAL_OUT);
	sock_set_state(s, CHAN_ST_CONNECTED);
}

static void closed(struct sock *s)
{
	sock_set_flag(s, CHAN_A_TX_DONE | (s->conn.error ? CHAN_A_ENDED : 0), CHAN_A_WANT_HEAD);
	if (s->conn.error) {
		sock_signal(s, SOCK_SIGNAL_HUP); /* Linux: POLL_ERR, which the line can't tell apart */
		sock_set_error(s, s->conn.error);
	}
	sock_set_state(s, CHAN_ST_CLOSED);
	/* As Linux: a port that bind() did not ask for is free as soon as the connection has ended, though
	 * the descriptor is still open. (A TIME-WAIT record has its own reference.) */
	if (s->hold && (s->passive || s->auto_port)) {
		ports_put(s->cw->env->ports, s->hold, 0);
		s->hold = NULL;
	}
}

/* The connection ended before accept() could be told of it: nobody will ever ask. */
static bool is_stillborn(const struct sock *s, uint32_t ev)
{
	return s->passive && !s->established && (ev & TCPE_CLOSED);
}

/* Something was under way, and what comes after it could not be accounted for. */
static void lane_goes_on(struct sock *s)
{
	if (s->closing || !s->started || !sock_take_tx(s) || tcp_tx_nxt(&s->conn) == s->tx_tail)
		return;
	sock_pipe(s);
	tcp_app_wrote(&s->cw->env->tcp, &s->conn, s->tx_tail, s->cw->env->now_ns);
}

static void take_events(struct sock *s)
{
	uint32_t ev = s->conn.events;

	s->conn.events = 0;
	if (is_stillborn(s, ev)) {
		if (s->conn.listener) {
			struct listener *l = container_of(s->conn.listener, struct listener, tl);

			l->embryos--;
			tcp_queue_add(&l->tl, TCPQ_ACCEPT, -1);
			s->conn.listener = NULL;
		}
		sock_abort(s);
		return;
	}
	writable(s);
	if (s->closing)
		return;
	if (ev & TCPE_CONNECTED)
		connected(s);
	readable(s);
	if (ev & TCPE_FIN) {
		sock_signal(s, SOCK_SIGNAL_IN | (s->flags_a & CHAN_A_TX_DONE ? SOCK_SIGNAL_HUP : 0));
		sock_set_flag(s, CHAN_A_RX_FIN, 0);
		sock_touch(s, true);
	}
	if (ev & TCPE_SOFT_ERROR) {
		s->a->soft_err = (uint32_t)s->conn.soft_error;
		if (ipaddr_is_v4(&s->a->remote.addr) ? s->recverr : s->recverr6) /* told at once */
			sock_set_error(s, s->conn.soft_error);
	}
	if (ev & TCPE_SENT_FIN_ACKED) {
		sock_set_flag(s, CHAN_A_LINGERED, 0);
		sock_touch(s, false);
	}
	if (ev & (TCPE_CLOSED | TCPE_ERROR))
		closed(s);
	if (unlikely(s->lane))
		lane_goes_on(s);
}

/* The socket goes, now and not at the end of the burst: a close() that lingers sleeps on it. */
void sock_wake_last(struct sock *s)
{
	atomic_store_explicit(&s->a->evseq, ++s->evseq, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->b->waiters, memory_order_relaxed))
		sys_futex_wake(&s->a->evseq, INT_MAX);
}

/* ---- after the fence ---- */
/* A sender waits for room and there is: answer by making the toggles equal (chan_tx_want()). */
static bool answer_tx_wait(struct sock *s)
{
	uint32_t waits = atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_TX_WAIT;
	uint32_t woken = s->flags_a & CHAN_A_TX_WAKE;

	if (!waits == !woken)
		return false;
	/* Used as the application sees it: its tail may be ahead of what it has told. */
	if (!(s->dgram ? chan_dgram_writable(s->a, s->b) : chan_tx_ring_writable(s->a, s->b))) {
		if (!s->dgram)
			tcp_app_waits(&s->conn, s->cw->env->now_ns);
		return false;
	}
	if (!s->dgram)
		tcp_app_has_room(&s->conn, s->cw->env->now_ns);
	sock_set_flag(s, waits ? CHAN_A_TX_WAKE : 0, waits ? 0 : CHAN_A_TX_WAKE);
	return true;
}

static void look_at_head(struct sock *s)
{
	s->head_look = false;
	if (!s->started || s->closing || !sock_take_rx(s) || s->rx_head == s->conn.rx_head)
		return;
	sock_head_moved(s);
}

static void ring_later(struct client_worker *cw, uint32_t evq)
{
	if (cw->evq_hit[evq])
		return;
	cw->evq_hit[evq] = 1;
	cw->ring_list[cw->n_ring++] = (uint16_t)evq;
	if (cw->n_ring == 1)
		list_push(&cw->env->priv->rings, &cw->ring_link);
}

static struct chan_evq_a *evq_a_of(struct client *c, uint32_t evq)
{
	return (void *)(c->evq_a + (size_t)evq * c->evq_stride);
}

/* sub: the slot's index in the socket, -1: SUB_ALL, which knows no "already told". */
static void push_to(struct sock *s, uint32_t evq, int sub)
{
	struct client_worker *cw = s->cw;
	struct client *c = cw->client;
	struct chan_evq_out *out;

	if (evq >= CHAN_MAX_EVQS ||
	    !atomic_load_explicit(&c->evq_fd[evq], memory_order_relaxed))
		return;
	out = &cw->evq[evq];
	STAT_INC(chan_events);
	ring_later(cw, evq);
	if (!chan_evq_has_room(&c->evq_b[evq], cw->env->worker, out)) {
		chan_evq_overflow(evq_a_of(c, evq));
		return;
	}
	if (sub >= 0) {
		s->pushed[sub] = (uint16_t)(evq + 1);
		atomic_store_explicit(&s->a->notified[sub], ++s->notified[sub],
				      memory_order_release);
	}
	chan_evq_push(evq_a_of(c, evq), cw->env->worker, out, s->id);
}

static void push_all(struct sock *s)
{
	struct client *c = s->cw->client;
	uint32_t n = atomic_load_explicit(&c->n_evqs, memory_order_relaxed);

	for (uint32_t evq = 0; evq < n; evq++) {
		if (atomic_load_explicit(&c->evq_b[evq].in_use, memory_order_relaxed))
			push_to(s, evq, -1);
	}
}

/* All four in one load, the first in the lowest bits: mostly there is one, and the others need no look. */
static inline uint64_t subs_of(const struct chan_sock_b *b)
{
	_Static_assert(sizeof(b->sub) == 8 && offsetof(struct chan_sock_b, sub) % 8 == 0, "one word");
	return le64toh(atomic_load_explicit((const _Atomic uint64_t *)(const void *)b->sub,
					    memory_order_relaxed));
}

static void push_events(struct sock *s)
{
	if (atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SUB_ALL) {
		push_all(s);
		return;
	}
	uint64_t subs = subs_of(s->b);
	for (int i = 0; subs; i++, subs >>= 16) {
		uint16_t sub = (uint16_t)subs;

		if (sub == 0)
			continue;
		if (s->pushed[i] == sub &&
		    atomic_load_explicit(&s->b->seen[i], memory_order_relaxed) != s->notified[i])
			continue;
		push_to(s, sub - 1u, i);
	}
}

static void wake_waiters(struct sock *s)
{
	if (!atomic_load_explicit(&s->b->waiters, memory_order_relaxed))
		return;
	STAT_INC(chan_bell_rung);
	sys_futex_wake(&s->a->evseq, INT_MAX);
}

static void bump_evseq(struct sock *s)
{
	atomic_store_explicit(&s->a->evseq, ++s->evseq, memory_order_release);
}

static void ring_doorbells(struct sock_env *env)
{
	struct list *n;

	while ((n = list_pop(&env->priv->rings))) {
		struct client_worker *cw = container_of(n, struct client_worker, ring_link);

		for (uint32_t i = 0; i < cw->n_ring; i++) {
			uint32_t evq = cw->ring_list[i];
			int fd = atomic_load_explicit(&cw->client->evq_fd[evq],
						      memory_order_relaxed);

			cw->evq_hit[evq] = 0;
			if (fd && chan_evq_must_ring(&cw->client->evq_b[evq], &cw->evq[evq])) {
				STAT_INC(chan_bell_rung);
				sys_write(fd - 1, "", 1);
			}
		}
		cw->n_ring = 0;
	}
}

static void take_signals(struct sock *s)
{
	if (unlikely(sock_has_line(s)))
		sock_send_signals(s);
	else if (unlikely(s->line_comes))
		s->early |= s->signals;
	s->signals = 0;
}

void sock_publish(struct sock_env *env)
{
	struct list *event = &env->priv->event;
	struct list *n;
	bool more = false;

	while ((n = list_pop(&env->tcp.touched)))
		take_events(sock_of(container_of(n, struct tcp_conn, touch_link)));
	if (list_empty(event))
		return;
	list_for_each(it, event) {
		struct sock *s = container_of(it, struct sock, event_link);

		if (s->dgram && s->rx_end != s->rx_tail) {
			s->rx_tail = s->rx_end;
			atomic_store_explicit(&s->a->rx_tail, s->rx_tail, memory_order_release);
		}
		if (s->wake)
			bump_evseq(s);
	}
	atomic_thread_fence(memory_order_seq_cst);
	list_for_each(it, event) {
		struct sock *s = container_of(it, struct sock, event_link);

		if (unlikely(s->flags_a & CHAN_A_URG_BUSY))
			sock_set_flag(s, 0, CHAN_A_URG_BUSY);
		if (s->una_moved && answer_tx_wait(s)) {
			bump_evseq(s);
			s->wake = s->push = more = true;
			sock_signal(s, SOCK_SIGNAL_OUT);
		}
		s->una_moved = false;
	}
	if (more)
		atomic_thread_fence(memory_order_seq_cst);
	while ((n = list_pop(event))) {
		struct sock *s = container_of(n, struct sock, event_link);
		bool wake = s->wake, push = s->push;

		s->publish = s->wake = s->push = false;
		if (s->head_look)
			look_at_head(s);
		if (push)
			push_events(s);
		if (s->signals)
			take_signals(s);
		if (wake)
			wake_waiters(s);
	}
	if (list_empty(&env->priv->rings))
		return;
	atomic_thread_fence(memory_order_seq_cst);
	ring_doorbells(env);
}

void sock_wake_client(struct client_worker *cw)
{
	struct client *c = cw->client;

	list_for_each(it, &cw->socks) {
		struct sock *s = container_of(it, struct sock, link);

		bump_evseq(s);
		sys_futex_wake(&s->a->evseq, INT_MAX);
	}
	if (cw->env->worker != 0)
		return;
	for (unsigned i = 0; i < CHAN_MAX_CALLS; i++) {
		if (atomic_load_explicit(&c->call_b[i].waiting, memory_order_relaxed))
			sys_futex_wake(&c->call_a[i].seq, INT_MAX);
	}
	for (unsigned i = 0; i < CHAN_MAX_EVQS; i++) {
		int fd = atomic_load_explicit(&c->evq_fd[i], memory_order_relaxed);

		if (fd && !atomic_load_explicit(&c->line_fd[i], memory_order_relaxed))
			sys_write(fd - 1, "", 1);
	}
}
