/* One entry per (port, address) in a hash table with linked buckets, all of them on one list in order
 * of last use, from whose old end entries are taken when the table is full. Every entry has at most
 * one timer. Addresses are learned only as RFC 826 says: an entry is made when we ask or are asked. */
// SPDX-License-Identifier: MIT
#include "stack/net/neigh.h"
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/list.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/base/wheel.h"

struct neigh {
	struct list bucket, age;
	struct wheel_timer timer;
	struct ipaddr addr;
	struct netif *nif;
	struct eth_addr mac;
	uint8_t state; /* enum neigh_state */
	uint8_t tries; /* requests sent in this state */
	uint8_t n_queued;
	void *queue[NEIGH_QUEUE];  /* oldest first */
	uint64_t updated_ns;	   /* mac was set */
	uint64_t reachable_until_ns;
};

struct neigh_table {
	const struct neigh_ops *ops;
	void *arg;
	struct list *bucket;
	uint32_t mask;
	struct list age; /* least recently used first */
	struct neigh *last; /* the one resolved before: most packets go to the same gateway */
	struct wheel wheel;
	struct pool pool;
	struct rng rng;
	struct siphash_key key;
};

struct neigh_table *neigh_new(uint32_t max, uint64_t seed, const struct neigh_ops *ops, void *arg,
			      uint64_t now_ns)
{
	struct neigh_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	uint32_t n = pow2_ceil(max_u32(max, 16));
	t->bucket = malloc(n * sizeof(*t->bucket));
	if (!t->bucket) {
		free(t);
		return NULL;
	}
	t->mask = n - 1;
	for (uint32_t i = 0; i < n; i++)
		list_init(&t->bucket[i]);
	list_init(&t->age);
	t->ops = ops;
	t->arg = arg;
	wheel_init(&t->wheel, now_ns);
	pool_init(&t->pool, sizeof(struct neigh), 64, max, &pool_mem_libc);
	rng_seed(&t->rng, seed);
	t->key = (struct siphash_key){ { rng_u64(&t->rng), rng_u64(&t->rng) } };
	return t;
}

static void drop_queue(struct neigh_table *t, struct neigh *e, bool unreachable)
{
	for (uint32_t i = 0; i < e->n_queued; i++)
		t->ops->drop(t->arg, e->nif, e->queue[i], unreachable);
	e->n_queued = 0;
}

static void entry_free(struct neigh_table *t, struct neigh *e)
{
	drop_queue(t, e, false);
	if (t->last == e)
		t->last = NULL;
	wheel_disarm(&t->wheel, &e->timer);
	list_del(&e->bucket);
	list_del(&e->age);
	pool_free(&t->pool, e);
}

void neigh_free(struct neigh_table *t)
{
	if (!t)
		return;
	list_for_each_safe(it, tmp, &t->age)
		entry_free(t, container_of(it, struct neigh, age));
	CHECK(t->wheel.armed == 0);
	CHECK(pool_fini(&t->pool) == 0);
	free(t->bucket);
	free(t);
}

static struct list *bucket_of(struct neigh_table *t, const struct netif *nif,
			      const struct ipaddr *addr)
{
	uint64_t k[3] = { addr->q[0], addr->q[1], nif->index };

	return &t->bucket[siphash(&t->key, k, sizeof(k)) & t->mask];
}

static inline bool is_at(const struct neigh *e, const struct netif *nif, const struct ipaddr *addr)
{
	return e->nif == nif && ipaddr_eq(&e->addr, addr);
}

static struct neigh *find(struct neigh_table *t, const struct netif *nif,
			  const struct ipaddr *addr)
{
	struct list *b = bucket_of(t, nif, addr);

	list_for_each(it, b) {
		struct neigh *e = container_of(it, struct neigh, bucket);

		if (is_at(e, nif, addr))
			return e;
	}
	return NULL;
}

static inline bool is_v6(const struct neigh *e) { return !ipaddr_is_v4(&e->addr); }

static void touch(struct neigh_table *t, struct neigh *e)
{
	if (t->age.prev == &e->age)
		return;
	list_del(&e->age);
	list_push(&t->age, &e->age);
}

/* A full table gives up the entry that was used least recently, but rather one that is not in use. */
static void make_room(struct neigh_table *t)
{
	struct neigh *victim = NULL;
	uint32_t looked = 0;

	list_for_each(it, &t->age) {
		struct neigh *e = container_of(it, struct neigh, age);

		if (!victim)
			victim = e;
		if (e->state == NEIGH_FAILED || e->state == NEIGH_STALE) {
			victim = e;
			break;
		}
		if (++looked == 32)
			break;
	}
	if (victim)
		entry_free(t, victim);
}

static struct neigh *entry_new(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr)
{
	if (t->pool.live == t->pool.max)
		make_room(t);
	struct neigh *e = pool_alloc(&t->pool);
	if (!e)
		return NULL;
	*e = (struct neigh){ .addr = *addr, .nif = nif, .state = NEIGH_FAILED };
	wheel_timer_init(&e->timer, 0);
	list_push(bucket_of(t, nif, addr), &e->bucket);
	list_push(&t->age, &e->age);
	return e;
}

static void arm_ms(struct neigh_table *t, struct neigh *e, uint32_t ms, uint64_t now_ns)
{
	wheel_arm(&t->wheel, &e->timer, now_ns + ms * NSEC_PER_MSEC);
}

static void send_queue(struct neigh_table *t, struct neigh *e)
{
	uint32_t n = e->n_queued;

	e->n_queued = 0;
	for (uint32_t i = 0; i < n; i++)
		t->ops->send(t->arg, e->nif, e->queue[i], &e->mac);
}

/* Reachability is known by its time, no timer: the next packet after it makes the entry stale. */
static void set_reachable(struct neigh_table *t, struct neigh *e, uint64_t now_ns)
{
	uint32_t base = is_v6(e) && e->nif->reachable6_ms ? e->nif->reachable6_ms :
							    (uint32_t)NEIGH_REACHABLE_MS;
	uint32_t ms = base / 2 + rng_below(&t->rng, base);

	e->state = NEIGH_REACHABLE;
	e->reachable_until_ns = now_ns + ms * NSEC_PER_MSEC;
	wheel_disarm(&t->wheel, &e->timer);
}

static void ask(struct neigh_table *t, struct neigh *e, uint64_t now_ns)
{
	uint32_t ms = is_v6(e) && e->nif->retrans6_ms ? e->nif->retrans6_ms : (uint32_t)NEIGH_RETRANS_MS;

	for (int i = 0; e->state == NEIGH_UNREACHABLE && i < e->tries; i++)
		ms *= NEIGH_BACKOFF;
	e->tries++;
	arm_ms(t, e, ms, now_ns);
	t->ops->request(t->arg, e->nif, &e->addr, e->state == NEIGH_PROBE ? &e->mac : NULL);
}

/* The oldest packet gives way: it is the one whose sender will repeat it first. */
static void enqueue(struct neigh_table *t, struct neigh *e, void *pkt)
{
	if (!pkt)
		return;
	if (e->n_queued == NEIGH_QUEUE) {
		STAT_INC(neigh_drop_queue);
		t->ops->drop(t->arg, e->nif, e->queue[0], false);
		memmove(&e->queue[0], &e->queue[1], sizeof(e->queue) - sizeof(e->queue[0]));
		e->n_queued--;
	}
	e->queue[e->n_queued++] = pkt;
}

bool neigh_resolve(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr, void *pkt,
		   struct eth_addr *mac, uint64_t now_ns)
{
	struct neigh *e = t->last && is_at(t->last, nif, addr) ? t->last : find(t, nif, addr);

	if (!e)
		e = entry_new(t, nif, addr);
	else
		touch(t, e);
	t->last = e;
	if (unlikely(!e)) {
		STAT_INC(neigh_drop_queue);
		if (pkt)
			t->ops->drop(t->arg, nif, pkt, false);
		return false;
	}
	switch (e->state) {
	case NEIGH_REACHABLE:
		if (likely(now_ns < e->reachable_until_ns))
			break;
		/* fall through */
	case NEIGH_STALE:
		e->state = NEIGH_DELAY; /* RFC 4861 7.3.2 */
		arm_ms(t, e, NEIGH_DELAY_MS, now_ns);
		break;
	case NEIGH_FAILED:
		e->state = NEIGH_INCOMPLETE;
		e->tries = 0;
		enqueue(t, e, pkt);
		ask(t, e, now_ns);
		return false;
	case NEIGH_INCOMPLETE:
		enqueue(t, e, pkt);
		return false;
	}
	*mac = e->mac;
	return true;
}

void neigh_learn(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		 struct eth_addr mac, enum neigh_heard heard, uint64_t now_ns)
{
	struct neigh *e = find(t, nif, addr);

	if (!e && heard == NEIGH_HEARD_REQUEST)
		e = entry_new(t, nif, addr);
	if (!e)
		return;
	bool known = e->state != NEIGH_INCOMPLETE && e->state != NEIGH_FAILED;
	bool changed = known && !eth_addr_eq(e->mac, mac);
	/* As Linux: IPv6 has no such time, RFC 4861 7.2.3 believes the last one. */
	if (changed && ipaddr_is_v4(addr) && now_ns < e->updated_ns + NEIGH_LOCK_MS * NSEC_PER_MSEC)
		return; /* two stations answer for one address: the first one wins */
	if (!known || changed) {
		e->mac = mac;
		e->updated_ns = now_ns;
	}
	if (heard == NEIGH_HEARD_REPLY) {
		set_reachable(t, e, now_ns);
	} else if (!known || changed) {
		e->state = NEIGH_STALE;
		wheel_disarm(&t->wheel, &e->timer);
	}
	send_queue(t, e);
}

/* RFC 4861 7.2.5 */
void neigh_advert(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		  const struct eth_addr *mac, bool solicited, bool override, uint64_t now_ns)
{
	struct neigh *e = find(t, nif, addr);

	if (!e)
		return;
	bool known = e->state != NEIGH_INCOMPLETE && e->state != NEIGH_FAILED;
	bool same = known && (!mac || eth_addr_eq(e->mac, *mac));
	if (!known && !mac)
		return;
	if (known && !same && !override) {
		if (e->state == NEIGH_REACHABLE)
			e->state = NEIGH_STALE;
		return;
	}
	if (!same) {
		e->mac = *mac;
		e->updated_ns = now_ns;
	}
	if (solicited) {
		set_reachable(t, e, now_ns);
	} else if (!same) {
		e->state = NEIGH_STALE;
		wheel_disarm(&t->wheel, &e->timer);
	}
	send_queue(t, e);
}

void neigh_confirm(struct neigh_table *t, struct netif *nif, const struct ipaddr *addr,
		   uint64_t now_ns)
{
	struct neigh *e = find(t, nif, addr);

	if (e && e->state != NEIGH_INCOMPLETE && e->state != NEIGH_FAILED)
		set_reachable(t, e, now_ns);
}

/* RFC 4861 7.3.3: what went to e may find another way. Told once, at the first doubt. */
static void lost(struct neigh_table *t, struct neigh *e)
{
	if (t->ops->lost && is_v6(e))
		t->ops->lost(t->arg, e->nif, &e->addr);
}

/* Nobody answered. The queue is detached first: those who are told may send again. */
static void fail(struct neigh_table *t, struct neigh *e)
{
	void *queue[NEIGH_QUEUE];
	uint32_t n = e->n_queued;
	struct netif *nif = e->nif;

	STAT_INC(neigh_failed);
	memcpy(queue, e->queue, sizeof(queue));
	e->n_queued = 0;
	e->state = NEIGH_FAILED;
	for (uint32_t i = 0; i < n; i++)
		t->ops->drop(t->arg, nif, queue[i], true);
}

static void timer_fired(struct neigh_table *t, struct neigh *e, uint64_t now_ns)
{
	switch (e->state) {
	case NEIGH_DELAY:
		e->state = NEIGH_PROBE;
		e->tries = 0;
		ask(t, e, now_ns);
		break;
	case NEIGH_UNREACHABLE:
		if (e->tries < NEIGH_LAST_TRIES)
			ask(t, e, now_ns);
		else
			fail(t, e);
		break;
	case NEIGH_PROBE:
		if (e->tries >= NEIGH_TRIES && is_v6(e)) {
			/* RFC 7048 3: it may only have moved to another link address. */
			e->state = NEIGH_UNREACHABLE;
			e->tries = 0;
			ask(t, e, now_ns);
			lost(t, e);
			break;
		}
		/* fall through */
	case NEIGH_INCOMPLETE:
		if (e->tries < NEIGH_TRIES) {
			ask(t, e, now_ns);
			break;
		}
		lost(t, e);
		fail(t, e);
		break;
	}
}

void neigh_advance(struct neigh_table *t, uint64_t now_ns)
{
	struct wheel_timer *timer;

	while ((timer = wheel_pop_due(&t->wheel, now_ns)))
		timer_fired(t, container_of(timer, struct neigh, timer), now_ns);
}

uint64_t neigh_next_ns(const struct neigh_table *t) { return wheel_next_ns(&t->wheel); }

uint32_t neigh_count(const struct neigh_table *t) { return t->pool.live; }

uint32_t neigh_rows(const struct neigh_table *t, uint32_t *cursor, struct neigh_row *rows,
		    uint32_t n)
{
	uint32_t at = 0, out = 0;

	list_for_each(it, &t->age) {
		const struct neigh *e = container_of(it, struct neigh, age);

		if (at++ < *cursor)
			continue;
		if (out == n)
			break;
		rows[out++] = (struct neigh_row){
			.addr = e->addr,
			.mac = e->mac,
			.state = e->state,
			.nif = e->nif->index,
			.queued = e->n_queued,
		};
	}
	*cursor += out;
	return out;
}
