/* A table with short probes: a key is in one of PROBE slots from its hash on, so an entry can go without a
 * mark. Writers (joins, leaves) hold a lock; a reader finds the slot by the tag, a hash of the key, and
 * copies nothing but looks again when the slot's sequence number has changed meanwhile. */
// SPDX-License-Identifier: MIT
#include "stack/net/mcast.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"

enum { PROBE = 16, TRIES = 64 };

struct key {
	struct ipaddr group;
	uint64_t ifindex;
};
/* What all workers together want of a group. */
struct slot {
	_Atomic uint32_t seq; /* odd while it is written */
	_Atomic uint32_t include, n;
	_Atomic uint64_t key[3];
	_Atomic uint64_t src[MCAST_SOURCES][2];
};

struct mcast {
	pthread_spinlock_t lock;
	struct siphash_key hash_key;
	uint32_t n_workers;
	_Atomic uint32_t n_changed;
	uint64_t changed[MCAST_SLOTS / 64];
	_Atomic uint64_t tag[MCAST_SLOTS]; /* 0: free */
	struct slot slot[MCAST_SLOTS];
	struct mcast_state *own; /* [slot * n_workers + worker] */
};

struct mcast *mcast_new(uint32_t n_workers, uint64_t seed)
{
	struct mcast *m = calloc(1, sizeof(*m));
	struct rng rng;

	if (!m)
		return NULL;
	/* calloc leaves the pages of unused slots untouched */
	m->own = calloc((size_t)MCAST_SLOTS * n_workers, sizeof(*m->own));
	if (!m->own) {
		free(m);
		return NULL;
	}
	rng_seed(&rng, seed);
	m->hash_key = (struct siphash_key){ { rng_u64(&rng), rng_u64(&rng) } };
	m->n_workers = n_workers;
	pthread_spin_init(&m->lock, PTHREAD_PROCESS_PRIVATE);
	return m;
}

void mcast_free(struct mcast *m)
{
	if (!m)
		return;
	pthread_spin_destroy(&m->lock);
	free(m->own);
	free(m);
}

bool mcast_is_everybody(const struct ipaddr *group)
{
	static const struct ipaddr node = { .b = { 0xff, 1, [15] = 1 } },
				   link = { .b = { 0xff, 2, [15] = 1 } };

	if (ipaddr_is_v4(group))
		return ipaddr_get_v4(group) == MCAST_ALL_HOSTS;
	return ipaddr_eq(group, &link) || ipaddr_eq(group, &node);
}

static struct key key_of(const struct ipaddr *group, uint32_t ifindex)
{
	return (struct key){ *group, ifindex };
}

/* Of a key, never 0: whoever does not know ours can't make two keys meet. */
static uint64_t tag_of(const struct mcast *m, const struct key *k)
{
	uint64_t h = siphash(&m->hash_key, k, sizeof(*k));

	return h ? h : 1;
}

/* The slot of tag among those that home may have, or with tag 0 a free one; -1: none. */
static int find(const struct mcast *m, uint64_t home, uint64_t tag)
{
	for (uint32_t i = 0; i < PROBE; i++) {
		uint32_t at = ((uint32_t)home + i) % MCAST_SLOTS;

		if (atomic_load_explicit(&m->tag[at], memory_order_acquire) == tag)
			return (int)at;
	}
	return -1;
}

/* ---- reading ---- */
static bool slot_is(const struct slot *s, const struct key *k)
{
	const uint64_t w[3] = { k->group.q[0], k->group.q[1], k->ifindex };
	bool same = true;

	for (int i = 0; i < 3; i++)
		same &= atomic_load_explicit(&s->key[i], memory_order_relaxed) == w[i];
	return same;
}

static bool slot_wants(const struct slot *s, const struct ipaddr *src)
{
	uint32_t n = atomic_load_explicit(&s->n, memory_order_relaxed);
	bool include = atomic_load_explicit(&s->include, memory_order_relaxed), listed = false;

	for (uint32_t i = 0; i < n && i < MCAST_SOURCES && !listed; i++)
		listed = atomic_load_explicit(&s->src[i][0], memory_order_relaxed) == src->q[0] &&
			 atomic_load_explicit(&s->src[i][1], memory_order_relaxed) == src->q[1];
	return listed == include;
}

bool mcast_wants(const struct mcast *m, const struct ipaddr *group, uint32_t ifindex,
		 const struct ipaddr *src)
{
	const struct key key = key_of(group, ifindex);

	if (mcast_is_everybody(group))
		return true;
	uint64_t tag = m ? tag_of(m, &key) : 0;
	int at = m ? find(m, tag, tag) : -1;
	if (at < 0)
		return false;
	for (int i = 0; i < TRIES; i++) {
		uint32_t seq = atomic_load_explicit(&m->slot[at].seq, memory_order_acquire);
		/* Another group's by now: ours has been left. */
		bool wants = slot_is(&m->slot[at], &key) && slot_wants(&m->slot[at], src);

		/* R4: pairs with W4 in write_slot(). */
		atomic_thread_fence(memory_order_acquire);
		if (!(seq & 1) &&
		    atomic_load_explicit(&m->slot[at].seq, memory_order_relaxed) == seq)
			return wants;
		cpu_relax();
	}
	return true; /* in the middle of a long change: the sockets have their own filters */
}

bool mcast_is_joined(const struct mcast *m, const struct ipaddr *group, uint32_t ifindex)
{
	const struct key key = key_of(group, ifindex);

	if (mcast_is_everybody(group))
		return true;
	uint64_t tag = m ? tag_of(m, &key) : 0;
	return m && find(m, tag, tag) >= 0;
}

bool mcast_has_change(const struct mcast *m)
{
	return atomic_load_explicit(&m->n_changed, memory_order_acquire) > 0;
}

/* ---- writing, under the lock ---- */
/* RFC 3376 3.2, as udp_group_state() does for the sockets of one worker. */
static void merge(const struct mcast *m, uint32_t at, struct mcast_state *out)
{
	const struct mcast_state *own = &m->own[(size_t)at * m->n_workers], *blocker = NULL;

	out->n = 0;
	for (uint32_t w = 0; w < m->n_workers; w++) {
		if (!own[w].include)
			blocker = &own[w];
	}
	out->include = !blocker;
	for (uint32_t i = 0; blocker && i < blocker->n; i++) {
		bool by_all = true;

		for (uint32_t w = 0; w < m->n_workers && by_all; w++)
			by_all = mcast_is_listed(&own[w], &blocker->src[i]) != own[w].include;
		if (by_all)
			out->src[out->n++] = blocker->src[i];
	}
	for (uint32_t w = 0; w < m->n_workers && !blocker; w++) {
		for (uint32_t i = 0; i < own[w].n; i++) {
			if (mcast_is_listed(out, &own[w].src[i]))
				continue;
			if (out->n == MCAST_SOURCES) {
				out->include = false;
				out->n = 0;
				return;
			}
			out->src[out->n++] = own[w].src[i];
		}
	}
}

static void write_slot(struct slot *s, const struct key *k, const struct mcast_state *st)
{
	uint32_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
	const uint64_t w[3] = { k->group.q[0], k->group.q[1], k->ifindex };

	atomic_store_explicit(&s->seq, seq + 1, memory_order_relaxed);
	/* W4: who sees part of what follows sees the odd number, or the next even one. */
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < 3; i++)
		atomic_store_explicit(&s->key[i], w[i], memory_order_relaxed);
	atomic_store_explicit(&s->include, st->include, memory_order_relaxed);
	atomic_store_explicit(&s->n, st->n, memory_order_relaxed);
	for (uint32_t i = 0; i < st->n; i++) {
		atomic_store_explicit(&s->src[i][0], st->src[i].q[0], memory_order_relaxed);
		atomic_store_explicit(&s->src[i][1], st->src[i].q[1], memory_order_relaxed);
	}
	atomic_store_explicit(&s->seq, seq + 2, memory_order_release);
}

static void note_change(struct mcast *m, uint32_t at, bool on)
{
	uint64_t bit = 1ull << at % 64;

	if (!(m->changed[at / 64] & bit) == !on)
		return;
	m->changed[at / 64] ^= bit;
	atomic_fetch_add_explicit(&m->n_changed, on ? 1u : -1u, memory_order_release);
}

static int slot_for(struct mcast *m, uint64_t tag)
{
	int at = find(m, tag, tag);

	if (at >= 0)
		return at;
	at = find(m, tag, 0);
	for (uint32_t w = 0; at >= 0 && w < m->n_workers; w++) {
		m->own[(size_t)at * m->n_workers + w].include = true;
		m->own[(size_t)at * m->n_workers + w].n = 0;
	}
	return at;
}

int mcast_set(struct mcast *m, uint32_t worker, const struct ipaddr *group, uint32_t ifindex,
	      const struct mcast_state *s)
{
	const struct key key = key_of(group, ifindex);
	uint64_t tag = tag_of(m, &key);
	struct mcast_state all;

	pthread_spin_lock(&m->lock);
	int at = slot_for(m, tag);
	if (at >= 0) {
		m->own[(size_t)at * m->n_workers + worker] = *s;
		merge(m, (uint32_t)at, &all);
		write_slot(&m->slot[at], &key, &all);
		atomic_store_explicit(&m->tag[at], tag, memory_order_release);
		note_change(m, (uint32_t)at, true);
	}
	pthread_spin_unlock(&m->lock);
	return at < 0 ? -ENOBUFS : 0;
}

/* The entry of a group that nobody wants any more goes when that has been told. */
static void take_change(struct mcast *m, uint32_t at, struct mcast_change *c)
{
	const struct slot *s = &m->slot[at];

	c->group.q[0] = atomic_load_explicit(&s->key[0], memory_order_relaxed);
	c->group.q[1] = atomic_load_explicit(&s->key[1], memory_order_relaxed);
	c->ifindex = (uint32_t)atomic_load_explicit(&s->key[2], memory_order_relaxed);
	merge(m, at, &c->state);
	note_change(m, at, false);
	if (!mcast_is_member(&c->state))
		atomic_store_explicit(&m->tag[at], 0, memory_order_release);
}

bool mcast_next_change(struct mcast *m, struct mcast_change *c)
{
	bool found = false;

	if (!mcast_has_change(m))
		return false;
	pthread_spin_lock(&m->lock);
	for (uint32_t i = 0; i < MCAST_SLOTS / 64 && !found; i++) {
		if (!m->changed[i])
			continue;
		take_change(m, i * 64 + (uint32_t)__builtin_ctzll(m->changed[i]), c);
		found = true;
	}
	pthread_spin_unlock(&m->lock);
	return found;
}
