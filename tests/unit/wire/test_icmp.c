/* ICMP messages: echo, errors with their quotes, and quotes that are too short or not IPv4. */
// SPDX-License-Identifier: MIT
#include "stack/wire/icmp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define QUOTE(proto, frag) \
	0x45, 0, 5, 0xdc, 0, 7, (frag) >> 8, (frag) & 0xff, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, \
		0, 2

START_TEST(an_echo_survives_the_wire)
{
	struct icmp_msg m = { .type = ICMP_T_ECHO, .id = 0x1234, .seq = 0x5678 }, back;
	uint8_t b[8 + 5];

	ck_assert_uint_eq(icmp_emit(&m, "hello", 5, b), sizeof(b));
	ck_assert(icmp_csum_ok(b, sizeof(b)));
	ck_assert_mem_eq(b + 8, "hello", 5);
	ck_assert_int_eq(icmp_parse(&back, b, sizeof(b)), ICMP_HDR_LEN);
	ck_assert(back.type == ICMP_T_ECHO && back.id == 0x1234 && back.seq == 0x5678);
	ck_assert(!icmp_is_error(&back));
	b[9] ^= 0x40;
	ck_assert(!icmp_csum_ok(b, sizeof(b)));
}
END_TEST

START_TEST(a_reply_may_be_made_in_place)
{
	uint8_t b[8 + 4] = { 8, 0, 0, 0, 0, 0, 0, 0, 'd', 'a', 't', 'a' };
	struct icmp_msg m = { .type = ICMP_T_ECHO_REPLY, .id = 1, .seq = 2 };

	ck_assert_uint_eq(icmp_emit(&m, b + 8, 4, b), sizeof(b));
	ck_assert(b[0] == ICMP_T_ECHO_REPLY && icmp_csum_ok(b, sizeof(b)));
	ck_assert_mem_eq(b + 8, "data", 4);
}
END_TEST

START_TEST(fragmentation_needed_carries_the_mtu_and_whose_segment_it_was)
{
	const uint8_t quote[] = { QUOTE(6, 0x4000), 0x1f, 0x90, 0xc0, 0, 0, 0, 0, 99 };
	struct icmp_msg m = { .type = ICMP_T_UNREACH, .code = ICMP_C_FRAG_NEEDED, .mtu = 1400 },
			back;
	uint8_t b[8 + sizeof(quote)];

	icmp_emit(&m, quote, sizeof(quote), b);
	ck_assert(icmp_csum_ok(b, sizeof(b)));
	ck_assert_int_eq(icmp_parse(&back, b, sizeof(b)), ICMP_HDR_LEN);
	ck_assert(icmp_is_error(&back) && back.mtu == 1400);
	ck_assert(back.orig.has_ports && back.orig.sport == 8080 && back.orig.dport == 0xc000);
	ck_assert_uint_eq(back.orig.tcp_seq, 99);
	ck_assert(back.orig.ip.src == 0x0a000001 && back.orig.ip.dst == 0x0a000002);
	ck_assert(back.orig.ip.total_len == 1500 && back.orig.ip.dont_frag);
}
END_TEST

START_TEST(a_parameter_problem_points_at_a_byte)
{
	const uint8_t quote[] = { QUOTE(17, 0), 0, 53, 0, 54, 0, 9, 0, 0 };
	struct icmp_msg m = { .type = ICMP_T_PARAM, .ptr = 20 }, back;
	uint8_t b[8 + sizeof(quote)];

	icmp_emit(&m, quote, sizeof(quote), b);
	ck_assert_int_eq(icmp_parse(&back, b, sizeof(b)), ICMP_HDR_LEN);
	ck_assert_uint_eq(back.ptr, 20);
	ck_assert(back.orig.has_ports && back.orig.sport == 53 && back.orig.tcp_seq == 0);
}
END_TEST

static const struct {
	const char *name;
	uint8_t bytes[80];
	uint32_t n;
	int want;
	bool has_ports;
} messages[] = {
	{ "nothing", { 0 }, 0, -EINVAL, false },
	{ "one byte short", { ICMP_T_ECHO }, 7, -EINVAL, false },
	{ "echo without data", { ICMP_T_ECHO }, 8, 8, false },
	{ "unknown type", { 42, 7 }, 8, 8, false },
	{ "unreachable without a quote", { 3, 3 }, 8, -EINVAL, false },
	{ "quote one byte short of a header", { 3, 3, [8] = QUOTE(6, 0) }, 8 + 19, -EINVAL, false },
	{ "quote of a header only, TCP", { 3, 3, [8] = QUOTE(6, 0) }, 8 + 20, -EINVAL, false },
	{ "quote one byte short, TCP", { 3, 3, [8] = QUOTE(6, 0) }, 8 + 27, -EINVAL, false },
	{ "quote one byte short, UDP", { 11, 0, [8] = QUOTE(17, 0) }, 8 + 27, -EINVAL, false },
	{ "quote just long enough", { 3, 3, [8] = QUOTE(6, 0) }, 8 + 28, 8, true },
	{ "quote of another protocol needs no ports",
	  { 3, 2, [8] = QUOTE(1, 0) }, 8 + 20, 8, false },
	{ "quote of a later fragment has no ports",
	  { 3, 3, [8] = QUOTE(6, 100) }, 8 + 28, 8, false },
	{ "quote of a first fragment has ports",
	  { 3, 3, [8] = QUOTE(17, 0x2000) }, 8 + 28, 8, true },
	{ "quote not IPv4", { 3, 3, [8] = 0x65 }, 8 + 28, -EINVAL, false },
	{ "quote with header length 16", { 3, 3, [8] = 0x44, 0, 5, 0 }, 8 + 28, -EINVAL, false },
	{ "quote whose options run out",
	  { 3, 3, [8] = 0x4f, 0, 5, 0, [17] = 6 }, 8 + 59, -EINVAL, false },
	{ "quote whose options leave no ports",
	  { 3, 3, [8] = 0x4f, 0, 5, 0, [17] = 6 }, 8 + 67, -EINVAL, false },
	{ "quote with options and ports",
	  { 3, 3, [8] = 0x4f, 0, 5, 0, [17] = 6 }, 8 + 68, 8, true },
};

START_TEST(every_length_of_a_message_and_its_quote_is_checked)
{
	struct icmp_msg m, noise;
	uint8_t *exact = malloc(messages[_i].n + !messages[_i].n);

	memcpy(exact, messages[_i].bytes, messages[_i].n);
	memset(&noise, 0xa5, sizeof(noise));
	m = noise;
	int got = icmp_parse(&m, exact, messages[_i].n);
	ck_assert_msg(got == messages[_i].want, "%s: %d", messages[_i].name, got);
	if (got < 0)
		ck_assert_msg(memcmp(&m, &noise, sizeof(m)) == 0, "%s: output", messages[_i].name);
	else
		ck_assert_msg(m.orig.has_ports == messages[_i].has_ports, "%s: ports",
			      messages[_i].name);
	free(exact);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("icmp");

	tcase_add_test(tc, an_echo_survives_the_wire);
	tcase_add_test(tc, a_reply_may_be_made_in_place);
	tcase_add_test(tc, fragmentation_needed_carries_the_mtu_and_whose_segment_it_was);
	tcase_add_test(tc, a_parameter_problem_points_at_a_byte);
	tcase_add_loop_test(tc, every_length_of_a_message_and_its_quote_is_checked, 0,
			    ARRAY_LEN(messages));
	return unit_run("wire/icmp", tc);
}
