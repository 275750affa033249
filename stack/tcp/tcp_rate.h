/* Delivery rate (draft-ietf-ccwg-bbr 4.1): now and then one packet of a flight is marked with what had been
 * delivered when it left; when it arrives itself, what was delivered meanwhile over the time that took
 * is a sample of the rate. A mark every few milliseconds is enough for TCP_INFO; a controller that
 * lives on rates has several in each round trip (tcp_bbr.h). */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/seq.h"

struct tcp_conn;

enum { TCP_RATE_MARKS = 32, TCP_RATE_PERIOD_US = 10000 };

/* The draft's per-packet state (4.1.2.1.2). Times are tcp_us(), byte counts modulo 2^32. */
struct tcp_rate_mark {
	seq_t end;	       /* behind the packet: P.packet_id */
	uint32_t sent_us;      /* P.send_time */
	uint32_t first_us;     /* P.first_send_time */
	uint32_t delivered;    /* P.delivered */
	uint32_t delivered_us; /* P.delivered_time */
	uint32_t flight;       /* P.tx_in_flight */
	uint32_t lost;	       /* P.lost */
	bool app_limited;
	bool again;	       /* it was a retransmission */
	bool done;	       /* has arrived, or another copy of it */
};

/* Zeroed memory and tcp_rate_init() are the start. */
struct tcp_rate {
	uint32_t delivered_us; /* C.delivered_time */
	uint32_t marked_us;    /* the last mark left */
	uint32_t period_us;    /* least time between two */
	uint32_t dry_until;    /* C.app_limited, valid with dry */
	bool dry;	       /* the application did not feed us: no sample tells what the path can do */
	bool shut;	       /* the peer's window stopped us, since the controller last looked */
	bool limited;	       /* of the rate below */
	uint8_t first, n;      /* a ring in the order of sending: c->model's, else `one` alone */
	uint32_t bytes, us;    /* the last rate: so much in such a time, us 0 = none */
	struct tcp_rate_mark one;
};

/* The newest marked packet of which an ACK tells. */
struct tcp_rate_pick {
	bool has;
	struct tcp_rate_mark mark;
};

/* RateSample (4.1.2.1.3) and what else an ACK tells a controller. */
struct tcp_rate_sample {
	uint64_t now_ns;
	uint64_t rate;		  /* bytes a second, 0: none */
	uint32_t acked;		  /* RS.newly_acked: bytes newly known to have arrived */
	uint32_t rtt_us;	  /* 0: none */
	bool has;		  /* a marked packet has arrived: what follows is valid */
	bool app_limited;
	uint32_t delivered, prior_delivered;
	uint32_t flight;	  /* RS.tx_in_flight */
	uint32_t lost;		  /* since the packet left */
};

void tcp_rate_init(struct tcp_conn *c);
/* [start, end) has left, again or for the first time. See tcp_rate_sent(). */
void tcp_rate_mark(struct tcp_conn *c, seq_t start, seq_t end, uint32_t now_us, bool again);
/* [start, end) has arrived; again: it was sent again, the last time at us. */
void tcp_rate_arrived(struct tcp_conn *c, struct tcp_rate_pick *pick, seq_t start, seq_t end,
		      bool again, uint32_t us);
/* snd_una and the scoreboard are those after the ACK. */
void tcp_rate_sample(struct tcp_conn *c, const struct tcp_rate_pick *pick, uint64_t now_ns,
		     struct tcp_rate_sample *rs);
/* More could leave than the application has written. */
void tcp_rate_dry(struct tcp_conn *c);
/* The mark that is nearest to seq, of equals the newest; NULL: none. */
const struct tcp_rate_mark *tcp_rate_near(const struct tcp_conn *c, seq_t seq);
/* The last rate in bytes a second, 0: none. */
uint64_t tcp_rate_last(const struct tcp_conn *c);
