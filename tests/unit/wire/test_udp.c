/* UDP headers: lengths, the checksum that is not there, and the one that would be zero. */
// SPDX-License-Identifier: MIT
#include "stack/wire/udp.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static const struct {
	const char *name;
	uint8_t bytes[16];
	uint32_t n;
	int want;
} headers[] = {
	{ "nothing", { 0 }, 0, -EINVAL },
	{ "one byte short", { 0, 1, 0, 2, 0, 8 }, 7, -EINVAL },
	{ "no payload", { 0, 1, 0, 2, 0, 8 }, 8, 8 },
	{ "payload", { 0, 1, 0, 2, 0, 12 }, 12, 8 },
	{ "padding behind", { 0, 1, 0, 2, 0, 9 }, 16, 8 },
	{ "length 0", { 0, 1, 0, 2, 0, 0 }, 16, -EINVAL },
	{ "length 7", { 0, 1, 0, 2, 0, 7 }, 16, -EINVAL },
	{ "length beyond the packet", { 0, 1, 0, 2, 0, 17 }, 16, -EINVAL },
};

START_TEST(a_length_that_cannot_be_is_refused)
{
	uint8_t *exact = malloc(headers[_i].n + !headers[_i].n);
	struct udp_dgram u;

	memcpy(exact, headers[_i].bytes, headers[_i].n);
	int got = udp_parse(&u, exact, headers[_i].n);
	ck_assert_msg(got == headers[_i].want, "%s: %d", headers[_i].name, got);
	free(exact);
}
END_TEST

START_TEST(a_header_survives_the_wire)
{
	struct udp_dgram u = { .sport = 5353, .dport = 53, .len = 4 }, back;
	uint8_t b[12] = { 0 };

	ck_assert_uint_eq(udp_emit(&u, b), UDP_HDR_LEN);
	ck_assert_int_eq(udp_parse(&back, b, sizeof(b)), UDP_HDR_LEN);
	ck_assert(back.sport == 5353 && back.dport == 53 && back.len == 4 && !back.has_csum);
}
END_TEST

START_TEST(a_checksum_of_zero_is_sent_as_all_ones)
{
	uint8_t b[8] = { 0, 1, 0, 2, 0, 8 };
	struct udp_dgram u;

	udp_store_csum(b, 0);
	ck_assert(b[6] == 0xff && b[7] == 0xff);
	udp_store_csum(b, 0x1234);
	ck_assert_int_eq(udp_parse(&u, b, sizeof(b)), UDP_HDR_LEN);
	ck_assert(u.has_csum && b[6] == 0x34 && b[7] == 0x12);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("udp");

	tcase_add_loop_test(tc, a_length_that_cannot_be_is_refused, 0, ARRAY_LEN(headers));
	tcase_add_test(tc, a_header_survives_the_wire);
	tcase_add_test(tc, a_checksum_of_zero_is_sent_as_all_ones);
	return unit_run("wire/udp", tc);
}
