/* What UDP has for a datagram socket: datagrams into its receive ring, within sk_rcvbuf as Linux counts, and
 * errors as pending error and as record of the error queue. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <time.h>
#include <linux/errqueue.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

enum { SKB = 256, SHARED = 384, SMALL = 576, PAGED = 768, LINEAR_MAX = 16384, PAGE = 4096 };

/* What a datagram of n bytes costs on Linux (skb->truesize of one that came by loopback, measured with
 * 6.18): the sk_buff and its data with room for headers and skb_shared_info, as kmalloc() rounds it;
 * pages beyond that. Never less than the record takes in the ring. */
static uint32_t truesize(uint32_t n)
{
	uint32_t data = n + SHARED;

	if (data > LINEAR_MAX)
		return PAGED + (uint32_t)align_up(n, PAGE);
	return SKB + (data <= SMALL ? SMALL : pow2_ceil(data));
}

static uint32_t cost_of(const struct chan_dgram *h)
{
	if (!h->gso)
		return truesize(h->len);
	return h->len / h->gso * truesize(h->gso) + (h->len % h->gso ? truesize(h->len % h->gso) : 0);
}

uint32_t sock_dgram_rx_max(const struct sock *s)
{
	return s->dg.rcvbuf + chan_dgram_size(UINT16_MAX);
}

bool sock_dgram_read(struct sock *s, uint32_t from)
{
	struct chan_dgram h;

	while (from != s->rx_head) {
		if (!sock_rx_load(s, from, &h, sizeof(h)) || h.size > s->rx_head - from)
			return false;
		s->dg.rmem -= cost_of(&h);
		from += h.size;
	}
	return true;
}

static void drop(struct sock *s)
{
	STAT_INC(udp_drop_full);
	atomic_store_explicit(&s->a->rx_drops, ++s->dg.drops, memory_order_relaxed);
}

/* An empty queue takes whatever comes. */
static bool fits(const struct sock *s, uint32_t cost)
{
	return s->dg.rmem == 0 || s->dg.rmem + cost <= s->dg.rcvbuf;
}
/* The application's reading is looked at only when that matters. */
static bool has_room(struct sock *s, uint32_t cost)
{
	return fits(s, cost) || (sock_take_rx(s) && fits(s, cost));
}

static bool same_flow(const struct chan_dgram *a, const struct chan_dgram *b)
{
	return a->ttl == b->ttl && a->tos == b->tos && a->flags == b->flags &&
	       a->ifindex == b->ifindex && a->flow == b->flow && a->from.port == b->from.port &&
	       ipaddr_eq(&a->from.addr, &b->from.addr) && a->to.port == b->to.port &&
	       ipaddr_eq(&a->to.addr, &b->to.addr);
}

/* UDP_GRO: into the last record, as long as the application has not been shown it. All but the last of a
 * record have the same size. */
static bool join(struct sock *s, const struct chan_dgram *h, const void *p)
{
	struct dgram *d = &s->dg;
	struct chan_dgram *last = &d->last;
	uint32_t first = last->gso ? last->gso : last->len;

	if (!d->gro_open || (int32_t)(d->last_pos - s->rx_tail) < 0 || h->len == 0 ||
	    h->len > first || last->len + h->len > UINT16_MAX || !same_flow(last, h))
		return false;
	uint32_t at = d->last_pos + (uint32_t)sizeof(*h) + last->len;
	uint32_t size = chan_dgram_size(last->len + h->len);
	if (sock_rx_room(s, d->last_pos + size) < 0 || sock_rx_store(s, at, p, h->len) < 0)
		return false;
	last->gso = (uint16_t)first;
	last->len += h->len;
	last->size = size;
	s->rx_end = d->last_pos + size;
	d->gro_open = h->len == first && ++d->gro_n < DGRAM_GRO_MAX;
	return sock_rx_store(s, d->last_pos, last, sizeof(*last)) == 0;
}

static bool append(struct sock *s, const struct chan_dgram *h, const void *p)
{
	uint32_t pos = s->rx_end;

	if (sock_rx_room(s, pos + h->size) < 0 || sock_rx_store(s, pos, h, sizeof(*h)) < 0 ||
	    sock_rx_store(s, pos + (uint32_t)sizeof(*h), p, h->len) < 0)
		return false;
	s->rx_end = pos + h->size;
	return true;
}

static void deliver(struct udp_env *udp, struct udp_sock *us, const struct udp_rx *rx)
{
	struct sock *s = us->host;
	const struct sock_env *env = s->cw->env;
	bool gro = s->dg.opt_flags & CHAN_O_UDP_GRO;
	struct chan_dgram h = {
		.size = chan_dgram_size(rx->len), .len = rx->len, .ttl = rx->ttl, .tos = rx->tos,
		.flags = (rx->multicast ? CHAN_DG_MULTICAST : 0) |
			 (rx->broadcast ? CHAN_DG_BROADCAST : 0),
		.from = rx->from, .to = rx->to, .ifindex = rx->ifindex, .flow = rx->flow,
		.time_ns = env->host->realtime_ns(env->host_arg),
	};

	if (rx->len > CHAN_DGRAM_MAX || !has_room(s, truesize(rx->len))) {
		drop(s);
		return;
	}
	if (!gro || !join(s, &h, rx->p)) {
		uint32_t pos = s->rx_end;

		if (!append(s, &h, rx->p)) {
			drop(s);
			return;
		}
		if (gro) {
			s->dg.last = h;
			s->dg.last_pos = pos;
			s->dg.gro_n = 1;
		}
		s->dg.gro_open = gro && h.len > 0;
	}
	s->dg.rmem += truesize(rx->len);
	sock_signal(s, SOCK_SIGNAL_IN);
	sock_touch(s, true);
}

/* ---- errors ---- */
void sock_errq_put(struct sock *s, const struct chan_dgram *rec, const void *p)
{
	struct dgram *d = &s->dg;
	struct chan_dgram h = *rec;

	h.size = chan_dgram_size(h.len);
	if (!d->errq && sock_errq_open(s, DGRAM_ERRQ_SIZE) < 0)
		goto full;
	if (!chan_take_pos(&d->errq_head, &s->b->errq_head, d->errq_tail - d->errq_head)) {
		sock_violation(s->cw, "errq_head out of range");
		return;
	}
	if (h.size > DGRAM_ERRQ_SIZE - (d->errq_tail - d->errq_head))
		goto full;
	for (uint32_t part = 0; part < 2; part++) {
		const uint8_t *from = part ? p : (const void *)&h;
		uint32_t n = part ? h.len : (uint32_t)sizeof(h);
		uint32_t at = (d->errq_tail + (part ? (uint32_t)sizeof(h) : 0)) % DGRAM_ERRQ_SIZE;
		uint32_t once = min_u32(n, DGRAM_ERRQ_SIZE - at);

		if (once)
			memcpy(d->errq + at, from, once);
		if (n > once)
			memcpy(d->errq, from + once, n - once);
	}
	d->errq_tail += h.size;
	atomic_store_explicit(&s->a->errq_tail, d->errq_tail, memory_order_release);
	sock_touch(s, true);
	return;
full:
	STAT_INC(udp_drop_errq);
}

/* Linux's __udp4_lib_err(): without IP_RECVERR only hard errors count, and only for a connected socket. */
static void on_error(struct udp_env *udp, struct udp_sock *us, const struct udp_error *e)
{
	struct sock *s = us->host;
	const struct sock_env *env = s->cw->env;
	bool too_big = e->err == EMSGSIZE, v4 = ipaddr_is_v4(&e->remote.addr);
	uint32_t recverr = v4 ? CHAN_O_RECVERR : CHAN_O_RECVERR6;

	if (too_big && udp_is_connected(us) && e->info && e->info < s->a->path_mtu)
		s->a->path_mtu = e->info;
	if (too_big && v4 && s->dg.mtu_disc == 1 /* IP_PMTUDISC_DONT */)
		return;
	if (s->dg.opt_flags & recverr) {
		struct chan_dgram rec = {
			.len = min_u32(e->len, DGRAM_QUOTE_MAX), .err = (uint32_t)e->err,
			.origin = v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6,
			.type = e->type, .code = e->code, .info = e->info,
			.from = { .addr = e->offender }, .to = e->remote,
			.time_ns = env->host->realtime_ns(env->host_arg),
		};

		sock_errq_put(s, &rec, e->p);
	} else if (!udp_is_connected(us) || !(too_big ? v4 || s->dg.mtu_disc6 != 1 : e->hard)) {
		return;
	}
	sock_signal(s, SOCK_SIGNAL_IN); /* Linux: POLL_ERR; a line has that for its end only */
	sock_set_error(s, e->err);
}

static void group_changed(struct udp_env *udp, const struct ipaddr *group, uint32_t ifindex)
{
	const struct sock_env *env = udp->host;

	env->host->group_changed(env->host_arg, group, ifindex);
}

const struct udp_ops sock_udp_ops = {
	.deliver = deliver,
	.error = on_error,
	.group_changed = group_changed,
};
