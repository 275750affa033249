/* A datagram keeps its fragments as blocks of bytes in order of their offsets; it is
 * complete when the last one is there and as many bytes have come as it ends at, because blocks
 * never overlap. Memory is bounded in total and per source address; the oldest datagram gives way. */
// SPDX-License-Identifier: MIT
#include "stack/net/reass.h"
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/list.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"

struct block {
	struct list link;
	uint16_t off, len;
	uint8_t first; /* this block begins a fragment, of frag_len bytes */
	uint8_t pad;
	uint16_t frag_len;
	uint8_t data[REASS_BLOCK];
};

struct datagram {
	struct list bucket, age;
	struct list blocks; /* by offset */
	uint64_t dead_ns;
	struct reass_key key;
	bool dropped;	  /* an overlap was seen: swallows what is still to come */
	bool has_first;
	uint8_t ecn;	  /* bits: one per codepoint that a fragment has had */
	_Alignas(8) uint8_t note[REASS_NOTE_MAX]; /* of the fragment at offset 0 */
	uint32_t end;	  /* bytes of the whole payload, 0 while the last fragment is missing */
	uint32_t have;	  /* bytes in the blocks */
	uint32_t n_blocks, n_frags;
};

enum { BUCKETS = 256, SOURCES = 256, DATA_MAX = 65535 };

struct reass {
	struct list bucket[BUCKETS];
	struct list age; /* oldest first; all live equally long, so this is the order of their ends */
	struct pool blocks, datagrams;
	/* Blocks by source, hashed: sources that collide share a limit. */
	uint16_t of_source[SOURCES];
	struct reass_conf conf;
	struct siphash_key key;
	uint8_t whole[REASS_HEADROOM + DATA_MAX];
	_Alignas(8) uint8_t note[REASS_NOTE_MAX]; /* of the datagram handed out */
};

static void count(const struct reass *r, enum reass_stat what)
{
	stats_this_thread->v[r->conf.stat[what]]++;
}

struct reass *reass_new(const struct reass_conf *conf, uint64_t seed, uint64_t now_ns)
{
	struct reass *r = calloc(1, sizeof(*r));
	struct rng rng;

	if (!r)
		return NULL;
	r->conf = *conf;
	for (int i = 0; i < BUCKETS; i++)
		list_init(&r->bucket[i]);
	list_init(&r->age);
	pool_init(&r->blocks, sizeof(struct block), 32, REASS_BLOCKS, &pool_mem_libc);
	pool_init(&r->datagrams, sizeof(struct datagram), 32, REASS_DATAGRAMS, &pool_mem_libc);
	rng_seed(&rng, seed);
	r->key = (struct siphash_key){ { rng_u64(&rng), rng_u64(&rng) } };
	return r;
}

static uint16_t *source_count(struct reass *r, const struct ipaddr *src)
{
	return &r->of_source[siphash(&r->key, src, sizeof(*src)) % SOURCES];
}

static void drop_blocks(struct reass *r, struct datagram *d)
{
	struct list *it;

	while ((it = list_pop(&d->blocks)))
		pool_free(&r->blocks, container_of(it, struct block, link));
	*source_count(r, &d->key.src) -= (uint16_t)d->n_blocks;
	d->n_blocks = 0;
}

static void datagram_free(struct reass *r, struct datagram *d)
{
	drop_blocks(r, d);
	list_del(&d->bucket);
	list_del(&d->age);
	pool_free(&r->datagrams, d);
}

void reass_free(struct reass *r)
{
	if (!r)
		return;
	list_for_each_safe(it, tmp, &r->age)
		datagram_free(r, container_of(it, struct datagram, age));
	CHECK(pool_fini(&r->blocks) == 0);
	CHECK(pool_fini(&r->datagrams) == 0);
	free(r);
}

static struct list *bucket_of(struct reass *r, const struct reass_key *k)
{
	return &r->bucket[siphash(&r->key, k, sizeof(*k)) % BUCKETS];
}

/* The oldest datagram, if it is not d itself, makes room. */
static bool evict_oldest(struct reass *r, const struct datagram *d)
{
	list_for_each(it, &r->age) {
		struct datagram *old = container_of(it, struct datagram, age);

		if (old == d)
			continue;
		count(r, REASS_LIMIT);
		datagram_free(r, old);
		return true;
	}
	return false;
}

static struct datagram *find_or_new(struct reass *r, const struct reass_key *k, uint64_t now_ns)
{
	struct list *b = bucket_of(r, k);

	list_for_each(it, b) {
		struct datagram *d = container_of(it, struct datagram, bucket);

		if (memcmp(&d->key, k, sizeof(*k)) == 0)
			return d;
	}
	if (r->datagrams.live == REASS_DATAGRAMS)
		evict_oldest(r, NULL);
	struct datagram *d = pool_alloc(&r->datagrams);
	if (!d)
		return NULL;
	*d = (struct datagram){ .dead_ns = now_ns + r->conf.timeout_ms * NSEC_PER_MSEC, .key = *k };
	list_init(&d->blocks);
	list_push(b, &d->bucket);
	list_push(&r->age, &d->age);
	return d;
}

enum place { PLACE_OK, PLACE_DUPLICATE, PLACE_OVERLAP };

/* Where the fragment goes: after *prev. An exact repetition of a fragment is harmless, anything else
 * that overlaps is an attack (RFC 5722, RFC 1858). */
static enum place find_place(struct datagram *d, uint32_t off, uint32_t n, struct list **prev)
{
	struct list *it = d->blocks.prev;

	/* From the end: fragments mostly come in order. */
	for (; it != &d->blocks; it = it->prev) {
		const struct block *b = container_of(it, struct block, link);

		if ((uint32_t)b->off + b->len <= off)
			break;
		if (b->off >= off + n)
			continue;
		while (!b->first)
			b = container_of(b->link.prev, struct block, link);
		return b->off == off && b->frag_len == n ? PLACE_DUPLICATE : PLACE_OVERLAP;
	}
	*prev = it;
	return PLACE_OK;
}

/* The end of the datagram is known from one fragment; all others must agree. */
static bool end_ok(struct datagram *d, const struct reass_frag *f)
{
	uint32_t end = f->off + f->n;

	if (d->end)
		return f->more ? end < d->end : end == d->end;
	if (f->more)
		return true;
	if (!list_empty(&d->blocks)) {
		const struct block *b = container_of(d->blocks.prev, struct block, link);

		if (b->off + b->len > f->off)
			return false;
	}
	d->end = end;
	return true;
}

static bool store(struct reass *r, struct datagram *d, uint32_t off, const uint8_t *p,
		  uint32_t n, struct list *prev)
{
	uint32_t need = (n + REASS_BLOCK - 1) / REASS_BLOCK;
	uint16_t *used = source_count(r, &d->key.src);
	bool first = true;

	if (*used + need > REASS_SOURCE_BLOCKS || d->n_frags == REASS_FRAGS)
		return false;
	while (r->blocks.live + need > REASS_BLOCKS) {
		if (!evict_oldest(r, d))
			return false;
	}
	if (pool_reserve(&r->blocks, min_u32(r->blocks.live + need, REASS_BLOCKS)) < 0)
		return false;
	d->n_frags++;
	d->have += n;
	for (uint32_t done = 0; done < n; first = false) {
		struct block *b = pool_alloc(&r->blocks);
		uint32_t take = min_u32(n - done, REASS_BLOCK);

		CHECK(b);
		b->off = (uint16_t)(off + done);
		b->len = (uint16_t)take;
		b->first = first;
		b->frag_len = (uint16_t)n;
		memcpy(b->data, p + done, take);
		list_push_front(prev, &b->link);
		prev = &b->link;
		done += take;
		d->n_blocks++;
		(*used)++;
	}
	return true;
}

/* RFC 3168 5.3: congestion met by one fragment is met by the datagram, and no sender marks only some of
 * them as capable. As Linux's ip_frag_ecn_table. */
static bool ecn_ok(const struct datagram *d)
{
	enum { NOT_ECT = 1 << 0 };

	return !(d->ecn & NOT_ECT) || d->ecn == NOT_ECT;
}

/* All is there: one run of bytes. */
static void finish(struct reass *r, const struct datagram *d, struct reass_whole *whole)
{
	enum { CE = 1 << 3 };

	list_for_each(it, &d->blocks) {
		const struct block *b = container_of(it, struct block, link);

		memcpy(r->whole + REASS_HEADROOM + b->off, b->data, b->len);
	}
	memcpy(r->note, d->note, sizeof(r->note));
	*whole = (struct reass_whole){ .p = r->whole + REASS_HEADROOM, .len = d->end, .note = r->note,
				       .ce = d->ecn & CE };
}

/* Puts the fragment where it belongs. False: it is of no use. */
static bool take(struct reass *r, struct datagram *d, const struct reass_frag *f)
{
	struct list *prev;
	enum place place = find_place(d, f->off, f->n, &prev);

	if (place == PLACE_DUPLICATE)
		return false;
	if (place == PLACE_OVERLAP || !end_ok(d, f)) {
		count(r, REASS_OVERLAP);
		drop_blocks(r, d);
		d->dropped = true;
		return false;
	}
	if (!store(r, d, f->off, f->p, f->n, prev)) {
		count(r, REASS_LIMIT);
		datagram_free(r, d);
		return false;
	}
	d->ecn |= (uint8_t)(1 << (f->ecn & 3));
	if (f->off == 0) {
		CHECK(f->note_len <= sizeof(d->note));
		memcpy(d->note, f->note, f->note_len);
		d->has_first = true;
	}
	return true;
}

bool reass_input(struct reass *r, const struct reass_frag *f, struct reass_whole *whole,
		 uint64_t now_ns)
{
	count(r, REASS_RX);
	reass_advance(r, now_ns);
	struct datagram *d = f->n && f->off + f->n <= DATA_MAX ? find_or_new(r, &f->key, now_ns) : NULL;
	if (!d) {
		count(r, REASS_LIMIT);
		return false;
	}
	if (d->dropped || !take(r, d, f))
		return false;
	if (!d->end || d->have != d->end || !d->has_first)
		return false;
	bool ok = ecn_ok(d);
	if (ok)
		finish(r, d, whole);
	count(r, ok ? REASS_OK : REASS_LIMIT);
	datagram_free(r, d);
	return ok;
}

static void expire(struct reass *r, struct datagram *d)
{
	if (!d->dropped)
		count(r, REASS_TIMEOUT);
	if (r->conf.expired && d->has_first && !list_empty(&d->blocks)) {
		const struct block *b = container_of(d->blocks.next, struct block, link);

		r->conf.expired(r->conf.arg, d->note, b->data, b->len);
	}
	datagram_free(r, d);
}

void reass_advance(struct reass *r, uint64_t now_ns)
{
	list_for_each_safe(it, tmp, &r->age) {
		struct datagram *d = container_of(it, struct datagram, age);

		if (d->dead_ns > now_ns)
			break;
		expire(r, d);
	}
}

uint64_t reass_next_ns(const struct reass *r)
{
	if (list_empty(&r->age))
		return UINT64_MAX;
	return container_of(r->age.next, struct datagram, age)->dead_ns;
}

uint32_t reass_blocks(const struct reass *r) { return r->blocks.live; }
uint32_t reass_datagrams(const struct reass *r) { return r->datagrams.live; }
