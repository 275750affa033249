/* Packets as scripts write them: "P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>". */
// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/drill/script.h"

static const struct {
	const char *type, *code;
	uint8_t t, c;
} icmp_names[] = {
	{"unreachable", "net", 3, 0},
	{"unreachable", "host", 3, 1},
	{"unreachable", "proto", 3, 2},
	{"unreachable", "port", 3, 3},
	{"unreachable", "frag_needed", 3, 4},
	{"unreachable", "srcroute", 3, 5},
	{"unreachable", "net_unknown", 3, 6},
	{"unreachable", "host_unknown", 3, 7},
	{"unreachable", "isolated", 3, 8},
	{"unreachable", "net_prohibited", 3, 9},
	{"unreachable", "host_prohibited", 3, 10},
	{"unreachable", "net_tos", 3, 11},
	{"unreachable", "host_tos", 3, 12},
	{"unreachable", "admin", 3, 13},
	{"time_exceeded", "ttl", 11, 0},
	{"time_exceeded", "reassembly", 11, 1},
	{"source_quench", "", 4, 0},
	{"parameter_problem", "", 12, 0},
	{"redirect", "host", 5, 1},
	{"echo_request", "", 8, 0},
	{"echo_reply", "", 0, 0},
};

static void read_icmp_name(struct lex *x, struct pkt *k)
{
	for (size_t i = 0; i < ARRAY_LEN(icmp_names); i++) {
		struct lex y = *x;

		if (!lex_word(&y, icmp_names[i].type))
			continue;
		if (*icmp_names[i].code && !lex_word(&y, icmp_names[i].code))
			continue;
		k->icmp_type = icmp_names[i].t;
		k->icmp_code = icmp_names[i].c;
		*x = y;
		return;
	}
	script_fail(x->line, "no such ICMP message: \"%s\"", x->p);
}

/* 1:1001(1000) */
static void read_range(struct lex *x, struct pkt *k)
{
	k->seq = (uint32_t)lex_int(x);
	lex_want(x, ':');
	uint32_t end = (uint32_t)lex_int(x);

	lex_want(x, '(');
	k->len = (uint32_t)lex_int(x);
	lex_want(x, ')');
	if (k->seq + k->len != end)
		script_fail(x->line, "%u:%u is not %u bytes", k->seq, end, k->len);
}

static bool read_star(struct lex *x, uint32_t *v)
{
	if (lex_char(x, '*'))
		return true;
	*v = (uint32_t)lex_int(x);
	return false;
}

static void read_bytes(struct lex *x, struct pkt_opt *o)
{
	lex_blank(x);
	for (; isxdigit((unsigned char)x->p[0]) && isxdigit((unsigned char)x->p[1]); x->p += 2) {
		char two[3] = {x->p[0], x->p[1], 0};

		if (o->n == PKT_COOKIE)
			script_fail(x->line, "too many bytes");
		o->bytes[o->n++] = (uint8_t)strtoul(two, NULL, 16);
	}
}

static void read_sack(struct lex *x, struct pkt_opt *o)
{
	o->kind = OPT_SACK;
	while (lex_is_int(x)) {
		if (o->n == PKT_SACKS)
			script_fail(x->line, "more than four SACK blocks");
		o->v[2 * o->n] = (uint32_t)lex_int(x);
		lex_want(x, ':');
		o->v[2 * o->n++ + 1] = (uint32_t)lex_int(x);
	}
}

static void read_option(struct lex *x, struct pkt_opt *o)
{
	*o = (struct pkt_opt){0};
	if (lex_word(x, "nop")) {
		o->kind = OPT_NOP;
	} else if (lex_word(x, "eol")) {
		o->kind = OPT_EOL;
	} else if (lex_word(x, "mss")) {
		o->kind = OPT_MSS;
		o->any = read_star(x, o->v);
	} else if (lex_word(x, "wscale")) {
		o->kind = OPT_WSCALE;
		o->any = read_star(x, o->v);
	} else if (lex_word(x, "sackOK")) {
		o->kind = OPT_SACKOK;
	} else if (lex_word(x, "sack")) {
		read_sack(x, o);
	} else if (lex_word(x, "TS")) {
		o->kind = OPT_TS;
		if (lex_word(x, "val"))
			o->any = read_star(x, &o->v[0]);
		if (lex_word(x, "ecr"))
			o->any_ecr = read_star(x, &o->v[1]);
	} else if (lex_word(x, "FO")) {
		o->kind = OPT_FO;
		if (lex_char(x, '*'))
			o->any = true;
		else
			read_bytes(x, o);
	} else if (lex_word(x, "kind")) {
		o->kind = (uint8_t)lex_int(x);
		if (lex_word(x, "data"))
			read_bytes(x, o);
	} else {
		script_fail(x->line, "no such TCP option: \"%s\"", x->p);
	}
}

static void read_options(struct lex *x, struct pkt *k)
{
	if (!lex_char(x, '<'))
		return;
	if (lex_word(x, "...")) {
		k->any_opts = true;
		lex_want(x, '>');
		return;
	}
	do {
		if (k->n_opts == PKT_OPTS)
			script_fail(x->line, "too many TCP options");
		read_option(x, &k->opt[k->n_opts++]);
	} while (lex_char(x, ','));
	lex_want(x, '>');
}

static void read_flags(struct lex *x, struct pkt *k)
{
	static const struct {
		char c;
		uint8_t bit;
	} flags[] = {
		{'F', PKT_F}, {'S', PKT_S}, {'R', PKT_R}, {'P', PKT_P},
		{'.', PKT_A}, {'U', PKT_U}, {'E', PKT_E}, {'W', PKT_W},
	};

	lex_blank(x);
	if (lex_char(x, '-'))
		return;
	for (; *x->p && !isspace((unsigned char)*x->p); x->p++) {
		size_t i = 0;

		while (i < ARRAY_LEN(flags) && flags[i].c != *x->p)
			i++;
		if (i == ARRAY_LEN(flags))
			script_fail(x->line, "no such TCP flag: \"%s\"", x->p);
		k->flags |= flags[i].bit;
	}
}

static bool read_ecn(struct lex *x, struct pkt *k)
{
	static const char *const names[] = {"[noecn]", "[ect1]", "[ect0]", "[ce]"};

	for (uint8_t i = 0; i < 4; i++) {
		if (!lex_word(x, names[i]))
			continue;
		k->ecn = i;
		return k->has_ecn = true;
	}
	return false;
}

/* What may follow any packet. */
static void read_tail(struct lex *x, struct pkt *k)
{
	for (;;) {
		if (lex_word(x, "frag")) {
			k->frag = (uint16_t)lex_int(x);
			if (k->frag == 0 || k->frag % 8)
				script_fail(x->line, "fragments are of multiples of 8 bytes");
		} else if (lex_word(x, "badcsum")) {
			k->badcsum = true;
		} else if (lex_word(x, "ttl")) {
			k->has_ttl = true;
			k->ttl = (uint8_t)lex_int(x);
		} else if (lex_word(x, "more")) {
			k->more = true;
		} else if (lex_word(x, "df")) {
			k->has_df = true;
			k->df = (uint8_t)lex_int(x);
		} else {
			return;
		}
	}
}

static void read_tcp(struct lex *x, struct pkt *k)
{
	read_flags(x, k);
	read_range(x, k);
	if (lex_word(x, "ack")) {
		k->has_ack = true;
		k->ack = (uint32_t)lex_int(x);
	}
	if (lex_word(x, "win")) {
		k->has_win = true;
		k->win = (uint16_t)lex_int(x);
	}
	if (lex_word(x, "urg"))
		k->urg = (uint16_t)lex_int(x);
	read_options(x, k);
	if (k->has_ack != !!(k->flags & PKT_A))
		script_fail(x->line, "\"ack\" and the flag '.' go together");
}

void read_packet(struct lex *x, struct pkt *k, bool in)
{
	*k = (struct pkt){.proto = PKT_TCP, .flow = 1, .ttl = 64};
	if (lex_char(x, '@')) {
		k->flow = (uint8_t)lex_int(x);
		if (k->flow == 0 || k->flow >= FLOWS)
			script_fail(x->line, "flows are 1 to %d", FLOWS - 1);
	}
	read_ecn(x, k);
	if (lex_word(x, "udp")) {
		k->proto = PKT_UDP;
		lex_want(x, '(');
		k->len = (uint32_t)lex_int(x);
		lex_want(x, ')');
	} else if (lex_char(x, '[')) {
		k->has_quote = true;
		read_range(x, k);
		lex_want(x, ']');
		if (!lex_word(x, "icmp"))
			script_fail(x->line, "\"icmp\" expected");
	}
	if (k->has_quote || lex_word(x, "icmp")) {
		k->proto = PKT_ICMP;
		read_icmp_name(x, k);
		if (lex_word(x, "mtu")) {
			k->has_mtu = true;
			k->mtu = (uint16_t)lex_int(x);
		}
	} else if (k->proto == PKT_TCP) {
		read_tcp(x, k);
	}
	read_tail(x, k);
	if (in && (k->any_opts || (k->frag && k->len == 0)))
		script_fail(x->line, "that can't be sent");
	if (in && k->proto == PKT_TCP && !k->has_win)
		k->win = k->flags & PKT_R ? 0 : 65535;
}
