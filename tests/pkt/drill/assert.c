/* Expressions over the members of struct tcp_info: C's operators || && == != < <= > >= + - * / & !
 * and parentheses, numbers and constants. */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "tests/pkt/drill/assert.h"

#define M(name)                                                                                    \
	{                                                                                          \
#name, offsetof(struct tcp_info, name), sizeof(((struct tcp_info *)0)->name)       \
	}
static const struct {
	const char *name;
	size_t off, size;
} members[] = {
	M(tcpi_state),
	M(tcpi_ca_state),
	M(tcpi_retransmits),
	M(tcpi_probes),
	M(tcpi_backoff),
	M(tcpi_options),
	M(tcpi_rto),
	M(tcpi_ato),
	M(tcpi_snd_mss),
	M(tcpi_rcv_mss),
	M(tcpi_unacked),
	M(tcpi_sacked),
	M(tcpi_lost),
	M(tcpi_retrans),
	M(tcpi_fackets),
	M(tcpi_last_data_sent),
	M(tcpi_last_data_recv),
	M(tcpi_last_ack_recv),
	M(tcpi_pmtu),
	M(tcpi_rcv_ssthresh),
	M(tcpi_rtt),
	M(tcpi_rttvar),
	M(tcpi_snd_ssthresh),
	M(tcpi_snd_cwnd),
	M(tcpi_advmss),
	M(tcpi_reordering),
	M(tcpi_rcv_rtt),
	M(tcpi_rcv_space),
	M(tcpi_total_retrans),
	M(tcpi_pacing_rate),
	M(tcpi_bytes_acked),
	M(tcpi_bytes_received),
	M(tcpi_segs_out),
	M(tcpi_segs_in),
	M(tcpi_notsent_bytes),
	M(tcpi_min_rtt),
	M(tcpi_data_segs_in),
	M(tcpi_data_segs_out),
	M(tcpi_busy_time),
	M(tcpi_rwnd_limited),
	M(tcpi_sndbuf_limited),
	M(tcpi_delivered),
	M(tcpi_delivered_ce),
	M(tcpi_bytes_sent),
	M(tcpi_bytes_retrans),
	M(tcpi_dsack_dups),
	M(tcpi_reord_seen),
	M(tcpi_rcv_ooopack),
	M(tcpi_snd_wnd),
};

struct ev {
	struct lex x;
	const uint8_t *info;
	uint32_t len;
	char seen[512]; /* the members looked at, for the message */
};

static int64_t either(struct ev *e);

static int64_t take_member(struct ev *e, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		uint64_t v = 0;
		size_t n = strlen(e->seen);

		if (strcmp(name, members[i].name) != 0)
			continue;
		if (members[i].off + members[i].size > e->len)
			script_fail(e->x.line, "TCP_INFO is too short for %s", name);
		memcpy(&v, e->info + members[i].off, members[i].size);
		snprintf(e->seen + n, sizeof(e->seen) - n, "%s%s = %lld", n ? ", " : "", name,
			 (long long)v);
		return (int64_t)v;
	}
	script_fail(e->x.line, "neither a member of tcp_info nor a constant: %s", name);
}

static int64_t primary(struct ev *e)
{
	char name[48];
	int64_t v;

	if (lex_char(&e->x, '(')) {
		v = either(e);
		lex_want(&e->x, ')');
		return v;
	}
	lex_blank(&e->x);
	if (e->x.p[0] == '!' && e->x.p[1] != '=') {
		e->x.p++;
		return !primary(e);
	}
	if (lex_is_int(&e->x))
		return lex_int(&e->x);
	lex_name(&e->x, name, sizeof(name));
	return name_value(name, &v) ? v : take_member(e, name);
}

static int64_t product(struct ev *e)
{
	int64_t v = primary(e);

	for (;;) {
		if (lex_char(&e->x, '*')) {
			v *= primary(e);
		} else if (lex_char(&e->x, '/')) {
			int64_t d = primary(e);

			v = d ? v / d : 0;
		} else {
			lex_blank(&e->x);
			if (e->x.p[0] != '&' || e->x.p[1] == '&')
				return v;
			e->x.p++;
			v &= primary(e);
		}
	}
}

static int64_t sum_of(struct ev *e)
{
	int64_t v = product(e);

	for (;;) {
		if (lex_char(&e->x, '+'))
			v += product(e);
		else if (lex_char(&e->x, '-'))
			v -= product(e);
		else
			return v;
	}
}

static int64_t compared(struct ev *e)
{
	static const char *const ops[] = {"==", "!=", "<=", ">=", "<", ">"};
	int64_t a = sum_of(e);

	lex_blank(&e->x);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strncmp(e->x.p, ops[i], strlen(ops[i])) != 0)
			continue;
		e->x.p += strlen(ops[i]);
		int64_t b = sum_of(e);
		const bool r[] = {a == b, a != b, a <= b, a >= b, a<b, a> b};

		return r[i];
	}
	return a;
}

static int64_t both(struct ev *e)
{
	int64_t v = compared(e);

	while (lex_word(&e->x, "&&")) {
		int64_t b = compared(e);

		v = v && b;
	}
	return v;
}

static int64_t either(struct ev *e)
{
	int64_t v = both(e);

	while (lex_word(&e->x, "||")) {
		int64_t b = both(e);

		v = v || b;
	}
	return v;
}

void assert_check(const char *text, const uint8_t *info, uint32_t len, int line)
{
	struct ev e = {{text, line}, info, len, ""};

	for (;;) {
		while (lex_char(&e.x, ',') || lex_char(&e.x, ';') || lex_word(&e.x, "assert"))
			;
		lex_blank(&e.x);
		if (!*e.x.p)
			return;
		const char *begin = e.x.p;

		e.seen[0] = 0;
		if (!either(&e))
			script_fail(line, "does not hold: %.*s (%s)", (int)(e.x.p - begin), begin,
				    e.seen);
	}
}
