/* A packet script as read: a list of events with their times. The notation is described in
 * tests/pkt/scripts/README. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/util.h"
#include "tests/pkt/drill/call.h"

enum {
	SCRIPT_EVENTS = 400,
	SCRIPT_SYSCTLS = 8,
	SCRIPT_TEXT = 2048,
	PKT_OPTS = 12,
	PKT_SACKS = 4,
	PKT_COOKIE = 16,
	FLOWS = 8,
	VAL_ITEMS = 8,
};

/* ---- times ---- */
struct when {
	enum {
		WHEN_AT,
		WHEN_AFTER,
		WHEN_ANY
	} kind;		       /* since the start; since the event before; * */
	uint64_t lo_ns, hi_ns; /* equal but for ranges */
	uint64_t tolerance_ns; /* 0: the world's */
	bool blocks;	       /* a call that ends in [end_ns] after the start or its own begin */
	enum { END_AT, END_AFTER } end_kind;
	uint64_t end_ns;
};

/* ---- packets ---- */
enum pkt_proto { PKT_ICMP = 1, PKT_TCP = 6, PKT_UDP = 17 };
enum pkt_flag {
	PKT_F = 1,
	PKT_S = 2,
	PKT_R = 4,
	PKT_P = 8,
	PKT_A = 16,
	PKT_U = 32,
	PKT_E = 64,
	PKT_W = 128
};
enum pkt_opt_kind {
	OPT_EOL = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACKOK = 4,
	OPT_SACK = 5,
	OPT_TS = 8,
	OPT_FO = 34,
};
struct pkt_opt {
	uint8_t kind;
	uint8_t n;		   /* SACK: blocks; FO and unknown kinds: bytes */
	bool any;		   /* the value is not compared */
	uint32_t v[2 * PKT_SACKS]; /* MSS; wscale; TS: val, ecr; SACK: edges */
	bool any_ecr;
	uint8_t bytes[PKT_COOKIE];
};
/* A packet in the numbers of a script (relative to both ISNs), or in those of the wire. */
struct pkt {
	enum pkt_proto proto;
	uint8_t flow; /* 1 ..., 0: none */
	bool has_ecn, has_win, has_ack, any_opts, has_ttl, has_mtu, badcsum, has_df;
	bool more; /* the next one arrives in the same burst */
	uint8_t ecn, ttl, tos, df;
	uint32_t len; /* of the payload */
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t win, urg;
	uint8_t n_opts;
	struct pkt_opt opt[PKT_OPTS];
	uint8_t icmp_type, icmp_code; /* and in an ICMP error the packet that it quotes: seq, len */
	bool has_quote;
	uint16_t mtu;
	uint16_t frag; /* cut into fragments of so many bytes */
	/* of a packet of the wire only */
	uint16_t sport, dport; /* ICMP: of the quoted packet */
	const uint8_t *data;
};

/* ---- values in calls ---- */
struct val {
	enum { VAL_ANY, VAL_INT, VAL_LIST, VAL_STRUCT, VAL_TEXT } kind;
	int64_t i;
	uint32_t n;
	struct val *item[VAL_ITEMS];
	char name[VAL_ITEMS][24]; /* of struct members */
	char text[64];
};

struct call {
	const struct call_name *name;
	uint32_t n;
	struct val *arg[VAL_ITEMS];
	bool any_ret;
	int64_t ret;
	int err; /* wanted with ret -1; 0: not compared */
};

/* ---- events ---- */
enum event_kind { EVENT_CALL, EVENT_IN, EVENT_OUT, EVENT_ASSERT, EVENT_QUIET };
struct event {
	enum event_kind kind;
	int line;
	struct when when;
	struct pkt pkt;
	struct call call;
	char *text; /* ASSERT: the expression */
};

struct script {
	const char *path;
	uint32_t n;
	struct event event[SCRIPT_EVENTS];
	char *only4, *only6; /* why it is for one family only, or NULL */
	char *only;    /* "stack" or "kernel" with the reason behind it, or NULL */
	char *differs; /* how Linux differs, and why; NULL: it does not */
	char *sysctl[SCRIPT_SYSCTLS];
	uint32_t n_sysctl;
	uint32_t remote_isn; /* the peer's sequence numbers begin here */
	uint16_t mtu;
	int cites; /* sections and man pages named in the head */
};

/* Prints "path:line: ..." and ends the process: one script is one process. */
void script_fail(int line, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
extern const char *script_path; /* for messages */

struct script *script_read(const char *path);

/* A cursor in one line of a script. */
struct lex {
	const char *p;
	int line;
};
void lex_blank(struct lex *x);
bool lex_char(struct lex *x, char c);		   /* takes it if it is next */
bool lex_word(struct lex *x, const char *word);	   /* likewise; a whole word */
void lex_name(struct lex *x, char *buf, size_t n); /* letters, digits and underscores */
int64_t lex_int(struct lex *x);			   /* decimal or 0x */
bool lex_is_int(struct lex *x);
uint64_t lex_seconds(struct lex *x); /* 1.25 -> ns */
void lex_want(struct lex *x, char c);

void read_packet(struct lex *x, struct pkt *k, bool in);
void read_call(struct lex *x, struct call *c);

/* names.c: constants of C and of protocols. False: unknown. */
bool name_value(const char *name, int64_t *v);
const char *errno_text(int err);
