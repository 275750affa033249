/* Reassembly. A datagram keeps its fragments as blocks of bytes in order of their offsets; it is
 * complete when the last one is there and as many bytes have come as it ends at, because blocks
 * never overlap. Memory is bounded in total and per source address; the oldest datagram gives way. */
// SPDX-License-Identifier: MIT
#include "stack/net/ip4_frag.h"
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
	uint8_t data[IP4_REASS_BLOCK];
};

struct datagram {
	struct list bucket, age;
	struct list blocks; /* by offset */
	uint64_t dead_ns;
	uint32_t src, dst;
	uint16_t id;
	uint8_t proto;
	bool dropped;	  /* an overlap was seen: swallows what is still to come */
	bool has_first;
	uint8_t ecn;	  /* bits: one per codepoint that a fragment has had */
	struct ip4 first; /* header of the fragment at offset 0 */
	uint32_t end;	  /* bytes of the whole payload, 0 while the last fragment is missing */
	uint32_t have;	  /* bytes in the blocks */
	uint32_t n_blocks, n_frags;
};

enum { BUCKETS = 256, SOURCES = 256 };

struct ip4_reass {
	struct list bucket[BUCKETS];
	struct list age; /* oldest first; all live equally long, so this is the order of their ends */
	struct pool blocks, datagrams;
	/* Blocks by source, hashed: sources that collide share a limit. */
	uint16_t of_source[SOURCES];
	struct siphash_key key;
	uint8_t whole[IP4_TOTAL_MAX];
};

struct ip4_reass *ip4_reass_new(uint64_t seed, uint64_t now_ns)
{
	struct ip4_reass *r = calloc(1, sizeof(*r));
	struct rng rng;

	if (!r)
		return NULL;
	for (int i = 0; i < BUCKETS; i++)
		list_init(&r->bucket[i]);
	list_init(&r->age);
	pool_init(&r->blocks, sizeof(struct block), 32, IP4_REASS_BLOCKS, &pool_mem_libc);
	pool_init(&r->datagrams, sizeof(struct datagram), 32, IP4_REASS_DATAGRAMS, &pool_mem_libc);
	rng_seed(&rng, seed);
	r->key = (struct siphash_key){ { rng_u64(&rng), rng_u64(&rng) } };
	return r;
}

static uint16_t *source_count(struct ip4_reass *r, uint32_t src)
{
	return &r->of_source[siphash(&r->key, &src, sizeof(src)) % SOURCES];
}

static void drop_blocks(struct ip4_reass *r, struct datagram *d)
{
	struct list *it;

	while ((it = list_pop(&d->blocks)))
		pool_free(&r->blocks, container_of(it, struct block, link));
	*source_count(r, d->src) -= (uint16_t)d->n_blocks;
	d->n_blocks = 0;
}

static void datagram_free(struct ip4_reass *r, struct datagram *d)
{
	drop_blocks(r, d);
	list_del(&d->bucket);
	list_del(&d->age);
	pool_free(&r->datagrams, d);
}

void ip4_reass_free(struct ip4_reass *r)
{
	if (!r)
		return;
	list_for_each_safe(it, tmp, &r->age)
		datagram_free(r, container_of(it, struct datagram, age));
	CHECK(pool_fini(&r->blocks) == 0);
	CHECK(pool_fini(&r->datagrams) == 0);
	free(r);
}

static struct list *bucket_of(struct ip4_reass *r, const struct ip4 *h)
{
	uint32_t k[3] = { h->src, h->dst, (uint32_t)h->id << 8 | h->proto };

	return &r->bucket[siphash(&r->key, k, sizeof(k)) % BUCKETS];
}

/* The oldest datagram, if it is not d itself, makes room. */
static bool evict_oldest(struct ip4_reass *r, const struct datagram *d)
{
	list_for_each(it, &r->age) {
		struct datagram *old = container_of(it, struct datagram, age);

		if (old == d)
			continue;
		STAT_INC(ip4_frag_drop_limit);
		datagram_free(r, old);
		return true;
	}
	return false;
}

static struct datagram *find_or_new(struct ip4_reass *r, const struct ip4 *h, uint64_t now_ns)
{
	struct list *b = bucket_of(r, h);

	list_for_each(it, b) {
		struct datagram *d = container_of(it, struct datagram, bucket);

		if (d->src == h->src && d->dst == h->dst && d->id == h->id && d->proto == h->proto)
			return d;
	}
	if (r->datagrams.live == IP4_REASS_DATAGRAMS)
		evict_oldest(r, NULL);
	struct datagram *d = pool_alloc(&r->datagrams);
	if (!d)
		return NULL;
	*d = (struct datagram){
		.dead_ns = now_ns + IP4_REASS_TIMEOUT_MS * NSEC_PER_MSEC,
		.src = h->src,
		.dst = h->dst,
		.id = h->id,
		.proto = h->proto,
	};
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
static bool end_ok(struct datagram *d, const struct ip4 *h, uint32_t n)
{
	uint32_t end = h->frag_off + n;

	if (d->end)
		return h->more_frags ? end < d->end : end == d->end;
	if (h->more_frags)
		return true;
	if (!list_empty(&d->blocks)) {
		const struct block *b = container_of(d->blocks.prev, struct block, link);

		if (b->off + b->len > h->frag_off)
			return false;
	}
	d->end = end;
	return true;
}

static bool store(struct ip4_reass *r, struct datagram *d, uint32_t off, const uint8_t *p,
		  uint32_t n, struct list *prev)
{
	uint32_t need = (n + IP4_REASS_BLOCK - 1) / IP4_REASS_BLOCK;
	uint16_t *used = source_count(r, d->src);
	bool first = true;

	if (*used + need > IP4_REASS_SOURCE_BLOCKS || d->n_frags == IP4_REASS_FRAGS)
		return false;
	while (r->blocks.live + need > IP4_REASS_BLOCKS) {
		if (!evict_oldest(r, d))
			return false;
	}
	if (pool_reserve(&r->blocks, min_u32(r->blocks.live + need, IP4_REASS_BLOCKS)) < 0)
		return false;
	d->n_frags++;
	d->have += n;
	for (uint32_t done = 0; done < n; first = false) {
		struct block *b = pool_alloc(&r->blocks);
		uint32_t take = min_u32(n - done, IP4_REASS_BLOCK);

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
static bool ecn_ok(struct datagram *d)
{
	enum { NOT_ECT = 1 << 0, CE = 1 << 3 };

	if (d->ecn & NOT_ECT && d->ecn != NOT_ECT)
		return false;
	if (d->ecn & CE)
		d->first.tos |= 3;
	return true;
}

/* All is there: one run of bytes, and the header as the sender had it before it was cut. */
static void finish(struct ip4_reass *r, struct datagram *d, struct ip4 *h)
{
	list_for_each(it, &d->blocks) {
		const struct block *b = container_of(it, struct block, link);

		memcpy(r->whole + b->off, b->data, b->len);
	}
	*h = d->first;
	h->hdr_len = IP4_HDR_MIN;
	h->total_len = (uint16_t)(d->end + IP4_HDR_MIN);
	h->more_frags = false;
	h->dont_frag = false;
}

bool ip4_reass_input(struct ip4_reass *r, struct ip4 *h, const void *p, uint32_t n,
		     const uint8_t **payload, uint32_t *len, uint64_t now_ns)
{
	struct list *prev;

	STAT_INC(ip4_frag_rx);
	ip4_reass_advance(r, now_ns);
	struct datagram *d = n ? find_or_new(r, h, now_ns) : NULL;
	if (!d) {
		STAT_INC(ip4_frag_drop_limit);
		return false;
	}
	if (d->dropped)
		return false;
	enum place place = find_place(d, h->frag_off, n, &prev);
	if (place == PLACE_DUPLICATE)
		return false;
	if (place == PLACE_OVERLAP || !end_ok(d, h, n)) {
		STAT_INC(ip4_frag_drop_overlap);
		drop_blocks(r, d);
		d->dropped = true;
		return false;
	}
	if (!store(r, d, h->frag_off, p, n, prev)) {
		STAT_INC(ip4_frag_drop_limit);
		datagram_free(r, d);
		return false;
	}
	d->ecn |= (uint8_t)(1 << (h->tos & 3));
	if (h->frag_off == 0) {
		d->first = *h;
		d->has_first = true;
	}
	if (!d->end || d->have != d->end || !d->has_first)
		return false;
	bool ok = ecn_ok(d);
	if (ok) {
		*len = d->end;
		*payload = r->whole;
		finish(r, d, h);
		STAT_INC(ip4_frag_ok);
	} else {
		STAT_INC(ip4_frag_drop_limit);
	}
	datagram_free(r, d);
	return ok;
}

void ip4_reass_advance(struct ip4_reass *r, uint64_t now_ns)
{
	list_for_each_safe(it, tmp, &r->age) {
		struct datagram *d = container_of(it, struct datagram, age);

		if (d->dead_ns > now_ns)
			break;
		if (!d->dropped)
			STAT_INC(ip4_frag_drop_timeout);
		datagram_free(r, d);
	}
}

uint64_t ip4_reass_next_ns(const struct ip4_reass *r)
{
	if (list_empty(&r->age))
		return UINT64_MAX;
	return container_of(r->age.next, struct datagram, age)->dead_ns;
}

uint32_t ip4_reass_blocks(const struct ip4_reass *r) { return r->blocks.live; }
uint32_t ip4_reass_datagrams(const struct ip4_reass *r) { return r->datagrams.live; }
