/* A rig for packet tests of the TCP core: one tcp_env on a fake clock, a fake host whose streams
 * are a known pattern, and every segment that leaves captured. Tests speak in sequence numbers
 * relative to the two ISNs: 0 is the SYN, 1 the first byte. Each test runs once per variant of
 * ISNs, two of which straddle the wrap; the last one is IPv6. */
// SPDX-License-Identifier: MIT
#pragma once
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/tcp/tcp_core.h"

enum { RIG_SOCKS = 320, RIG_OUTS = 16384, RIG_RX_CAP = 1 << 21, RIG_VARIANTS = 5, RIG_V6 = 4 };
enum { S = TCPF_SYN, A = TCPF_ACK, F = TCPF_FIN, R = TCPF_RST, P = TCPF_PSH, U = TCPF_URG,
       E = TCPF_ECE, W = TCPF_CWR };
enum { RIG_CUBIC = 1, RIG_RENO, RIG_DCTCP }; /* tcp_sockopts.cc */
enum { ZERO = -1 }; /* a field that must be 0 on the wire, where 0 means "not looked at" */

struct rig_sock {
	struct tcp_conn c; /* must stay first */
	uint8_t *rx;	   /* by position, filled with noise */
	uint32_t tx_tail;
	bool released, accepted;
};

struct rig_out {
	struct tcp_flow flow;
	struct tcp_seg seg;
	struct tcp_conn *c;
	uint32_t tx_pos;
	const struct tcp_sockopts *opts; /* that rule its IP header */
};

/* What a test may choose; zero means the default in brackets. */
struct rig_opts {
	int variant;	     /* _i of the loop test */
	uint16_t mss;	     /* peer's MSS option [1460] */
	uint16_t path_mss;   /* what the route carries [1460] */
	int ws;		     /* peer's window scale + 1, 0 = option not sent */
	bool ts;	     /* peer sends timestamps */
	uint8_t mtu_probing; /* enum tcp_mtu_probing */
	bool sack;	     /* peer sends SACK-permitted */
	int wnd;	     /* peer's window field [65535], ZERO */
	uint32_t rtt_ms;     /* handshake takes so long */
	uint32_t rcvbuf;     /* [65535] */
	uint32_t tso_bytes;
	uint32_t max_timewait, max_synq; /* [16], [16] */
	uint32_t backlog;    /* [8] */
	enum tcp_cookie_mode cookies;
	bool abort_on_overflow;
	uint32_t fastopen;   /* TCP_FO_ bits */
	bool delack;	     /* start behind the quick-ACK phase */
	struct tcp_sockopts o; /* rcvbuf above wins */
};

struct rig {
	struct tcp_env env; /* must stay first */
	struct rng rng;
	struct stats stats;
	struct rig_opts opt;
	uint64_t now_ns;
	struct tcp_flow flow;
	uint32_t iss, irs;    /* ours, the peer's */
	uint16_t wnd;	      /* window field in IN() */
	uint32_t peer_tsval;  /* 0: follows the clock */
	uint32_t last_tsval;  /* last one we sent: echoed by IN() */
	struct tcp_listener listener;
	bool listening;
	struct tcp_listener *closed; /* what listener_closed() answers for */
	struct tcp_sockopts listen_opts;
	struct rig_sock *sock[RIG_SOCKS];
	uint32_t n_sock;
	struct tcp_conn *c;   /* the connection that the short forms speak of */
	struct rig_out out[RIG_OUTS];
	uint32_t n_out, next_out;
	int rx_fail, conn_fail; /* so many next calls fail */
	uint32_t n_urgent, urgent_pos; /* ops->urgent: how often, the last position */
};

/* One segment in a test. */
struct tseg {
	uint32_t seq, ack;
	uint8_t flags;
	uint32_t len;
	int wnd;		 /* IN: 0 = r->wnd; OUT: 0 = not compared; ZERO */
	uint16_t mss;		 /* IN: 0 = no option; OUT: compared if set */
	int ws;			 /* scale + 1, likewise */
	bool ts, no_ts;		 /* OUT: must be there; IN: not sent although negotiated */
	uint32_t tsval, tsecr;	 /* IN: 0 = automatic; OUT: compared if set */
	uint16_t urg;		 /* pointer; OUT: compared where URG is among the flags */
	uint32_t piece;		 /* IN: the payload comes in pieces of so many bytes, as a port joins it */
	uint16_t rport;		 /* another remote port than the rig's */
	int fo;			 /* Fast Open option, length of the cookie + 1, 0 = none; always compared */
	const uint8_t *cookie;	 /* IN: its bytes; OUT: compared if set */
	uint8_t ecn;		 /* bits of the IP header; OUT: always compared */
	bool sack_ok;		 /* OUT: compared where the rig's peer does SACK */
	uint32_t sack[TCP_SACK_MAX][2]; /* blocks, up to the first empty one; OUT: all compared */
};

struct rig *rig_start(const struct rig_opts *opt);
static inline bool rig_is_v6(const struct rig *r) { return r->opt.variant == RIG_V6; }
/* Headers of a packet without options, and what a peer gets that announces no MSS. */
static inline uint32_t rig_hdrs(const struct rig *r) { return rig_is_v6(r) ? 60 : 40; }
static inline uint16_t rig_default_mss(const struct rig *r) { return rig_is_v6(r) ? 1220 : 536; }
/* Ours is number 1, the peer's 2. */
struct ipaddr rig_addr(const struct rig *r, uint8_t n);
void rig_free(struct rig *r);
struct rig_sock *rig_new_sock(struct rig *r);
static inline struct rig_sock *rig_sock_of(struct tcp_conn *c) { return (struct rig_sock *)c; }
void rig_listen_start(struct rig *r);
struct rig *rig_make(const struct rig_opts *opt, enum tcp_state state);

#define RIG_OPTS(...) (&(struct rig_opts){ .variant = _i, __VA_ARGS__ })
#define rig_new(...) rig_start(RIG_OPTS(__VA_ARGS__))
#define rig_listening(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_LISTEN)
#define rig_syn_sent(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_SYN_SENT)
#define rig_syn_rcvd(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_SYN_RCVD)
#define rig_established(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_ESTABLISHED)
#define rig_close_wait(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_CLOSE_WAIT)
#define rig_last_ack(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_LAST_ACK)
#define rig_fin_wait_1(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_FIN_WAIT_1)
#define rig_fin_wait_2(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_FIN_WAIT_2)
#define rig_closing(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_CLOSING)
#define rig_time_wait(...) rig_make(RIG_OPTS(__VA_ARGS__), TCPS_TIME_WAIT)

/* The wire. IN_MORE leaves the burst open (no flush), IN ends it. */
void rig_in(struct rig *r, const struct tseg *t, bool flush);
void rig_expect(struct rig *r, const struct tseg *t, const char *file, int line);
void rig_quiet(struct rig *r, const char *file, int line);
#define IN(r, ...) rig_in(r, &(struct tseg){ __VA_ARGS__ }, true)
#define IN_MORE(r, ...) rig_in(r, &(struct tseg){ __VA_ARGS__ }, false)
#define OUT(r, ...) rig_expect(r, &(struct tseg){ __VA_ARGS__ }, __FILE__, __LINE__)
#define QUIET(r) rig_quiet(r, __FILE__, __LINE__)
/* All segments captured so far are forgotten; how many there were. */
uint32_t rig_drain(struct rig *r);

/* The clock: timers fire at their time, each followed by a flush. */
void rig_after_us(struct rig *r, uint64_t us);
static inline void rig_after_ms(struct rig *r, uint64_t ms) { rig_after_us(r, ms * 1000); }
/* The timeout of what has just been sent, and a microsecond less (tests/unit/tcp/test_rtt.c knows how long
 * that is). */
static inline void rig_after_rto(struct rig *r) { rig_after_us(r, tcp_rtt_rto_us(&r->c->rtt)); }
static inline void rig_until_rto(struct rig *r) { rig_after_us(r, tcp_rtt_rto_us(&r->c->rtt) - 1); }

/* The application on r->c, each followed by a flush. */
void rig_send(struct rig *r, uint32_t n);
void rig_read(struct rig *r); /* everything, compared with the pattern */
void rig_read_n(struct rig *r, uint32_t n);
void rig_shutdown(struct rig *r);
void rig_close(struct rig *r);
void rig_abort(struct rig *r);
void rig_set_opts(struct rig *r);

/* Events since the last look must be exactly these. */
uint32_t rig_events(struct rig *r);
#define EVENTS(r, want) ck_assert_uint_eq(rig_events(r), (want))
#define STATE(r, name) ck_assert_int_eq((r)->c->state, TCPS_##name)
#define RELEASED(r) ck_assert(rig_sock_of((r)->c)->released)
#define COUNT(r, name, want) ck_assert_uint_eq((r)->stats.v[STAT_##name], (want))

/* Byte of a stream at a position: ours and the peer's differ. */
static inline uint8_t rig_byte(uint32_t pos, uint8_t salt)
{
	return (uint8_t)((pos ^ pos >> 8 ^ pos >> 16) * 31 + salt);
}
/* One suite, all tests looped over the variants; the exit status. */
struct rig_test {
	const TTest *fn;
};
int rig_run(const char *name, const struct rig_test *tests, size_t n);
#define RIG_MAIN(name, ...) \
	int main(void) \
	{ \
		const struct rig_test tests[] = { __VA_ARGS__ }; \
		return rig_run(name, tests, ARRAY_LEN(tests)); \
	}
