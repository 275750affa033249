/* IGMP messages: versions told apart, codes with exponents, reports of several records. */
// SPDX-License-Identifier: MIT
#include "stack/wire/igmp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/be.h"
#include "stack/base/checksum.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static void sum(uint8_t *b, uint32_t n)
{
	b[2] = b[3] = 0;
	uint16_t c = csum_fold(csum_add(0, b, n));

	memcpy(b + 2, &c, 2);
}

/* RFC 3376 7.1: the version of a query follows from its length and code. */
static const struct {
	const char *name;
	uint8_t b[20];
	uint32_t n;
	int err;
	struct igmp_msg m;
} rows[] = {
	{ "version 1", { 0x11 }, 8, 0, { .type = 0x11, .version = 1 } },
	{ "version 2", { 0x11, 100, 0, 0, 239, 1, 2, 3 }, 8, 0,
	  { .type = 0x11, .version = 2, .max_resp_ms = 10000, .group = 0xef010203 } },
	{ "between the lengths", { 0x11, 100 }, 10, -EINVAL },
	{ "version 3", { 0x11, 10, 0, 0, 0, 0, 0, 0, 0x0a, 125 }, 12, 0,
	  { .type = 0x11, .version = 3, .max_resp_ms = 1000, .qrv = 2, .qqi_s = 125 } },
	{ "exponents", { 0x11, 0x8f, 0, 0, 0, 0, 0, 0, 7, 0xff }, 12, 0,
	  { .type = 0x11, .version = 3, .max_resp_ms = 24800, .qrv = 7, .qqi_s = 31744 } },
	{ "two sources", { 0x11, 1, 0, 0, 239, 0, 0, 1, 0, 1, 0, 2, 10, 0, 0, 1, 10, 0, 0, 2 }, 20, 0,
	  { .type = 0x11, .version = 3, .max_resp_ms = 100, .group = 0xef000001, .qqi_s = 1,
	    .n_sources = 2 } },
	{ "sources beyond the end", { 0x11, 1, 0, 0, 239, 0, 0, 1, 0, 1, 0, 3, 10 }, 20, -EINVAL },
	{ "a report", { 0x16, 0, 0, 0, 239, 0, 0, 1 }, 8, 0, { .type = 0x16, .group = 0xef000001 } },
	{ "short", { 0x16 }, 7, -EINVAL },
};

START_TEST(messages_parse)
{
	uint8_t b[20];
	struct igmp_msg m;

	memcpy(b, rows[_i].b, sizeof(b));
	sum(b, rows[_i].n);
	ck_assert_msg(igmp_parse(&m, b, rows[_i].n) == rows[_i].err, "%s", rows[_i].name);
	if (rows[_i].err)
		return;
	if (m.n_sources)
		ck_assert_uint_eq(load_be32(m.sources + 4), 0x0a000002);
	const struct igmp_msg *w = &rows[_i].m;

	ck_assert_msg(m.type == w->type && m.version == w->version && m.qrv == w->qrv &&
		      m.max_resp_ms == w->max_resp_ms && m.qqi_s == w->qqi_s &&
		      m.group == w->group && m.n_sources == w->n_sources, "%s", rows[_i].name);
	b[4] ^= 1;
	ck_assert_int_eq(igmp_parse(&m, b, rows[_i].n), -EINVAL);
}
END_TEST

START_TEST(messages_are_written)
{
	static const uint8_t want[] = { 0x16, 0, 0xf8, 0xfa, 0xef, 1, 2, 3 };
	static const uint8_t report[] = {
		0x22, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 2, 0xef, 0, 0, 1, 10, 0, 0, 1, 10, 0, 0, 2,
		4, 0, 0, 0, 0xef, 0, 0, 2,
	};
	const struct ipaddr src[] = { ipaddr_v4(0x0a000001), ipaddr_v4(0x0a000002) };
	const struct ipaddr g1 = ipaddr_v4(0xef000001), g2 = ipaddr_v4(0xef000002);
	struct gmp_report r;
	uint8_t b[32];

	ck_assert_uint_eq(igmp_emit(IGMP_T_REPORT2, 0xef010203, b), 8);
	ck_assert_mem_eq(b, want, 8);
	gmp_report_init(&r, GMP_IP4, b, sizeof(b));
	ck_assert(gmp_report_add(&r, GMP_IS_IN, &g1, src, 2));
	ck_assert(gmp_report_add(&r, GMP_TO_EX, &g2, NULL, 0));
	ck_assert(!gmp_report_add(&r, GMP_TO_EX, &g2, NULL, 0));
	ck_assert_uint_eq(igmp_report_finish(&r), 32);
	ck_assert_uint_eq(csum_fold(csum_add(0, b, 32)), 0);
	b[2] = b[3] = 0;
	ck_assert_mem_eq(b, report, 32);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("igmp");

	tcase_add_loop_test(tc, messages_parse, 0, ARRAY_LEN(rows));
	tcase_add_test(tc, messages_are_written);
	return unit_run("igmp", tc);
}
