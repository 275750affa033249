/* TCP headers: damaged ones, options by their RFCs, emit and parse as inverses, the text form. */
// SPDX-License-Identifier: MIT
#include "stack/wire/tcp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

#define HDR(off, flags) 0, 80, 4, 210, 0, 0, 0, 1, 0, 0, 0, 2, (off) << 4, flags, 1, 0, 0, 0, 0, 0

static const struct {
	const char *name;
	uint8_t bytes[64];
	uint32_t n;
	int want;
} headers[] = {
	{ "nothing", { 0 }, 0, -EINVAL },
	{ "one byte short", { HDR(5, TCPF_ACK) }, 19, -EINVAL },
	{ "plain", { HDR(5, TCPF_ACK) }, 20, 20 },
	{ "plain with payload", { HDR(5, TCPF_ACK) }, 30, 20 },
	{ "data offset 0", { HDR(0, TCPF_ACK) }, 60, -EINVAL },
	{ "data offset 4", { HDR(4, TCPF_ACK) }, 60, -EINVAL },
	{ "data offset beyond the packet", { HDR(6, TCPF_ACK) }, 23, -EINVAL },
	{ "data offset 15, all padding", { HDR(15, TCPF_ACK) }, 60, 60 },
	{ "data offset 15, packet one short", { HDR(15, TCPF_ACK) }, 59, -EINVAL },
	{ "option length 0", { HDR(6, TCPF_ACK), 2, 0, 0, 0 }, 24, -EINVAL },
	{ "option length 1", { HDR(6, TCPF_ACK), 8, 1, 0, 0 }, 24, -EINVAL },
	{ "option runs into the payload", { HDR(6, TCPF_ACK), 8, 10 }, 40, -EINVAL },
	{ "kind as last byte", { HDR(6, TCPF_ACK), 1, 1, 1, 2 }, 24, -EINVAL },
	{ "bytes after end of options are not looked at",
	  { HDR(6, TCPF_ACK), 0, 2, 0, 0 }, 24, 24 },
	{ "timestamps as nearly all send them", { HDR(8, TCPF_ACK), 1, 1, 8, 10 }, 32, 32 },
	{ "timestamps whose length runs out", { HDR(7, TCPF_ACK), 1, 1, 8, 10 }, 28, -EINVAL },
};

START_TEST(a_damaged_header_is_refused_and_leaves_the_output_alone)
{
	struct tcp_seg s, noise;
	uint8_t *exact = malloc(headers[_i].n + !headers[_i].n);

	memcpy(exact, headers[_i].bytes, headers[_i].n);
	memset(&noise, 0xa5, sizeof(noise));
	s = noise;
	int got = tcp_seg_parse(&s, exact, headers[_i].n);
	ck_assert_msg(got == headers[_i].want, "%s: %d", headers[_i].name, got);
	if (got < 0)
		ck_assert_msg(memcmp(&s, &noise, sizeof(s)) == 0, "%s: output", headers[_i].name);
	else
		ck_assert_uint_eq(s.len, headers[_i].n - (uint32_t)got);
	free(exact);
}
END_TEST

static struct tcp_seg parse_opts(uint8_t flags, const uint8_t *opts, uint32_t n)
{
	uint8_t b[60] = { HDR(5, 0) };
	struct tcp_seg s;

	memcpy(b + 20, opts, n);
	n = (n + 3) / 4 * 4;
	b[12] = (uint8_t)((5 + n / 4) << 4);
	b[13] = flags;
	ck_assert_int_eq(tcp_seg_parse(&s, b, 20 + n), (int)(20 + n));
	return s;
}
#define PARSE(flags, ...) \
	parse_opts(flags, (const uint8_t[]){ __VA_ARGS__ }, \
		   sizeof((const uint8_t[]){ __VA_ARGS__ }))

START_TEST(fast_open_is_taken_from_a_syn_with_an_even_cookie) /* RFC 7413 4.1.1 */
{
	struct tcp_seg s = PARSE(TCPF_SYN, TCPO_FASTOPEN, 2);
	ck_assert(s.has_fo && s.fo.len == 0);
	s = PARSE(TCPF_SYN, TCPO_FASTOPEN, 6, 1, 2, 3, 4);
	ck_assert(s.has_fo && s.fo.len == 4 && s.fo.b[3] == 4);
	s = PARSE(TCPF_SYN | TCPF_ACK, TCPO_FASTOPEN, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		  12, 13, 14, 15, 16);
	ck_assert(s.has_fo && s.fo.len == 16 && s.fo.b[15] == 16);
	ck_assert(!PARSE(TCPF_ACK, TCPO_FASTOPEN, 6, 1, 2, 3, 4).has_fo);
	ck_assert(!PARSE(TCPF_SYN, TCPO_FASTOPEN, 4, 1, 2).has_fo);
	ck_assert(!PARSE(TCPF_SYN, TCPO_FASTOPEN, 7, 1, 2, 3, 4, 5).has_fo);
	ck_assert(!PARSE(TCPF_SYN, TCPO_FASTOPEN, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
			 14, 15, 16, 17, 18).has_fo);
}
END_TEST

START_TEST(fast_open_fits_beside_all_other_options_of_a_syn)
{
	for (uint8_t len = 0; len <= TCP_FO_MAX; len += len ? 2 : 4) {
		struct tcp_seg s = { .flags = TCPF_SYN, .has_mss = true, .mss = 1460, .has_ts = true,
				     .tsval = 7, .sack_ok = true, .has_wscale = true, .wscale = 3,
				     .has_fo = true, .fo.len = len }, again;
		uint8_t b[TCP_HDR_MAX];

		memset(s.fo.b, 0xc0 + len, len);
		uint32_t n = tcp_seg_emit(&s, b);
		ck_assert_uint_eq(n, tcp_seg_hdr_len(&s));
		ck_assert_uint_le(n, TCP_HDR_MAX);
		ck_assert_int_eq(tcp_seg_parse(&again, b, n), (int)n);
		ck_assert(again.has_fo && again.fo.len == len && again.has_wscale && again.has_ts);
		ck_assert_mem_eq(again.fo.b, s.fo.b, len);
	}
}
END_TEST

START_TEST(every_field_of_the_header_arrives_in_host_order)
{
	const uint8_t b[] = { 0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8,
			      0x50, 0xff, 0xab, 0xcd, 0, 0, 0x11, 0x22, 'x' };
	struct tcp_seg s;

	ck_assert_int_eq(tcp_seg_parse(&s, b, sizeof(b)), 20);
	ck_assert_uint_eq(s.sport, 0x1234);
	ck_assert_uint_eq(s.dport, 0x5678);
	ck_assert_uint_eq(s.seq.v, 0x01020304);
	ck_assert_uint_eq(s.ack.v, 0x05060708);
	ck_assert_uint_eq(s.flags, 0xff);
	ck_assert_uint_eq(s.wnd, 0xabcd);
	ck_assert_uint_eq(s.urg, 0x1122);
	ck_assert_uint_eq(s.len, 1);
	ck_assert(!s.has_mss && !s.has_ts && !s.has_wscale && !s.sack_ok && !s.n_sack);
	ck_assert_uint_eq(tcp_seg_space(&s), 3);
}
END_TEST

START_TEST(the_options_of_a_linux_syn_are_all_understood)
{
	struct tcp_seg s =
		PARSE(TCPF_SYN, 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 9, 1, 3, 3, 7);

	ck_assert(s.has_mss && s.sack_ok && s.has_ts && s.has_wscale);
	ck_assert_uint_eq(s.mss, 1460);
	ck_assert_uint_eq(s.tsval, 256);
	ck_assert_uint_eq(s.tsecr, 9);
	ck_assert_uint_eq(s.wscale, 7);
}
END_TEST

START_TEST(mss_wscale_and_sack_permitted_count_on_a_syn_only)
{
	struct tcp_seg s = PARSE(TCPF_ACK, 2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7);

	ck_assert(!s.has_mss && !s.sack_ok && !s.has_wscale);
}
END_TEST

START_TEST(a_window_scale_above_14_is_taken_as_14)
{
	ck_assert_uint_eq(PARSE(TCPF_SYN, 3, 3, 14, 1).wscale, 14);
	ck_assert_uint_eq(PARSE(TCPF_SYN, 3, 3, 15, 1).wscale, 14);
	ck_assert_uint_eq(PARSE(TCPF_SYN, 3, 3, 255, 1).wscale, 14);
}
END_TEST

START_TEST(a_known_option_of_the_wrong_length_is_ignored)
{
	struct tcp_seg s = PARSE(TCPF_SYN, 2, 3, 5, 3, 4, 7, 7, 4, 3, 0, 8, 9, 1, 2, 3, 4, 5, 6, 7,
				 5, 9, 1, 2, 3, 4, 5, 6, 7);

	ck_assert(!s.has_mss && !s.has_wscale && !s.sack_ok && !s.has_ts);
	ck_assert_uint_eq(s.n_sack, 0);
	ck_assert_uint_eq(PARSE(TCPF_ACK, 5, 2, 1, 1).n_sack, 0);
}
END_TEST

START_TEST(sack_blocks_arrive_in_order_up_to_four)
{
	uint8_t opts[36] = { 1, 1, 5, 34 };

	for (uint8_t i = 0; i < 32; i++)
		opts[4 + i] = i;
	struct tcp_seg s = parse_opts(TCPF_ACK, opts, sizeof(opts));
	ck_assert_uint_eq(s.n_sack, 4);
	ck_assert_uint_eq(s.sack[0].start.v, 0x00010203);
	ck_assert_uint_eq(s.sack[0].end.v, 0x04050607);
	ck_assert_uint_eq(s.sack[3].end.v, 0x1c1d1e1f);
}
END_TEST

/* Compares what has a meaning: fields without their has_ bit are not part of a segment. */
static void check_same(const struct tcp_seg *a, const struct tcp_seg *b)
{
	ck_assert(a->sport == b->sport && a->dport == b->dport && a->flags == b->flags);
	ck_assert(seq_eq(a->seq, b->seq) && seq_eq(a->ack, b->ack));
	ck_assert(a->wnd == b->wnd && a->urg == b->urg);
	ck_assert(a->has_mss == b->has_mss && (!a->has_mss || a->mss == b->mss));
	ck_assert(a->has_wscale == b->has_wscale && (!a->has_wscale || a->wscale == b->wscale));
	ck_assert(a->sack_ok == b->sack_ok && a->has_ts == b->has_ts);
	ck_assert(!a->has_ts || (a->tsval == b->tsval && a->tsecr == b->tsecr));
	ck_assert_uint_eq(a->n_sack, b->n_sack);
	ck_assert_mem_eq(a->sack, b->sack, a->n_sack * sizeof(a->sack[0]));
}

static struct tcp_seg random_seg(struct rng *r)
{
	struct tcp_seg s = {
		.sport = (uint16_t)rng_u64(r),
		.dport = (uint16_t)rng_u64(r),
		.seq = seq_of((uint32_t)rng_u64(r)),
		.ack = seq_of((uint32_t)rng_u64(r)),
		.flags = (uint8_t)rng_u64(r),
		.wnd = (uint16_t)rng_u64(r),
		.urg = (uint16_t)rng_u64(r),
		.tsval = (uint32_t)rng_u64(r),
		.tsecr = (uint32_t)rng_u64(r),
		.mss = (uint16_t)rng_u64(r),
		.wscale = (uint8_t)rng_below(r, 15),
		.has_ts = rng_below(r, 2),
		.n_sack = (uint8_t)rng_below(r, TCP_SACK_MAX + 1),
	};

	if (s.flags & TCPF_SYN) {
		s.has_mss = rng_below(r, 2);
		s.has_wscale = rng_below(r, 2);
		s.sack_ok = rng_below(r, 2);
	}
	for (int i = 0; i < s.n_sack; i++)
		s.sack[i] = (struct tcp_sack_block){ seq_of((uint32_t)rng_u64(r)),
						     seq_of((uint32_t)rng_u64(r)) };
	return s;
}

START_TEST(parsing_gives_back_what_was_emitted)
{
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 20000; round++) {
		struct tcp_seg s = random_seg(&r), back;
		uint8_t b[TCP_HDR_MAX + 8];

		memset(b, 0xee, sizeof(b));
		uint32_t n = tcp_seg_emit(&s, b);
		ck_assert_uint_eq(n, tcp_seg_hdr_len(&s));
		ck_assert(n % 4 == 0 && n <= TCP_HDR_MAX && b[n] == 0xee);
		ck_assert(b[16] == 0 && b[17] == 0);
		ck_assert_int_eq(tcp_seg_parse(&back, b, n), (int)n);
		/* As many blocks as fit: RFC 2018 3. */
		uint32_t room = TCP_HDR_MAX - 20 - (s.has_mss ? 4 : 0) - (s.has_wscale ? 4 : 0) -
				(s.has_ts ? 12 : s.sack_ok ? 4 : 0);
		uint32_t fit = room >= 12 ? (room - 4) / 8 : 0;
		s.n_sack = (uint8_t)min_u32(s.n_sack, fit);
		check_same(&s, &back);
	}
}
END_TEST

START_TEST(a_syn_has_its_options_in_the_documented_order)
{
	const uint8_t want[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7 };
	struct tcp_seg s = { .flags = TCPF_SYN,
			     .has_mss = true,
			     .mss = 1460,
			     .sack_ok = true,
			     .has_ts = true,
			     .tsval = 1,
			     .tsecr = 2,
			     .has_wscale = true,
			     .wscale = 7 };
	uint8_t b[TCP_HDR_MAX];

	ck_assert_uint_eq(tcp_seg_emit(&s, b), 40);
	ck_assert_mem_eq(b + 20, want, sizeof(want));
}
END_TEST

START_TEST(three_sack_blocks_fit_next_to_timestamps_and_four_without)
{
	struct tcp_seg s = { .flags = TCPF_ACK, .n_sack = 4, .has_ts = true };

	ck_assert_uint_eq(tcp_seg_hdr_len(&s), 20 + 12 + 4 + 24);
	s.has_ts = false;
	ck_assert_uint_eq(tcp_seg_hdr_len(&s), 20 + 4 + 32);
}
END_TEST

START_TEST(random_bytes_parse_or_fail_but_never_overrun)
{
	struct rng r;

	rng_seed(&r, unit_seed());
	for (int round = 0; round < 50000; round++) {
		uint32_t n = rng_below(&r, 80);
		uint8_t *b = malloc(n + !n);
		struct tcp_seg s;

		for (uint32_t i = 0; i < n; i++)
			b[i] = (uint8_t)rng_u64(&r) & (i >= 20 && rng_below(&r, 2) ? 0x0b : 0xff);
		int got = tcp_seg_parse(&s, b, n);
		ck_assert(got == -EINVAL || (got >= 20 && got <= 60 && (uint32_t)got + s.len == n));
		if (got > 0)
			ck_assert(s.n_sack <= TCP_SACK_MAX && s.wscale <= 14);
		free(b);
	}
}
END_TEST

static const struct {
	struct tcp_seg seg;
	const char *want;
} texts[] = {
	{ { .flags = TCPF_SYN | TCPF_ACK,
	    .seq = { 1 },
	    .ack = { 2 },
	    .wnd = 65535,
	    .has_mss = true,
	    .mss = 1460,
	    .sack_ok = true,
	    .has_ts = true,
	    .tsval = 5,
	    .tsecr = 6,
	    .has_wscale = true,
	    .wscale = 7 },
	  "S. 1:1(0) ack 2 win 65535 <mss 1460,sackOK,TS val 5 ecr 6,wscale 7>" },
	{ { .flags = TCPF_ACK | TCPF_PSH,
	    .seq = { 0xffffffff },
	    .ack = { 9 },
	    .wnd = 10,
	    .len = 2 },
	  "P. 4294967295:1(2) ack 9 win 10" },
	{ { .flags = TCPF_RST, .seq = { 3 } }, "R 3:3(0) win 0" },
	{ { .flags = 0 }, "none 0:0(0) win 0" },
	{ { .flags = TCPF_FIN | TCPF_ACK | TCPF_URG,
	    .urg = 4,
	    .n_sack = 2,
	    .sack = { { { 1 }, { 2 } }, { { 3 }, { 4 } } } },
	  "FU. 0:0(0) ack 0 win 0 urg 4 <sack 1:2 3:4>" },
};

START_TEST(a_segment_reads_like_tcpdump)
{
	char buf[300];

	tcp_seg_show(&texts[_i].seg, buf, sizeof(buf));
	ck_assert_str_eq(buf, texts[_i].want);
	for (int size = 1; size < 40; size++) {
		memset(buf, 'z', sizeof(buf));
		ck_assert_int_lt(tcp_seg_show(&texts[_i].seg, buf, size), size);
		ck_assert(memchr(buf, 0, (size_t)size) && buf[size] == 'z');
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_damaged_header_is_refused_and_leaves_the_output_alone, 0,
			    ARRAY_LEN(headers));
	tcase_add_test(tc, fast_open_is_taken_from_a_syn_with_an_even_cookie);
	tcase_add_test(tc, fast_open_fits_beside_all_other_options_of_a_syn);
	tcase_add_test(tc, every_field_of_the_header_arrives_in_host_order);
	tcase_add_test(tc, the_options_of_a_linux_syn_are_all_understood);
	tcase_add_test(tc, mss_wscale_and_sack_permitted_count_on_a_syn_only);
	tcase_add_test(tc, a_window_scale_above_14_is_taken_as_14);
	tcase_add_test(tc, a_known_option_of_the_wrong_length_is_ignored);
	tcase_add_test(tc, sack_blocks_arrive_in_order_up_to_four);
	tcase_add_test(tc, parsing_gives_back_what_was_emitted);
	tcase_add_test(tc, a_syn_has_its_options_in_the_documented_order);
	tcase_add_test(tc, three_sack_blocks_fit_next_to_timestamps_and_four_without);
	tcase_add_test(tc, random_bytes_parse_or_fail_but_never_overrun);
	tcase_add_loop_test(tc, a_segment_reads_like_tcpdump, 0, ARRAY_LEN(texts));
	return unit_run("wire/tcp", tc);
}
