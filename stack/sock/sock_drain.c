/* Counts what is left, see sock_drain.h. */
// SPDX-License-Identifier: MIT
#include "stack/sock/sock_drain.h"
#include "stack/base/util.h"
#include "stack/sock/client.h"
#include "stack/sock/sock_int.h"

static const uint64_t COOKIE_WAIT_NS = 3 * NSEC_PER_SEC;

static void add(_Atomic uint32_t *to, uint32_t n)
{
	if (n)
		atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

/* A listener, or its proxy on another data thread than its home's. */
static void look_at_listener(const struct listener *l, struct sock_drain *d, uint64_t now_ns)
{
	uint16_t port = l->tl.local.port;
	/* Nobody counts those who have been given a cookie. */
	bool cookies = l->tl.cookie_ns && now_ns - l->tl.cookie_ns < COOKIE_WAIT_NS;

	if (cookies || l->tl.n_synq || l->tl.n_acceptq || l->embryos ||
	    !ports_view_listens(d->theirs, port))
		atomic_store_explicit(&d->busy[port], d->round, memory_order_relaxed);
}

/* Dry is what was idle here, and listened on there, in two whole rounds of all data threads: what the
 * other engine had passed on before it listened itself has arrived in the first, and shows in the second. */
static void set_dry(struct sock *s, struct sock_drain *d)
{
	uint16_t port = s->l->tl.local.port;
	bool moved = ports_view_listens(d->theirs, port);
	uint32_t busy = atomic_load_explicit(&d->busy[port], memory_order_relaxed);
	bool dry = busy + 2 < d->round;

	if (!moved)
		add(&d->listeners, 1);
	else if (!dry)
		add(&d->wet, 1);
	if (dry == !!(s->flags_a & CHAN_A_DRY))
		return;
	sock_set_flag(s, dry ? CHAN_A_DRY : 0, dry ? 0 : CHAN_A_DRY);
	sock_touch(s, true);
}

static void look_at_socket(struct sock *s, struct sock_drain *d)
{
	if (s->l && s->state == CHAN_ST_LISTENING) {
		/* What accept() has taken counts as waiting until we have noticed. */
		if (atomic_load_explicit(&s->b->rx_head, memory_order_relaxed) != s->rx_head)
			sock_accept_taken(s);
		set_dry(s, d);
	}
	if (!s->dgram)
		return;
	uint32_t head = atomic_load_explicit(&s->b->rx_head, memory_order_relaxed);
	add(&d->unread, head != s->rx_tail);
	add(&d->dgrams, s->local.port &&
		!ports_view_used(d->theirs, PORTS_UDP, s->local.port));
}

void sock_drain_look(struct sock_env *env, struct sock_drain *d)
{
	struct list *heads[] = { &env->clients, &env->closing };

	add(&d->conns, env->tcp.n_conns + env->tcp.n_synq + env->tcp.n_timewait);
	for (unsigned h = 0; h < ARRAY_LEN(heads); h++) {
		list_for_each(it, heads[h]) {
			struct client_worker *cw = container_of(it, struct client_worker, link);

			list_for_each(il, &cw->listeners)
				look_at_listener(container_of(il, struct listener, link), d,
						 env->now_ns);
			list_for_each(ip, &cw->proxies)
				look_at_listener(container_of(ip, struct listener, link), d,
						 env->now_ns);
			list_for_each(is, &cw->socks)
				look_at_socket(container_of(is, struct sock, link), d);
		}
	}
}
