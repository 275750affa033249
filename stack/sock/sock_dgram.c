/* Datagram sockets on the engine's side: birth, address and peer, options, groups. Their records go out in
 * sock_dgram_tx.c and come in in sock_dgram_rx.c. The rules are Linux's inet_bind(),
 * __ip4_datagram_connect() and __udp_disconnect(). */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

enum { PORT_LOW = 1024, IP4_LOOPBACK = 0x7f000001 };

void sock_dgram_init(struct sock *s)
{
	s->dgram = true;
	memset(&s->dg, 0, sizeof(s->dg));
	udp_sock_init(&s->dg.udp);
	s->dg.udp.host = s;
	s->a->type = SOCK_TYPE_DGRAM;
	sock_set_flag(s, CHAN_A_DGRAM, 0);
}

void sock_dgram_fini(struct sock *s)
{
	udp_unbind(&s->cw->env->udp, &s->dg.udp);
}

static uint32_t clamp_buf(uint32_t v, uint32_t least)
{
	return v ? min_u32(max_u32(v, least), SOCK_BUF_MAX) : DGRAM_BUF;
}

void sock_dgram_opts(struct sock *s, const struct chan_opts *o)
{
	struct dgram *d = &s->dg;

	s->a->sndbuf = clamp_buf(o->sndbuf, DGRAM_SNDBUF_MIN);
	d->rcvbuf = 2 * clamp_buf(o->rcvbuf, DGRAM_RCVBUF_MIN);
	d->opt_flags = o->flags;
	d->mtu_disc = o->mtu_disc;
	d->mtu_disc6 = o->mtu_disc6;
	d->udp.v6 = s->v6;
	d->udp.v6only = o->flags & CHAN_O_V6ONLY;
	d->udp.reuseport = o->flags & CHAN_O_REUSEPORT;
	d->udp.mcast_own = o->flags & CHAN_O_MCAST_OWN;
	d->udp.mcast_own6 = o->flags & CHAN_O_MCAST_OWN6;
	d->udp.broadcast = o->flags & CHAN_O_BROADCAST;
}

void sock_dgram_dirty(struct sock *s)
{
	uint32_t flags = atomic_load_explicit(&s->b->flags, memory_order_acquire) &
			 (CHAN_B_SHUT_RD | CHAN_B_SHUT_WR);

	if (!sock_take_rx(s))
		return;
	sock_dgram_send(s);
	if (flags & ~s->flags_b) {
		s->flags_b |= flags;
		sock_touch(s, true);
	}
}

/* ---- address and port ---- */
static struct ipaddr any_addr(bool v6)
{
	return v6 ? (struct ipaddr){ .w = { 0 } } : ipaddr_v4(0);
}
static const struct ipaddr loopback6 = { .b = { [15] = 1 } };
static struct ipaddr any_of(const struct sock *s) { return any_addr(s->v6); }

static bool port_is_ours(const struct sock_env *env, uint16_t port)
{
	return chan_port_worker(port, env->n_workers) == env->worker;
}

/* What bind() may ask for, beside a port that is free. */
static int check_local(const struct call *k, const struct endpoint *local, uint32_t opt_flags)
{
	struct sock_env *env = k->cw->env;

	if (local->port && local->port < PORT_LOW && !k->cw->client->conf.low_ports)
		return -EACCES;
	if (local->port && !port_is_ours(env, local->port))
		return -EINVAL;
	if (ipaddr_is_any(&local->addr) || ipaddr_is_multicast(&local->addr) ||
	    (opt_flags & CHAN_O_FREEBIND) ||
	    env->host->is_local(env->host_arg, local) ||
	    env->host->is_broadcast(env->host_arg, &local->addr))
		return 0;
	return -EADDRNOTAVAIL;
}

static int reserve(const struct call *k, const struct endpoint *local, uint32_t opt_flags,
		   struct port_hold **hold)
{
	struct sock_env *env = k->cw->env;
	struct ports_req req = { .proto = PORTS_UDP, .flags = sock_port_flags(opt_flags),
				 .uid = k->cw->client->conf.uid,
				 .owner = client_owner(k->cw->client), .local = *local,
				 .modulus = (uint16_t)env->n_workers,
				 .remainder = (uint16_t)env->worker };

	return ports_bind(env->ports, &req, env->now_ns, hold);
}

/* Shows where s is now and whom it is connected to. No event: Linux tells nobody of these calls. */
static void show(struct sock *s)
{
	bool connected = udp_is_connected(&s->dg.udp);

	s->local = s->dg.udp.local;
	s->a->local = s->local;
	s->a->remote = s->dg.udp.remote;
	s->state = connected ? CHAN_ST_CONNECTED : CHAN_ST_OPEN;
	atomic_store_explicit(&s->a->state, s->state, memory_order_release);
}

static void enter(struct sock *s, struct port_hold *hold, const struct endpoint *local)
{
	s->hold = hold;
	s->dg.udp.local = *local;
	s->dg.udp.local.port = ports_local(hold).port;
	udp_bind(&s->cw->env->udp, &s->dg.udp);
}

static struct endpoint local_of(const struct call *k)
{
	struct endpoint e = { .addr = k->req.local.addr, .port = k->req.local.port };

	if (ipaddr_is_any(&e.addr))
		e.addr = any_addr(k->s ? k->s->v6 : k->req.v6 != 0);
	if (ipaddr_has_zone(&e.addr))
		e.scope = k->req.local.scope;
	return e;
}

int sock_dgram_bind(struct call *k)
{
	struct sock_env *env = k->cw->env;
	struct endpoint local = local_of(k);
	struct port_hold *hold = NULL;
	bool no_port = k->req.arg[0] & CHAN_ARG_NO_PORT;
	struct sock *s = k->s;

	if (s && (!s->dgram || s->hold || no_port))
		return -EINVAL;
	uint32_t opt_flags = s ? s->dg.opt_flags : k->req.opts.flags;
	int err = no_port ? 0 : check_local(k, &local, opt_flags);
	if (!err && !no_port)
		err = reserve(k, &local, opt_flags, &hold);
	if (err)
		return err;
	if (!s)
		s = sock_make(k);
	if (!s) {
		if (hold)
			ports_put(env->ports, hold, 0);
		return -ENOBUFS;
	}
	s->dg.saddr = any_of(s);
	if (hold) {
		s->dg.port_fixed = local.port != 0;
		s->dg.addr_fixed = !ipaddr_is_any(&local.addr);
		if (s->dg.addr_fixed && !ipaddr_is_multicast(&local.addr) &&
		    !env->host->is_broadcast(env->host_arg, &local.addr))
			s->dg.saddr = local.addr;
		enter(s, hold, &local);
		show(s);
	}
	k->s = s;
	return 0;
}

/* ---- peer ---- */
/* connect() to AF_UNSPEC: what the program did not choose itself goes with the peer. */
static int dissolve(struct sock *s, bool free_port)
{
	struct sock_env *env = s->cw->env;
	struct dgram *d = &s->dg;
	struct endpoint local = d->udp.local, none = { .addr = any_of(s) };

	if (!d->addr_fixed) {
		local.addr = any_of(s);
		local.scope = 0;
		d->saddr = local.addr;
	}
	if (s->hold && (free_port || !d->port_fixed)) {
		udp_detach(&env->udp, &d->udp);
		ports_put(env->ports, s->hold, 0);
		s->hold = NULL;
		local.port = 0;
	} else if (s->hold && !d->addr_fixed) {
		ports_set_addr(env->ports, s->hold, &local);
	}
	udp_connect(&env->udp, &d->udp, &local, &none);
	s->a->path_mtu = 0;
	show(s);
	return 0;
}

/* May s be connected to remote, and from which address would it send? Port 0 is as good as any:
 * getaddrinfo() connects there to learn the address. */
static int check_remote(struct sock *s, const struct endpoint *remote, uint32_t zone, struct ipaddr *src)
{
	const struct sock_env *env = s->cw->env;
	const struct sock_host *host = env->host;

	if (host->is_broadcast(env->host_arg, &remote->addr)) {
		if (!s->dg.udp.broadcast)
			return -EACCES;
	} else if (host->path_mtu(env->host_arg, remote) == 0) {
		return -ENETUNREACH;
	}
	*src = s->dg.saddr;
	/* From an address of the other family nothing gets there. */
	if (!ipaddr_is_any(src) && ipaddr_is_v4(src) != ipaddr_is_v4(&remote->addr))
		return -ENETUNREACH;
	/* Without an answer (a group) each datagram finds its own. */
	struct endpoint to = { .addr = remote->addr, .port = remote->port, .scope = zone };

	if (ipaddr_is_any(src) &&
	    !host->source_addr(env->host_arg, &to, s->dg.opt_flags & CHAN_O_SRC_PUBLIC, src))
		*src = s->dg.saddr;
	return 0;
}

static int connect_to(struct call *k, struct sock *s)
{
	struct sock_env *env = k->cw->env;
	struct endpoint remote = { .addr = k->req.remote.addr, .port = k->req.remote.port };
	struct endpoint local = s->hold ? s->dg.udp.local : local_of(k);
	struct dgram *d = &s->dg;
	struct port_hold *hold = NULL;
	struct ipaddr src;

	/* Linux: nobody in particular is ourselves. */
	if (ipaddr_is_any(&remote.addr) && !ipaddr_is_any(&d->saddr))
		remote.addr = d->saddr;
	else if (ipaddr_is_any(&remote.addr))
		remote.addr = ipaddr_is_v4(&remote.addr) ? ipaddr_v4(IP4_LOOPBACK) : loopback6;
	if (ipaddr_has_zone(&remote.addr))
		remote.scope = k->req.remote.scope;
	int err = check_remote(s, &remote, k->req.remote.scope, &src);

	if (!err && !s->hold) {
		err = check_local(k, &local, d->opt_flags);
		if (!err)
			err = reserve(k, &local, d->opt_flags, &hold);
	}
	if (err)
		return err;
	if (hold) {
		d->port_fixed = local.port != 0;
		d->addr_fixed = !ipaddr_is_any(&local.addr);
		if (d->addr_fixed)
			src = local.addr;
		enter(s, hold, &local);
		local = d->udp.local;
	}
	d->saddr = src;
	if (ipaddr_is_any(&local.addr) && !ipaddr_is_any(&src)) {
		local.addr = src;
		local.scope = ipaddr_has_zone(&src) ? k->req.remote.scope : 0;
		ports_set_addr(env->ports, s->hold, &local);
	}
	udp_connect(&env->udp, &d->udp, &local, &remote);
	s->a->path_mtu = env->host->path_mtu(env->host_arg, &remote);
	show(s);
	return 0;
}

int sock_dgram_connect(struct call *k)
{
	bool fresh = !k->s, none = k->req.remote.port == 0 && ipaddr_is_any(&k->req.remote.addr);
	struct sock *s = k->s;

	if (fresh && none)
		return -EINVAL;
	if (fresh)
		s = sock_make(k);
	if (!s)
		return -ENOBUFS;
	if (fresh)
		s->dg.saddr = any_of(s);
	else
		sock_dgram_flush(s);
	int err = none ? dissolve(s, k->req.arg[0] & CHAN_ARG_FREE_PORT) : connect_to(k, s);
	if (err && fresh)
		sock_free(s);
	else
		k->s = s;
	return err;
}

/* ---- groups, numbers ---- */
/* CHAN_MC_READ. */
static int mcast_read(struct call *k, const struct ipaddr *group, uint32_t ifindex)
{
	struct chan_call_a *a = &k->cw->client->call_a[k->slot];
	uint64_t first = k->req.arg[1] >> 32;
	bool include;
	uint32_t n;
	const struct ipaddr *src = udp_group_sources(&k->s->dg.udp, group, ifindex, &include, &n);

	_Static_assert(sizeof(a->payload) == CHAN_MC_SOURCES * sizeof(*src), "as many as there is room for");
	if (!src)
		return -EADDRNOTAVAIL;
	n = first < n ? min_u32(n - (uint32_t)first, CHAN_MC_SOURCES) : 0;
	if (n)
		memcpy(a->payload, src + first, n * sizeof(*src));
	a->len = n * (uint32_t)sizeof(*src);
	return include ? CHAN_FILTER_INCLUDE : CHAN_FILTER_EXCLUDE;
}

/* Linux: whoever names no interface means the one by which it is in the IPv6 group. 0: no such interface. */
static uint32_t mcast_interface(const struct call *k, uint32_t ifindex)
{
	const struct ipaddr *group = &k->req.remote.addr;
	struct sock_env *env = k->cw->env;
	uint32_t joined = ifindex || ipaddr_is_v4(group) ? 0 : udp_group_interface(&k->s->dg.udp, group);

	return joined ? joined : env->host->find_interface(env->host_arg, ifindex, NULL, group);
}

int sock_dgram_mcast(struct call *k)
{
	struct sock_env *env = k->cw->env;
	const struct ipaddr *group = &k->req.remote.addr, *source = &k->req.local.addr;
	uint64_t op = k->req.arg[0];

	if (op < CHAN_MC_JOIN || op > CHAN_MC_READ || !ipaddr_is_multicast(group) ||
	    (k->req.arg[1] > UINT32_MAX && op != CHAN_MC_READ))
		return -EINVAL;
	uint32_t ifindex = mcast_interface(k, (uint32_t)k->req.arg[1]);
	if (!ifindex)
		return -ENODEV;
	if (op == CHAN_MC_READ)
		return mcast_read(k, group, ifindex);
	struct chan_call_a *a = &k->cw->client->call_a[k->slot];
	memcpy(a->payload, &ifindex, sizeof(ifindex));
	a->len = sizeof(ifindex);
	return udp_group_op(&env->udp, &k->s->dg.udp, (enum udp_group_op)op, group, source, ifindex);
}

uint32_t sock_dgram_info(struct sock *s, void *payload)
{
	/* The order is SK_MEMINFO_*: rmem, rcvbuf, wmem, sndbuf, fwd, queued, optmem, backlog, drops. */
	uint32_t v[9] = { 0 };
	const struct sock_env *env = s->cw->env;

	sock_take_rx(s);
	/* What others have been told of the path holds for this one, and may have become too old. */
	if (udp_is_connected(&s->dg.udp))
		s->a->path_mtu = env->host->path_mtu(env->host_arg, &s->a->remote);
	v[0] = s->dg.rmem;
	v[1] = s->dg.rcvbuf;
	v[2] = v[5] = s->tx_tail - s->tx_una;
	v[3] = 2 * s->a->sndbuf;
	v[8] = s->dg.drops;
	memcpy(payload, v, sizeof(v));
	return sizeof(v);
}
