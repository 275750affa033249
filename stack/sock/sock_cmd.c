/* Calls of the application: one handler per enum chan_op. A request is copied out of shared memory once;
 * every field of it may be nonsense. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

enum { DEFERRED = 1 }; /* result of a handler: sock_reply() comes later */
enum { PORT_LOW = 1024 };

void sock_reply(struct client_worker *cw, uint32_t slot, uint32_t seq, int result,
		const struct sock *s)
{
	struct chan_call_a *a = &cw->client->call_a[slot];
	struct chan_call_b *b = &cw->client->call_b[slot];

	/* A deferred answer whose asker has gone: the slot is another's by now. */
	if (atomic_load_explicit(&b->seq, memory_order_relaxed) != seq)
		return;
	a->result = result;
	a->sock = s ? s->id : CHAN_SOCK_NEW;
	a->gen = s ? s->gen : 0;
	if (s)
		a->local = s->a->local;
	atomic_store_explicit(&a->seq, seq, memory_order_release);
	/* Pairs with the asker's store of waiting before its futex compares seq (call.c). */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&b->waiting, memory_order_relaxed))
		sys_futex_wake(&a->seq, 1);
}

uint32_t sock_port_flags(uint32_t opt_flags)
{
	return (opt_flags & CHAN_O_REUSEADDR ? PORTS_REUSEADDR : 0) |
	       (opt_flags & CHAN_O_REUSEPORT ? PORTS_REUSEPORT : 0) |
	       (opt_flags & CHAN_O_V6ONLY ? PORTS_V6ONLY : 0);
}

static struct ports_req port_req(const struct call *k, const struct endpoint *local)
{
	return (struct ports_req){ .proto = PORTS_TCP, .flags = sock_port_flags(k->req.opts.flags),
				   .uid = k->cw->client->conf.uid,
				   .owner = client_owner(k->cw->client), .local = *local,
				   .lo = (uint16_t)k->req.arg[1],
				   .hi = (uint16_t)(k->req.arg[1] >> 16) };
}

struct sock *sock_make(struct call *k)
{
	struct sock *s = sock_new(k->cw);

	if (!s)
		return NULL;
	k->made = true;
	s->v6 = k->req.v6 != 0;
	s->a->v6 = s->v6;
	if (k->req.type == SOCK_TYPE_DGRAM)
		sock_dgram_init(s);
	s->b->opts = k->req.opts;
	sock_take_opts(s);
	return s;
}

/* ---- handlers: 0, -errno or DEFERRED; k->s is what the answer names ---- */
static int op_bind(struct call *k)
{
	struct sock_env *env = k->cw->env;
	struct endpoint local = k->req.local;
	struct port_hold *hold;

	if (k->req.type == SOCK_TYPE_DGRAM)
		return sock_dgram_bind(k);
	if (k->req.type != SOCK_TYPE_STREAM)
		return -ESOCKTNOSUPPORT;
	if (local.port && local.port < PORT_LOW && !k->cw->client->conf.low_ports)
		return -EACCES;
	if (!ipaddr_has_zone(&local.addr))
		local.scope = 0;
	if (!ipaddr_is_any(&local.addr) && !(k->req.opts.flags & CHAN_O_FREEBIND) &&
	    !env->host->is_local(env->host_arg, &local))
		return -EADDRNOTAVAIL;
	struct ports_req req = port_req(k, &local);
	int err = ports_bind(env->ports, &req, env->now_ns, &hold);
	if (err)
		return err;
	struct sock *s = sock_make(k);
	if (!s) {
		ports_put(env->ports, hold, 0);
		return -ENOBUFS;
	}
	s->hold = hold;
	s->local = local;
	s->local.port = ports_local(hold).port;
	s->a->local = s->local;
	k->s = s;
	return 0;
}

static int op_listen(struct call *k)
{
	struct sock *s = k->s;
	uint32_t backlog = (uint32_t)min_u64(k->req.arg[0], SOCK_BACKLOG_MAX);

	if (s->dgram)
		return -EOPNOTSUPP;
	if (s->started || !s->hold)
		return -EINVAL;
	struct tcp_fo_keys keys = { .n = 0 };
	int err = sock_fo_keys_take(&keys, k->req.key, k->req.arg[1]);

	if (err)
		return err;
	err = sock_listen(s, backlog, &keys, k->slot,
			  atomic_load_explicit(&k->req.seq, memory_order_relaxed));
	return err > 0 ? DEFERRED : err;
}

struct want_port {
	struct sock_env *env;
	struct tcp_flow flow;
};
static bool usable(void *arg, uint16_t port)
{
	struct want_port *w = arg;

	w->flow.local.port = port;
	return w->env->host->flow_worker(w->env->host_arg, &w->flow) == w->env->worker &&
	       !tcp_tuple_in_use(&w->env->tcp, &w->flow, w->env->now_ns);
}

/* The zone of flow's local address: that of the peer, where both have one. What has an address of a link
 * leaves by that link only (Linux: sk_bound_dev_if). */
static int choose_zone(const struct sock_env *env, struct tcp_flow *flow, bool chosen)
{
	const struct ipaddr *remote = &flow->remote.addr;
	uint32_t zone = flow->local.scope;

	flow->local.pad = 0;
	flow->local.scope = 0;
	if (!ipaddr_has_zone(&flow->local.addr))
		return 0;
	if (ipaddr_has_zone(remote))
		flow->local.scope = flow->remote.scope;
	else
		flow->local.scope = env->host->find_interface(env->host_arg, 0, NULL, remote);
	if (chosen || flow->local.scope == zone)
		return 0;
	return ipaddr_has_zone(remote) ? -EINVAL : -ENETUNREACH;
}

/* A number that goes with the answer. */
static void answer_u32(const struct call *k, uint32_t v)
{
	struct chan_call_a *a = &k->cw->client->call_a[k->slot];

	memcpy(a->payload, &v, sizeof(v));
	a->len = sizeof(v);
}

/* Local address and port of flow. */
static int choose_local(struct call *k, struct sock *s, struct tcp_flow *flow,
			struct port_hold **hold)
{
	struct sock_env *env = k->cw->env;

	flow->local = s->hold ? s->local : k->req.local;
	bool chosen = ipaddr_is_any(&flow->local.addr);
	if (chosen) {
		if (!env->host->source_addr(env->host_arg, &flow->remote,
					    k->req.opts.flags & CHAN_O_SRC_PUBLIC, &flow->local.addr))
			return -ENETUNREACH;
	} else if (!s->hold && !env->host->is_local(env->host_arg, &flow->local)) {
		return -EADDRNOTAVAIL;
	}
	/* An address of the other family reaches nobody. */
	if (ipaddr_is_v4(&flow->local.addr) != ipaddr_is_v4(&flow->remote.addr))
		return -ENETUNREACH;
	int err = choose_zone(env, flow, chosen);
	if (err)
		return err;
	if (s->hold) {
		uint32_t worker = env->host->flow_worker(env->host_arg, flow);

		if (worker == env->worker)
			return 0;
		answer_u32(k, worker); /* which this flow's segments reach */
		return -EXDEV;
	}
	struct want_port w = { .env = env, .flow = *flow };
	struct ports_req req = port_req(k, &flow->local);
	req.local.port = 0;
	err = ports_connect(env->ports, &req, &flow->remote, usable, &w, env->now_ns, hold);
	if (!err)
		flow->local.port = ports_local(*hold).port;
	return err;
}

/* connect() again after a refused one: the core forgets the old attempt. */
static int reopen(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	struct tcp_sockopts opts = s->conn.opts;

	if (s->started) {
		if (s->state == CHAN_ST_CONNECTING)
			return -EALREADY;
		if (s->established || s->state != CHAN_ST_CLOSED || s->tx_tail)
			return -EISCONN;
		s->reopen = true;
		tcp_abort(&env->tcp, &s->conn, env->now_ns);
		s->reopen = false;
	}
	memset(&s->conn, 0, sizeof(s->conn));
	s->conn.opts = opts;
	sock_set_flag(s, 0, CHAN_A_TX_DONE | CHAN_A_RX_FIN | CHAN_A_ENDED);
	return 0;
}

static int start_connect(struct call *k, struct sock *s)
{
	struct sock_env *env = k->cw->env;
	struct tcp_flow flow = { .remote = k->req.remote };
	struct port_hold *hold = NULL;
	uint32_t bound_zone = s->hold ? s->local.scope : 0;
	int err = s->l ? -EISCONN : reopen(s);

	if (err)
		return err;
	if (!ipaddr_has_zone(&flow.remote.addr))
		flow.remote.scope = 0;
	flow.remote.pad = 0;
	if (ipaddr_is_multicast(&flow.remote.addr) || ipaddr_is_any(&flow.remote.addr) ||
	    env->host->path_mss(env->host_arg, &flow.remote) == 0)
		return -ENETUNREACH;
	if (s->tx.n == 0 && sock_ring_open(s, REGION_UP, 0, SOCK_TX_FIRST) < 0)
		return -ENOBUFS;
	err = choose_local(k, s, &flow, &hold);
	if (err)
		return err;
	s->conn.id = s->id;
	struct chan_opts o = sock_read_opts(s->b);
	s->conn.opts.minttl = ipaddr_is_v4(&flow.remote.addr) ? o.minttl : o.minhops;
	s->conn.opts.fastopen_syn = k->req.arg[0] & CHAN_ARG_FASTOPEN;
	s->conn.opts.label = o.flowinfo & IP6_LABEL_MASK;
	err = tcp_connect(&env->tcp, &s->conn, &flow, env->now_ns);
	if (err) {
		if (hold)
			ports_put(env->ports, hold, 0);
		return err;
	}
	if (hold)
		s->hold = hold;
	s->auto_port = hold != NULL;
	if (!hold && ipaddr_is_any(&s->local.addr))
		ports_set_addr(env->ports, s->hold, &flow.local);
	s->started = true;
	s->local = flow.local;
	s->a->local = flow.local;
	/* Linux shows the zone of one that is bound to a link, by bind() or by its peer. */
	if (!k->req.local.scope && !bound_zone && !flow.remote.scope)
		s->a->local.scope = 0;
	s->a->remote = flow.remote;
	sock_set_state(s, CHAN_ST_CONNECTING);
	if (s->conn.fo_held) {
		sock_set_flag(s, CHAN_A_SYN_HELD, 0);
		answer_u32(k, s->conn.fo_room);
	}
	return -EINPROGRESS;
}

static int op_connect(struct call *k)
{
	bool fresh = k->req.sock == CHAN_SOCK_NEW;

	if (k->s ? k->s->dgram : k->req.type == SOCK_TYPE_DGRAM)
		return sock_dgram_connect(k);
	struct sock *s = fresh ? sock_make(k) : k->s;

	if (!s)
		return fresh ? -ENOBUFS : -EBADF;
	int err = start_connect(k, s);
	if (fresh && err != -EINPROGRESS)
		sock_free(s);
	else
		k->s = s;
	if (err == -EINPROGRESS)
		s->line_comes = !sock_has_line(s) && k->req.arg[0] & CHAN_ARG_LINE;
	return err;
}

static int op_tx_grow(struct call *k)
{
	struct sock *s = k->s;

	if (!s->dgram && (!s->started || s->closing || s->state != CHAN_ST_CONNECTED))
		return -ENOTCONN;
	return sock_tx_grow(s, k->req.arg[0], (uint32_t)k->req.arg[1]);
}

/* The process that asked for a socket holds it from birth, before its chan_hold(): else the late close_seq of
 * somebody who gave up the id's last owner would find nobody and close the new one. */
static void set_held(const struct call *k, bool held)
{
	uint32_t id = k->s->id, proc = k->req.proc;
	_Atomic uint64_t *word;

	if (proc >= CHAN_MAX_PROCS)
		return;
	word = &k->cw->client->held[proc].word[id / 64];
	if (held)
		atomic_fetch_or_explicit(word, 1ull << (id % 64), memory_order_seq_cst);
	else
		atomic_fetch_and_explicit(word, ~(1ull << (id % 64)), memory_order_seq_cst);
}

/* A process that was killed may have left a call behind that is carried out after its end. If it still counts
 * as alive here, the mail about its end comes later. */
static bool is_live(const struct client *c, uint32_t proc)
{
	return proc < CHAN_MAX_PROCS &&
	       atomic_load_explicit(&c->live[proc / 64], memory_order_acquire) >> (proc % 64) & 1;
}

static int op_unbind(struct call *k)
{
	set_held(k, false);
	sock_close(k->s);
	k->s = NULL;
	return 0;
}

/* The socket that a request names. A call on what accept() has just given may arrive before the news of
 * accept(), which comes by mail when another worker is the listener's home: until then the socket may be
 * used, but not undone. */
static struct sock *find(struct client_worker *cw, uint32_t id, uint32_t gen, uint32_t op)
{
	struct sock *s = sock_find(cw, id);

	if (s && s->queued) {
		sock_check_held(s);
		s = sock_find(cw, id);
	}
	if (!s || s->gen != gen || s->closing)
		return NULL;
	return s->queued && op != CHAN_OP_TX_GROW && op != CHAN_OP_INFO ? NULL : s;
}

/* bind() of a datagram socket that exists without a port. */
static bool is_rebind(const struct chan_call_b *req)
{
	return req->type == SOCK_TYPE_DGRAM && req->sock != CHAN_SOCK_NEW && req->gen != 0;
}

static int dispatch(struct call *k)
{
	uint32_t op = k->req.op;

	STAT_INC(chan_cmds);
	if (op == CHAN_OP_BIND && !is_rebind(&k->req))
		return op_bind(k);
	if (op == CHAN_OP_CONNECT && k->req.sock == CHAN_SOCK_NEW)
		return op_connect(k);
	k->s = find(k->cw, k->req.sock, k->req.gen, op);
	if (!k->s)
		return -EBADF;
	switch (op) {
	case CHAN_OP_BIND:
		return op_bind(k);
	case CHAN_OP_CONNECT:
		return op_connect(k);
	case CHAN_OP_LISTEN:
		return op_listen(k);
	case CHAN_OP_TX_GROW:
		return op_tx_grow(k);
	case CHAN_OP_INFO:
		return sock_info(k);
	case CHAN_OP_UNBIND:
		return op_unbind(k);
	case CHAN_OP_FO_KEY:
		return sock_fo_key(k);
	case CHAN_OP_MCAST:
		return k->s->dgram ? sock_dgram_mcast(k) : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

static void run(struct client_worker *cw, uint32_t slot, enum call_stage stage)
{
	struct chan_call_a *a = &cw->client->call_a[slot];
	struct chan_call_b *b = &cw->client->call_b[slot];
	struct call k = { .cw = cw, .slot = slot };
	uint32_t seq = atomic_load_explicit(&b->seq, memory_order_acquire);

	if (seq == atomic_load_explicit(&a->seq, memory_order_relaxed))
		return; /* answered already */
	memcpy(&k.req, (const void *)b, sizeof(k.req));
	__asm__ volatile("" ::: "memory");
	atomic_store_explicit(&k.req.seq, seq, memory_order_relaxed);
	if (stage == CALL_NEW && unlikely(sock_call_waits(cw, slot, &k.req)))
		return;
	a->len = 0;
	int result = dispatch(&k);
	if (unlikely(result == -EADDRINUSE) && stage < CALL_SETTLED && k.req.op != CHAN_OP_CONNECT) {
		sock_call_settles(cw, slot);
		return;
	}
	bool orphaned = k.s && k.made && !is_live(cw->client, k.req.proc);
	if (k.s && k.made && !orphaned)
		set_held(&k, true);
	if (result != DEFERRED)
		sock_reply(cw, slot, seq, result, k.s);
	if (orphaned)
		sock_check_held(k.s);
}

void sock_calls(struct client_worker *cw, uint64_t taken[CHAN_MAX_CALLS / 64])
{
	for (uint32_t i = 0; i < CHAN_MAX_CALLS / 64; i++) {
		for (uint64_t slots = taken[i]; slots; slots &= slots - 1)
			run(cw, i * 64 + (uint32_t)__builtin_ctzll(slots), CALL_NEW);
	}
}

void sock_call_again(struct client_worker *cw, uint32_t slot, enum call_stage stage)
{
	run(cw, slot, stage);
}
