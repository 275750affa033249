/* For whom a datagram is: one socket by Linux's order of preference, or all who listen to a group or to
 * broadcasts; and for whom an ICMP error is: the socket that would get the peer's datagrams. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/udp/udp_table.h"

/* May s have to do with local at all: port, link and family? An AF_INET6 socket also takes IPv4 unless it
 * said IPV6_V6ONLY (RFC 3493 3.7, 5.3). */
static bool fits_local(const struct udp_sock *s, const struct endpoint *local)
{
	if (s->local.port != local->port || (s->local.scope && s->local.scope != local->scope))
		return false;
	if (ipaddr_is_v4(&local->addr))
		return !(s->v6 && s->v6only);
	return s->v6 && !ipaddr_is_v4(&s->local.addr);
}

/* A connected socket hears its peer only. */
static bool fits_remote(const struct udp_sock *s, const struct endpoint *remote)
{
	if (s->remote.port && s->remote.port != remote->port)
		return false;
	return ipaddr_is_any(&s->remote.addr) || endpoint_same_addr(&s->remote, remote);
}

/* Linux's compute_score() in words: the own family before the other one, and each part of the peer that is
 * given and right counts. -1: not for s. */
static int score_of(const struct udp_sock *s, const struct endpoint *local,
		    const struct endpoint *remote)
{
	if (!fits_local(s, local) || !fits_remote(s, remote))
		return -1;
	int score = s->v6 == !ipaddr_is_v4(&local->addr) ? 2 : 1;
	if (!ipaddr_is_any(&s->remote.addr))
		score += 4;
	if (s->remote.port)
		score += 4;
	return score;
}

/* Sockets that share a port and an address by SO_REUSEPORT; connected ones have left the group. */
static bool in_group_of(const struct udp_sock *s, const struct udp_sock *first)
{
	return s->reuseport && !udp_is_connected(s) && s->v6 == first->v6 &&
	       s->v6only == first->v6only && s->local.port == first->local.port &&
	       endpoint_same_addr(&s->local, &first->local);
}

/* One of the group of first: all datagrams of a peer go to the same one. */
static struct udp_sock *spread(struct udp_env *env, struct udp_sock *first,
			       const struct endpoint *local, const struct endpoint *remote)
{
	const struct list *b = udp_bucket(env, local->port);
	const struct {
		struct ipaddr a, b;
		uint32_t ports;
	} tuple = { local->addr, remote->addr, (uint32_t)local->port << 16 | remote->port };
	uint32_t n = 0;

	list_for_each(it, b)
		n += in_group_of(container_of(it, struct udp_sock, link), first);
	if (n <= 1)
		return first;
	uint64_t hash = (uint32_t)siphash(&env->key, &tuple, sizeof(tuple.a) * 2 + 4);
	uint32_t pick = (uint32_t)(hash * n >> 32);
	list_for_each(it, b) {
		struct udp_sock *s = container_of(it, struct udp_sock, link);

		if (in_group_of(s, first) && pick-- == 0)
			return s;
	}
	return first;
}

/* The best socket bound to this very address (any: to no particular one); the later bound of equals. */
static struct udp_sock *best_of(struct udp_env *env, const struct endpoint *local,
				const struct endpoint *remote, bool any)
{
	struct udp_sock *best = NULL;
	int most = -1;

	list_for_each(it, udp_bucket(env, local->port)) {
		struct udp_sock *s = container_of(it, struct udp_sock, link);

		if (any ? !ipaddr_is_any(&s->local.addr) : !ipaddr_eq(&s->local.addr, &local->addr))
			continue;
		int score = score_of(s, local, remote);
		if (score > most) {
			most = score;
			best = s;
		}
	}
	if (best && best->reuseport && !udp_is_connected(best))
		best = spread(env, best, local, remote);
	return best;
}

static struct udp_sock *find(struct udp_env *env, const struct endpoint *local,
			     const struct endpoint *remote)
{
	struct udp_sock *s = best_of(env, local, remote, false);

	return s ? s : best_of(env, local, remote, true);
}

static uint32_t deliver_all(struct udp_env *env, const struct udp_rx *rx)
{
	uint32_t n = 0;

	list_for_each_safe(it, tmp, udp_bucket(env, rx->to.port)) {
		struct udp_sock *s = container_of(it, struct udp_sock, link);

		if (!fits_local(s, &rx->to) || !fits_remote(s, &rx->from))
			continue;
		if (!ipaddr_is_any(&s->local.addr) && !ipaddr_eq(&s->local.addr, &rx->to.addr))
			continue;
		if (s->local.scope && s->local.scope != rx->ifindex)
			continue;
		if (rx->multicast &&
		    !udp_wants_source(s, &rx->to.addr, &rx->from.addr, rx->ifindex))
			continue;
		env->ops->deliver(env, s, rx);
		n++;
	}
	return n;
}

uint32_t udp_input(struct udp_env *env, const struct udp_rx *rx)
{
	if (rx->multicast || rx->broadcast)
		return deliver_all(env, rx);
	struct udp_sock *s = find(env, &rx->to, &rx->from);
	if (!s)
		return 0;
	env->ops->deliver(env, s, rx);
	return 1;
}

bool udp_knows(struct udp_env *env, const struct endpoint *local, const struct endpoint *remote)
{
	return find(env, local, remote) != NULL;
}

uint32_t udp_icmp_error(struct udp_env *env, const struct udp_error *e)
{
	struct udp_sock *s = find(env, &e->local, &e->remote);

	if (!s)
		return 0;
	env->ops->error(env, s, e);
	return 1;
}
