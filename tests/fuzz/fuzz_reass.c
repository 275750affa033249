/* Fuzz target: the input is a program for IPv4 reassembly behind ip4_input(): fragments in order, out of it,
 * twice, overlapping, torn, raw packets, floods, and time. A model that keeps the fragments alone says
 * what must come out; where a limit has struck, what comes out must still be fragments that went in, laid
 * end to end. Memory stays within its limits, and nothing is left at the end. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/checksum.h"
#include "stack/base/rng.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/ip4.h"
#include "stack/net/ip4_frag.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

enum { KEYS = 16, PIECES = 128, SOURCES = 4, IDS = 4, STEPS = 300, FLOOD_MAX = 1024 };
enum { BODY_MAX = IP4_TOTAL_MAX - IP4_HDR_MIN, PACKET_MAX = IP4_TOTAL_MAX };
#define US 0x0a4d0002u
#define PEER 0x0a4d0010u
#define FLOODER 0x0a4e0000u
#define LIFE_NS (IP4_REASS_TIMEOUT_MS * NSEC_PER_MSEC)

struct piece {
	uint32_t off, n, salt;
	bool last;
	uint8_t ecn;
};
/* A datagram as the model sees it. */
struct key {
	uint32_t src;
	uint16_t id;
	uint8_t proto;
	bool used, live, swallows;
	uint8_t ecn; /* bits: codepoints met */
	uint64_t born_ns;
	uint32_t end, have, n;
	struct piece piece[PIECES];
};

static struct {
	struct ip4_reass *r;
	struct net_env env;
	struct netif nif;
	struct route_table routes;
	struct stats stats;
	uint64_t now;
	uint32_t salt;
	uint16_t flood_id;
	uint32_t floods_left;
	bool mixed;   /* the fragment completed a datagram that is dropped for it */
	bool limited; /* something was evicted or refused: the model does not know what is there */
	struct key key[KEYS];
	struct piece before; /* the fragment before this one */
} f;
static uint8_t packet[PACKET_MAX];

/* ---- the bytes of a fragment tell which one it is ---- */
static const uint8_t *bytes_of(uint32_t salt)
{
	static uint8_t noise[2 << 16];
	struct rng r;

	if (!noise[0]) {
		rng_seed(&r, 1);
		for (uint32_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)rng_u64(&r);
		noise[0] |= 1;
	}
	return noise + (uint16_t)(salt * 40503);
}

static bool is_piece(const uint8_t *at, const struct piece *p)
{
	return memcmp(at, bytes_of(p->salt), p->n) == 0;
}

/* ---- the model ---- */
static void forget(struct key *k)
{
	k->live = k->swallows = false;
	k->end = k->have = k->n = k->ecn = 0;
}

/* NULL: too many to follow. */
static struct key *key_of(const struct ip4 *h)
{
	struct key *free_one = NULL;

	for (struct key *k = f.key; k < f.key + KEYS; k++) {
		if (!k->used)
			free_one = free_one ? free_one : k;
		else if (k->src == h->src && k->id == h->id && k->proto == h->proto)
			return k;
	}
	if (free_one) {
		*free_one = (struct key){ .used = true };
		free_one->src = h->src;
		free_one->id = h->id;
		free_one->proto = h->proto;
	}
	return free_one;
}

static bool fits(const struct key *k, const struct piece *p)
{
	uint32_t end = p->off + p->n;

	for (uint32_t i = 0; i < k->n; i++) {
		const struct piece *q = &k->piece[i];

		if (q->off < end && p->off < q->off + q->n)
			return false;
		if (p->last && q->off + q->n > p->off)
			return false;
	}
	if (!k->end)
		return true;
	return p->last ? end == k->end : end < k->end;
}

static bool is_repeated(const struct key *k, const struct piece *p)
{
	for (uint32_t i = 0; i < k->n; i++) {
		if (k->piece[i].off == p->off && k->piece[i].n == p->n)
			return true;
	}
	return false;
}

/* True: now the datagram is whole. */
static bool model_input(struct key *k, const struct piece *p)
{
	if (k->live && k->born_ns + LIFE_NS <= f.now)
		forget(k);
	if (!k->live) {
		k->live = true;
		k->born_ns = f.now;
	}
	if (k->swallows || is_repeated(k, p))
		return false;
	if (!fits(k, p)) {
		k->swallows = true;
		return false;
	}
	if (k->n < PIECES)
		k->piece[k->n++] = *p;
	else
		f.limited = true; /* of the model */
	k->have += p->n;
	k->ecn |= (uint8_t)(1 << p->ecn);
	if (p->last)
		k->end = p->off + p->n;
	if (!k->end || k->have != k->end)
		return false;
	if (k->ecn == 1 || !(k->ecn & 1)) /* RFC 3168 5.3 */
		return true;
	f.mixed = true;
	forget(k);
	return false;
}

/* Fragments that the model was given, end to end: the longest that matches is the right one. */
static void must_be_pieces(const struct key *k, const uint8_t *p, uint32_t len)
{
	uint32_t at = 0;

	while (at < len) {
		const struct piece *best = NULL;

		for (uint32_t i = 0; i < k->n; i++) {
			const struct piece *q = &k->piece[i];

			if (q->off == at && at + q->n <= len && (!best || q->n > best->n) &&
			    q->last == (at + q->n == len) && is_piece(p + at, q))
				best = q;
		}
		CHECK(best);
		at += best->n;
	}
}

/* Where a limit has struck the model keeps all it was given since the last datagram. */
static void note_anyway(struct key *k, const struct piece *p)
{
	if (k->n == PIECES) {
		memmove(&k->piece[0], &k->piece[1], sizeof(k->piece) - sizeof(k->piece[0]));
		k->n--;
	}
	k->piece[k->n++] = *p;
}

/* ---- one packet ---- */
static void bounded(void)
{
	uint32_t blocks = ip4_reass_blocks(f.r), datagrams = ip4_reass_datagrams(f.r);
	uint64_t next = ip4_reass_next_ns(f.r);

	CHECK(blocks <= IP4_REASS_BLOCKS && datagrams <= IP4_REASS_DATAGRAMS);
	CHECK(datagrams || !blocks);
	CHECK((next == UINT64_MAX) == (datagrams == 0));
	CHECK(next == UINT64_MAX || next <= f.now + LIFE_NS);
}

static void came_out(struct key *k, const struct ip4 *h, const uint8_t *p, uint32_t len)
{
	CHECK(!ip4_is_fragment(h) && h->hdr_len == IP4_HDR_MIN && h->total_len == len + IP4_HDR_MIN);
	CHECK(len > 0 && len <= BODY_MAX && h->dst == US);
	if (!k || k->n == PIECES)
		return;
	if (!f.limited && k->ecn & 8)
		CHECK((h->tos & 3) == 3);
	CHECK(h->src == k->src && h->id == k->id && h->proto == k->proto);
	must_be_pieces(k, p, len);
}

/* n bytes at p, in a buffer of exactly that size. salt 0: not from bytes_of(). */
static void give(const uint8_t *p, uint32_t n, uint32_t salt)
{
	uint8_t *exact = malloc(n + !n);
	struct ip4_in in;
	const uint8_t *whole = NULL;
	uint32_t len = 0;

	memcpy(exact, p, n);
	if (ip4_input(&f.env, &f.nif, exact, n, PKT_CSUM_UNKNOWN, true, &in) < 0 ||
	    !ip4_is_fragment(&in.h)) {
		free(exact);
		return;
	}
	CHECK(in.len > 0 && in.h.frag_off + in.len <= BODY_MAX);
	const struct piece piece = { in.h.frag_off, in.len, salt, !in.h.more_frags, in.h.tos & 3 };
	struct key *k = salt ? key_of(&in.h) : NULL;
	if (!k) /* it may be part of one that is followed */
		f.limited = true;
	uint64_t limit = f.stats.v[STAT_ip4_frag_drop_limit];
	f.mixed = false;
	bool expected = k && !f.limited && model_input(k, &piece);
	bool out = ip4_reass_input(f.r, &in.h, in.payload, in.len, &whole, &len, f.now);
	if (f.stats.v[STAT_ip4_frag_drop_limit] != limit + f.mixed)
		f.limited = true;
	else if (!f.limited)
		CHECK(out == expected);
	if (k && f.limited)
		note_anyway(k, &piece);
	if (out) {
		if (salt)
			came_out(k, &in.h, whole, len);
		if (k)
			forget(k);
	}
	free(exact);
	bounded();
}

static void fragment(uint32_t src, uint16_t id, const struct piece *p)
{
	struct ip4 h = { .src = src, .dst = US, .id = id, .proto = id & 1 ? IP_PROTO_UDP : IP_PROTO_TCP,
			 .ttl = 64, .tos = p->ecn, .total_len = (uint16_t)(IP4_HDR_MIN + p->n),
			 .frag_off = (uint16_t)p->off, .more_frags = !p->last };

	ip4_emit(&h, packet, IP4_CSUM_FILL);
	memcpy(packet + IP4_HDR_MIN, bytes_of(p->salt), p->n);
	give(packet, IP4_HDR_MIN + p->n, p->salt);
}

/* ---- what happens ---- */
static uint32_t length_in(struct input *in, uint32_t how)
{
	switch (how & 3) {
	case 0:
		return 8 * (1 + u8(in) % 32u);
	case 1:
		return 1480;
	case 2:
		return 8 * (1 + u16(in) % 1100u);
	default:
		return 1 + u16(in) % BODY_MAX;
	}
}

/* Where the last fragment of the same datagram ended. */
static uint32_t next_of(uint32_t src, uint16_t id)
{
	for (struct key *k = f.key; k < f.key + KEYS; k++) {
		if (k->used && k->src == src && k->id == id && k->n)
			return k->piece[k->n - 1].off + k->piece[k->n - 1].n;
	}
	return 0;
}

static void fragment_in(struct input *in, uint32_t which)
{
	uint32_t how = u8(in), src = PEER + which % SOURCES;
	uint16_t id = (uint16_t)(which / SOURCES % IDS);
	struct piece p = { .salt = ++f.salt, .last = how & 4, .n = length_in(in, how) };

	p.ecn = which / (SOURCES * IDS) & 3;
	switch (how >> 3 & 3) {
	case 0:
		p.off = next_of(src, id);
		break;
	case 1:
		p.off = 8u * u8(in);
		break;
	case 2:
		p.off = 8 * (u16(in) % 8192u);
		break;
	default:
		p.off = f.before.off;
		if (how & 32)
			p.n = f.before.n;
		if (how & 64)
			p.last = f.before.last;
		break;
	}
	p.off &= ~7u;
	if (!p.last && !(how & 128)) /* else it is torn */
		p.n = max_u32(p.n & ~7u, 8);
	p.n = min_u32(p.n, BODY_MAX);
	if (!(how & 128) && p.off + p.n > BODY_MAX)
		p.off = 0;
	f.before = p;
	fragment(src, id, &p);
}

/* Many first halves, of one source or of one each. They are not followed. */
static void flood(struct input *in)
{
	uint32_t how = u8(in), n = min_u32(1 + u8(in) * 2u, f.floods_left), len = 8 * (1 + u8(in) * 8u);
	const uint8_t *whole;

	f.floods_left -= n;
	f.limited = true;
	for (; n; n--) {
		struct ip4 h = { .src = FLOODER + (how & 1 ? n : 0), .dst = US, .id = f.flood_id++,
				 .proto = IP_PROTO_UDP, .hdr_len = IP4_HDR_MIN, .more_frags = true,
				 .total_len = (uint16_t)(IP4_HDR_MIN + len) };

		CHECK(!ip4_reass_input(f.r, &h, packet, len, &whole, &len, f.now));
	}
	bounded();
}

static void raw_in(struct input *in)
{
	uint32_t want = u8(in), n = min_u32(want, (uint32_t)(in->end - in->p));
	struct ip4 h;

	memcpy(packet, in->p, n);
	in->p += n;
	int hdr_len = ip4_parse(&h, packet, n);
	if (hdr_len > 0) {
		packet[10] = packet[11] = 0;
		uint16_t c = csum_fold(csum_add(0, packet, (size_t)hdr_len));
		memcpy(packet + 10, &c, 2);
	}
	give(packet, n, 0);
}

static void after(struct input *in)
{
	f.now += (uint64_t)1 << u8(in) % 36;
	ip4_reass_advance(f.r, f.now);
	bounded();
	CHECK(ip4_reass_next_ns(f.r) > f.now);
}

static void start(void)
{
	memset(&f, 0, sizeof(f));
	stats_this_thread = &f.stats;
	f.now = 1000 * NSEC_PER_SEC;
	f.flood_id = 1000;
	f.floods_left = FLOOD_MAX;
	f.nif = (struct netif){ .name = "fuzz0", .mtu = 1500, .n_addrs = 1, .ifindex = 2 };
	f.nif.addr[0] = (struct netif_addr){ ipaddr_v4(US), 120 };
	route_init(&f.routes);
	CHECK(route_add_netif(&f.routes, &f.nif) == 0);
	f.env = (struct net_env){ .routes = &f.routes };
	f.r = ip4_reass_new(1, f.now);
	CHECK(f.r);
}

static void finish(void)
{
	f.now += LIFE_NS;
	ip4_reass_advance(f.r, f.now);
	CHECK(ip4_reass_blocks(f.r) == 0 && ip4_reass_datagrams(f.r) == 0);
	CHECK(ip4_reass_next_ns(f.r) == UINT64_MAX);
	ip4_reass_free(f.r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, p + n };

	if (n > FUZZ_MAX)
		return 0;
	start();
	for (int i = 0; in.p < in.end && i < STEPS; i++) {
		uint8_t op = u8(&in);

		if (op < 200)
			fragment_in(&in, op);
		else if (op < 230)
			after(&in);
		else if (op < 245)
			raw_in(&in);
		else
			flood(&in);
	}
	finish();
	return 0;
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	static const uint8_t in_order[] = { 0, 1, 0, 1, 0, 4, 9 };
	static const uint8_t backwards[] = { 1, 8 | 4, 50, 4, 1, 8, 12, 2, 1, 8, 12, 0 };
	static const uint8_t twice[] = { 5, 1, 5, 25 | 32 | 64, 5, 4 | 1 };
	static const uint8_t overlap[] = { 6, 1, 6, 8 | 1, 20, 6, 4, 7, 6, 1, 200, 35, 6, 1, 6, 4, 3 };
	static const uint8_t torn[] = { 3, 129, 3, 128, 7, 3, 20, 9, 9, 200 };
	static const uint8_t large[] = { 9, 3, 0x80, 0, 9, 7, 0x7f, 0xf0, 9, 3, 0xff, 0xe0, 9, 7, 0, 9 };
	static const uint8_t late[] = { 0, 1, 4, 1, 200, 34, 0, 4, 1, 4, 4, 1, 200, 34, 0, 1, 200, 35 };
	static const uint8_t floods[] = { 0, 1, 245, 0, 127, 8, 0, 4, 1, 245, 1, 254, 255, 245, 1, 255, 0,
					  0, 1, 0, 5 };
	static const uint8_t raw[] = { 230, 29, 0x46, 0, 0, 29, 0, 7, 0x20, 0, 64, 17, 0, 0, 10, 77, 0, 16,
				       10, 77, 0, 2, 1, 1, 1, 0, 1, 2, 3, 4, 5 };
	static const struct { const uint8_t *p; size_t n; } all[] = {
		{ in_order, sizeof(in_order) }, { backwards, sizeof(backwards) },
		{ twice, sizeof(twice) }, { overlap, sizeof(overlap) }, { torn, sizeof(torn) },
		{ large, sizeof(large) }, { late, sizeof(late) }, { floods, sizeof(floods) },
		{ raw, sizeof(raw) },
	};

	if (i >= ARRAY_LEN(all))
		return 0;
	memcpy(buf, all[i].p, all[i].n);
	return all[i].n;
}
