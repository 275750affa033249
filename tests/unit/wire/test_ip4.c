/* IPv4 headers: damaged ones, fragments, checksum, emit and parse as inverses. */
// SPDX-License-Identifier: MIT
#include "stack/wire/ip4.h"
#include <errno.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define HDR(ver_ihl, total) \
	ver_ihl, 0, (total) >> 8, (total) & 0xff, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2

static const struct {
	const char *name;
	uint8_t bytes[64];
	uint32_t n;
	int want, want_quoted;
} headers[] = {
	{ "nothing", { 0 }, 0, -EINVAL, -EINVAL },
	{ "one byte short", { HDR(0x45, 20) }, 19, -EINVAL, -EINVAL },
	{ "header only", { HDR(0x45, 20) }, 20, 20, 20 },
	{ "with payload", { HDR(0x45, 40) }, 40, 20, 20 },
	{ "with link padding", { HDR(0x45, 21) }, 46, 20, 20 },
	{ "version 6", { HDR(0x65, 40) }, 40, -EINVAL, -EINVAL },
	{ "version 0", { HDR(0x05, 40) }, 40, -EINVAL, -EINVAL },
	{ "header length 0", { HDR(0x40, 40) }, 40, -EINVAL, -EINVAL },
	{ "header length 16", { HDR(0x44, 40) }, 40, -EINVAL, -EINVAL },
	{ "header length beyond the packet", { HDR(0x46, 24) }, 23, -EINVAL, -EINVAL },
	{ "header length beyond the total length", { HDR(0x46, 20) }, 40, -EINVAL, -EINVAL },
	{ "options of 40 bytes", { HDR(0x4f, 60) }, 60, 60, 60 },
	{ "total length 0", { HDR(0x45, 0) }, 40, -EINVAL, -EINVAL },
	{ "total length 19", { HDR(0x45, 19) }, 40, -EINVAL, -EINVAL },
	{ "total length beyond the packet", { HDR(0x45, 41) }, 40, -EINVAL, 20 },
	{ "largest total length", { HDR(0x45, 65535) }, 40, -EINVAL, 20 },
};

START_TEST(a_damaged_header_is_refused_and_leaves_the_output_alone)
{
	struct ip4 h, noise;
	uint8_t *exact = malloc(headers[_i].n + !headers[_i].n);

	memcpy(exact, headers[_i].bytes, headers[_i].n);
	memset(&noise, 0xa5, sizeof(noise));
	h = noise;
	int got = ip4_parse(&h, exact, headers[_i].n);
	ck_assert_msg(got == headers[_i].want, "%s: %d", headers[_i].name, got);
	if (got < 0)
		ck_assert_msg(memcmp(&h, &noise, sizeof(h)) == 0, "%s: output", headers[_i].name);
	int quoted = ip4_parse_quoted(&h, exact, headers[_i].n);
	ck_assert_msg(quoted == headers[_i].want_quoted, "%s: quoted %d", headers[_i].name, quoted);
	free(exact);
}
END_TEST

START_TEST(every_field_arrives_in_host_order)
{
	const uint8_t b[] = { 0x45, 0xb8, 0, 20, 0x12, 0x34, 0x60, 0x03, 63,	17,
			      0,    0,	  10, 77, 0, 2, 192, 168, 1, 254 };
	struct ip4 h;

	ck_assert_int_eq(ip4_parse(&h, b, sizeof(b)), 20);
	ck_assert_uint_eq(h.src, 0x0a4d0002);
	ck_assert_uint_eq(h.dst, 0xc0a801fe);
	ck_assert(h.proto == IP_PROTO_UDP && h.ttl == 63 && h.tos == 0xb8);
	ck_assert(h.hdr_len == 20 && h.total_len == 20 && h.id == 0x1234);
	ck_assert(h.frag_off == 24 && h.more_frags && h.dont_frag && ip4_is_fragment(&h));
}
END_TEST

static const struct {
	const char *name;
	uint16_t frag_off;
	bool more_frags, fragment;
} fragments[] = {
	{ "whole", 0, false, false },
	{ "first", 0, true, true },
	{ "middle", 1480, true, true },
	{ "last", 2960, false, true },
	{ "largest offset", 65528, false, true },
};

START_TEST(fragment_fields_survive_the_wire)
{
	struct ip4 h = { .total_len = 28, .ttl = 1, .frag_off = fragments[_i].frag_off,
			 .more_frags = fragments[_i].more_frags }, back;
	uint8_t b[28] = { 0 };

	ip4_emit(&h, b, IP4_CSUM_FILL);
	ck_assert_int_eq(ip4_parse(&back, b, sizeof(b)), 20);
	ck_assert_msg(back.frag_off == h.frag_off && back.more_frags == h.more_frags, "%s",
		      fragments[_i].name);
	ck_assert_msg(ip4_is_fragment(&back) == fragments[_i].fragment, "%s", fragments[_i].name);
}
END_TEST

START_TEST(the_checksum_is_filled_or_left_to_the_port)
{
	struct ip4 h = {
		.src = 0x0a000001, .dst = 0x0a000002, .proto = 6, .ttl = 64, .total_len = 40
	};
	uint8_t b[20];

	ck_assert_uint_eq(ip4_emit(&h, b, IP4_CSUM_FILL), 20);
	ck_assert(ip4_csum_ok(b, 20));
	for (int bit = 0; bit < 160; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!ip4_csum_ok(b, 20));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ip4_emit(&h, b, IP4_CSUM_ZERO);
	ck_assert(b[10] == 0 && b[11] == 0 && !ip4_csum_ok(b, 20));
}
END_TEST

START_TEST(parsing_gives_back_what_was_emitted)
{
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 20000; round++) {
		struct ip4 h = {
			.src = (uint32_t)rng_u64(&r),
			.dst = (uint32_t)rng_u64(&r),
			.proto = (uint8_t)rng_u64(&r),
			.ttl = (uint8_t)rng_u64(&r),
			.tos = (uint8_t)rng_u64(&r),
			.hdr_len = 20,
			.total_len = (uint16_t)(20 + rng_below(&r, 65516)),
			.id = (uint16_t)rng_u64(&r),
			.frag_off = (uint16_t)(rng_below(&r, 8192) * 8),
			.more_frags = rng_below(&r, 2),
			.dont_frag = rng_below(&r, 2),
		}, back;
		uint8_t b[20];

		ip4_emit(&h, b, IP4_CSUM_FILL);
		memset(&back, 0, sizeof(back));
		ck_assert_int_eq(ip4_parse(&back, b, h.total_len), 20);
		ck_assert(h.src == back.src && h.dst == back.dst && h.proto == back.proto);
		ck_assert(h.ttl == back.ttl && h.tos == back.tos && h.hdr_len == back.hdr_len);
		ck_assert(h.total_len == back.total_len && h.id == back.id);
		ck_assert(h.frag_off == back.frag_off && h.more_frags == back.more_frags);
		ck_assert(h.dont_frag == back.dont_frag && ip4_csum_ok(b, 20));
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ip4");

	tcase_add_loop_test(tc, a_damaged_header_is_refused_and_leaves_the_output_alone, 0,
			    ARRAY_LEN(headers));
	tcase_add_test(tc, every_field_arrives_in_host_order);
	tcase_add_loop_test(tc, fragment_fields_survive_the_wire, 0, ARRAY_LEN(fragments));
	tcase_add_test(tc, the_checksum_is_filled_or_left_to_the_port);
	tcase_add_test(tc, parsing_gives_back_what_was_emitted);
	return unit_run("wire/ip4", tc);
}
