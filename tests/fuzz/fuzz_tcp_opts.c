/* Fuzz target: the input is a TCP option list, and the same bytes once more as a whole segment. */
// SPDX-License-Identifier: MIT
#include "stack/base/bug.h"
#include "stack/base/util.h"
#include "stack/wire/tcp.h"
#include "stack/wire/tcp_opts.h"
#include "tests/fuzz/fuzz.h"

static void walk(const uint8_t *p, uint32_t n)
{
	struct tcp_opts_it it = tcp_opts_begin(p, n);
	const uint8_t *last = p;
	struct tcp_opt opt;

	while (tcp_opts_next(&it, &opt)) {
		CHECK(opt.data >= last + 2 && opt.data + opt.len <= p + n);
		CHECK(opt.kind != TCPO_END && opt.kind != TCPO_NOP);
		last = opt.data + opt.len;
	}
	CHECK(!tcp_opts_next(&it, &opt));
}

/* What was parsed and emitted again must parse to the same options. */
static void round_trip(const uint8_t *p, uint32_t n)
{
	uint8_t b[TCP_HDR_MAX];
	struct tcp_seg s, again;
	char text[300];
	int hdr_len = tcp_seg_parse(&s, p, n);

	if (hdr_len < 0)
		return;
	CHECK(hdr_len >= 20 && hdr_len <= TCP_HDR_MAX && (uint32_t)hdr_len + s.len == n);
	CHECK(s.n_sack <= TCP_SACK_MAX && s.wscale <= 14);
	CHECK(tcp_seg_show(&s, text, sizeof(text)) < (int)sizeof(text) - 1);
	uint32_t out = tcp_seg_emit(&s, b);
	CHECK(out == tcp_seg_hdr_len(&s) && out <= TCP_HDR_MAX);
	CHECK(tcp_seg_parse(&again, b, out) == (int)out);
	CHECK(again.has_mss == s.has_mss && again.has_ts == s.has_ts && again.mss == s.mss);
	CHECK(again.has_wscale == s.has_wscale && again.wscale == s.wscale);
	CHECK(again.sack_ok == s.sack_ok && again.tsval == s.tsval && again.tsecr == s.tsecr);
	CHECK(again.has_fo == s.has_fo && again.fo.len == s.fo.len && s.fo.len <= TCP_FO_MAX);
	CHECK(again.n_sack <= s.n_sack);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t b[TCP_HDR_MAX] = { 0, 80, 4, 210, [12] = 0xf0, [13] = TCPF_SYN | TCPF_ACK };

	if (n > FUZZ_MAX)
		return 0;
	walk(p, (uint32_t)n);
	round_trip(p, (uint32_t)n);
	if (n)
		memcpy(b + 20, p, min_u64(n, TCP_HDR_MAX - 20));
	round_trip(b, sizeof(b));
	return 0;
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	static const struct tcp_seg segs[] = {
		{ .flags = TCPF_SYN, .has_mss = true, .mss = 1460, .sack_ok = true, .has_ts = true,
		  .tsval = 77, .has_wscale = true, .wscale = 7 },
		{ .flags = TCPF_SYN, .has_fo = true, .fo.len = 8 },
		{ .flags = TCPF_ACK, .has_ts = true, .tsval = 1, .tsecr = 2 },
		{ .flags = TCPF_ACK, .has_ts = true, .n_sack = 3, .sack = { { { 1 }, { 2 } } } },
		{ .flags = TCPF_ACK, .n_sack = 4, .sack = { { { 9 }, { 10 } } } },
	};

	if (i >= 2 * ARRAY_LEN(segs))
		return 0;
	/* Each as a whole segment and as its options alone. */
	uint32_t n = tcp_seg_emit(&segs[i / 2], buf);
	if (i % 2 == 0)
		return n;
	memmove(buf, buf + 20, n - 20);
	return n - 20;
}
