/* One connection: the transmission control block of RFC 9293 3.3.1 in the groups of that section,
 * the fields of the fast path first.
 *
 * All fields belong to the core except where "[h]" says that the host (stack/sock) sets them. The
 * host zeroes the struct, sets id and opts, and hands it to tcp_connect() or returns it from
 * ops->conn_new(); it may read everything and clears `events`. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/tcp/tcp.h"
#include "stack/tcp/tcp_hystart.h"
#include "stack/tcp/tcp_rate.h"
#include "stack/tcp/tcp_rtt.h"
#include "stack/tcp/tcp_run.h"
#include "stack/tcp/tcp_sent.h"
#include "stack/tcp/tcp_state.h"

struct tcp_cc_ops;

/* What sits in the 4-tuple table. The flow follows the node at once in all three. */
enum tcp_node_kind { TCPN_CONN, TCPN_SYN, TCPN_TIMEWAIT };
struct tcp_node {
	struct tcp_node *next, **pprev; /* pprev NULL: in no bucket */
	uint32_t hash;
	uint8_t kind;
};

/* Deadlines of a connection; one wheel_timer serves the earliest (tcp_timer.c). The delayed ACK has a queue
 * of its own: delack_ns. */
enum tcp_deadline {
	TCPD_RACK,    /* tail loss probe, or the end of the reordering window: before TCPD_RTX */
	TCPD_RTX,     /* retransmission, or persist when c->persist */
	TCPD_KEEP,    /* keepalive */
	TCPD_PACE,    /* more may leave */
	TCPD_COUNT
};
/* Kinds of wheel_timer in the core (wheel_timer.kind). */
enum tcp_timer_kind { TCPT_CONN = 1, TCPT_SYN, TCPT_TIMEWAIT };

/* Where loss recovery stands (tcp_recovery.c); Linux's tcpi_ca_state. OPEN: the scoreboard is empty,
 * and the header prediction may serve what comes. */
enum tcp_recovery {
	TCPR_OPEN,
	TCPR_DISORDER, /* something is held out of order, or probed for, nothing taken for lost */
	TCPR_CWR,      /* the window shrinks, nothing is lost */
	TCPR_FAST,     /* fast recovery */
	TCPR_LOSS,     /* after a timeout */
};

/* What holds the sender back while not everything is acknowledged, as Linux tells it: TCP_BRAKE_BUSY is
 * everything but the two others. */
enum tcp_brake { TCP_BRAKE_IDLE, TCP_BRAKE_BUSY, TCP_BRAKE_RWND, TCP_BRAKE_SNDBUF, TCP_BRAKES };

/* RFC 8985 5.3, in microseconds of tcp_us(). */
struct tcp_rack {
	uint32_t us;	   /* RACK.xmit_ts: of what was sent last of all that is delivered, ... */
	seq_t end;	   /* ... and its end: RACK.end_seq */
	uint32_t rtt_us;   /* RACK.rtt */
	uint32_t since_us; /* the same three, but not later than it was, where us is not earlier ... */
	seq_t since_end;
	uint32_t since_rtt_us; /* ... (tcp_sent.h): what was sent again has its own, exact times */
	seq_t fack;	   /* RACK.fack: behind the highest delivered */
	seq_t dsack_round; /* RACK.dsack_round, valid with in_round */
	uint32_t looked_us; /* when what was sent again was looked through last */
	uint8_t reo_mult;  /* RACK.reo_wnd_mult - 1 */
	uint8_t persist;   /* RACK.reo_wnd_persist */
	bool valid;	   /* something has been delivered since the scoreboard was empty */
	bool reordered;	   /* RACK.reordering_seen */
	bool in_round;
};

/* What is undone when a retransmission turns out to have been needless (tcp_undo.c). */
struct tcp_undo {
	uint32_t cwnd, ssthresh; /* before the first reduction */
	uint32_t left;	 /* bytes sent again, not yet reported as duplicates */
	seq_t from;	 /* snd_una then */
	uint32_t stamp;	 /* TSval of the first retransmission, valid with stamped */
	bool ok, stamped, sent; /* sent: something was sent again since */
};

/* How large segments may be (tcp_mtu.c). Sizes are as in an MSS option. */
struct tcp_mtu {
	uint16_t known;	    /* what the host knew of the path at first, 0 = nothing */
	uint16_t low, high; /* searching: what gets through, what might (RFC 4821 5.3) */
	bool locked;	    /* the path takes less than we believe: routers must cut */
	seq_t start, end;   /* of the probe that is under way, if mtu_probing is not 0 */
	uint64_t since_ns;  /* the search began */
	uint64_t until_ns;  /* so long a router's word about the path counts, 0 = there is none */
};

/* What a segment in order, its ACK and the answer touch stands in TCP_CONN_HOT bytes and the line that
 * begins with reass.first: among many connections each line is a miss (docs/profile.md). Who adds a field
 * there moves a colder one out. */
enum { TCP_CONN_HOT = 9 * CACHE_LINE };

struct tcp_conn {
	struct tcp_node node;
	struct tcp_flow flow;	 /* must follow node, see tcp_node_flow() */
	enum tcp_state state;	 /* written by tcp_set_state() only */

	/* Send sequence space. iss <= snd_una <= snd_nxt; FIN takes the place after the data.
	 * seq = iss + 1 + position. */
	seq_t snd_una;		 /* oldest unacknowledged */
	seq_t snd_nxt;		 /* RFC's SND.NXT: behind everything ever sent */
	seq_t snd_end;		 /* behind the last byte that the application has written */
	/* Receive sequence space. seq = irs + 1 + position. */
	seq_t rcv_nxt;
	seq_t rcv_adv;		 /* right edge of the window we promised; never moves left */
	seq_t rcv_acked;	 /* RFC 7323's Last.ACK.sent */
	uint32_t rx_head;	 /* position up to which the application has read */
	uint32_t ts_recent, ts_lead; /* so much later is what is echoed */
	seq_t iss, irs;
	uint16_t mss;		 /* payload of a full segment, options already taken off */
	uint16_t rcv_mss;	 /* full segment of the peer, estimated */
	uint16_t snd_wnd_raw;	 /* window field as last received: header prediction */
	uint8_t snd_wscale, rcv_wscale;

	uint8_t recovery;	 /* enum tcp_recovery */
	uint8_t recovery_told;	 /* ... as the trace has it */
	uint8_t dupacks;
	uint8_t quick;		 /* segments still acknowledged at once */
	uint8_t retries;	 /* SYNs repeated, or zero-window probes without an answer */
	uint8_t keep_probes;	 /* keepalive probes without an answer */
	uint8_t n_sack;		 /* of sack_recent: blocks that our ACKs tell */
	uint8_t brake;		 /* enum tcp_brake */

	/* Eight to a byte: what is looked at together stands together. First the header prediction's. */
	bool persist : 1;	 /* TCPD_RTX is the persist timer */
	bool urg_rx : 1;	 /* rcv_up may not have been received yet */
	bool fin_seen : 1;	 /* peer's FIN arrived, at fin_seq, perhaps out of order */
	bool ecn_ok : 1;	 /* both SYNs asked for it (RFC 3168 6.1.1) */
	bool ecn_echo : 1;	 /* our ACKs carry ECE */
	bool ts_ok : 1;		 /* both sides sent the option */
	bool orphan : 1;	 /* the application has closed */
	bool paced : 1;		 /* opts.pacing or the controller limits the rate */

	bool ack_now : 1;	 /* an ACK leaves at the next flush */
	bool ack_delayed : 1;	 /* an ACK is owed */
	bool rx_small : 1;	 /* a segment below rcv_mss came since the last ACK ... */
	bool rx_small_more : 1;	 /* ... and one more */
	bool pingpong : 1;	 /* the application answers what it receives: ACKs ride on data */
	bool cwnd_limited : 1;	 /* cwnd stopped the last output: it may grow */
	bool push : 1;		 /* override of Nagle, cork and sender SWS avoidance, once */
	bool dsack : 1;		 /* dsack_start, dsack_end are to be told (RFC 2883) */

	bool syn_acked : 1, syn_rcvd : 1;
	bool fin_queued : 1;	 /* the FIN stands at snd_end */
	bool fin_sent : 1, fin_acked : 1;
	bool fin_rcvd : 1;	 /* fin_seen, and it is in order: rcv_nxt is behind it */
	bool urg_tx : 1;	 /* snd_up is not acknowledged yet: RFC 9293's urgent mode */
	bool sack_ok : 1;	 /* both SYNs had SACK-permitted (RFC 2018) */

	bool rcv_shut : 1;	 /* it has shut down reading: new text after our FIN is a RST */
	bool syn_due : 1;	 /* our SYN is to be sent (again) at the next flush */
	bool frto : 1;		 /* is the timeout spurious? Nothing but its head is sent again */
	bool prr : 1;		 /* tcp_prr.c rules cwnd */
	bool tlp_out : 1;	 /* a tail loss probe is under way, up to tlp_end ... */
	bool tlp_again : 1;	 /* ... and it was a retransmission */
	bool syn_wscale : 1;	 /* the peer's SYN had a window scale (simultaneous open) */
	bool counted : 1;	 /* in env->n_conns */

	bool ecn_asked : 1;	 /* our SYN did */
	bool ecn_cwr : 1;	 /* the next new data carries CWR */
	bool mtu_probe : 1;	 /* the segment that is being emitted is a probe of the path's MTU */
	bool resending : 1;	 /* the segment that is being emitted was sent before */
	bool fo_child : 1;	 /* passive Fast Open: it was open before the final ACK */
	bool fo_client : 1;	 /* active Fast Open was wanted */
	bool fo_held : 1;	 /* the SYN waits for data */
	bool fo_acked : 1;	 /* data of the SYN has been taken, by whichever side */

	bool passive : 1;	 /* from a listener */
	bool app_full : 1;	 /* [h] the application waits for room in the send buffer */
	bool ecn_seen : 1;	 /* the peer's segments were marked as capable of ECN */
	bool mtu_searching : 1;	 /* tcp_mtu.c looks for the size that gets through */
	bool mtu_told : 1;	 /* mtu.until_ns is not 0 */
	uint8_t fo_fail : 2;	 /* why active Fast Open did not: Linux' tcpi_fastopen_client_fail */
	uint16_t mtu_probing;	 /* of this size is the probe that is under way (mtu), 0 = none */
	uint32_t snd_wnd;	 /* bytes, scaled */
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t events;	 /* enum tcp_event, since the host looked; [h] clears */
	struct list touch_link;	 /* env->touched while events != 0 */
	struct list pend_link;	 /* env->pending */

	uint64_t deadline_ns[TCPD_COUNT]; /* 0 = off */
	struct wheel_timer timer;	  /* due at or before the earliest deadline */
	uint64_t delack_ns;	 /* the delayed ACK is due, 0 = off ... */
	struct list delack_link; /* env->delacks or ->handshakes while it is on */
	uint64_t last_rx_ns;	 /* any acceptable segment: keepalive */
	uint64_t last_rx_data_ns;
	uint64_t last_tx_ns;	 /* data sent: idle restart (RFC 5681 4.1) */
	uint64_t ts_recent_ns;	 /* when ts_recent was set (PAWS: outdated after 24 days) */
	uint64_t stall_ns;	 /* first retransmission or probe of what is unanswered now, 0 = none */
	const struct tcp_cc_ops *cc;
	struct tcp_model *model; /* of a controller with control() */

	struct tcp_rtt rtt;
	seq_t snd_wl1;		 /* number of the segment that last updated the window */
	uint32_t max_snd_wnd;	 /* largest window seen */
	seq_t snd_sml;		 /* end of the last small segment sent (Minshall's Nagle) */
	seq_t recover;		 /* RFC 6582, RFC 6675's RecoveryPoint */
	uint32_t ts_offset;	 /* added to the millisecond clock in TSval */
	uint32_t id;		 /* [h] names the connection in the trace */
	uint64_t tx_bytes, rx_bytes;	  /* acknowledged by the peer, received in order */
	uint32_t tx_segs, rx_segs;
	uint32_t tx_data_segs, rx_data_segs; /* those with text */
	struct tcp_brakes {	 /* tcp_brake.c */
		uint64_t since_ns; /* of `brake` */
		uint64_t ns[TCP_BRAKES - 1]; /* [kind - 1]: nobody counts TCP_BRAKE_IDLE */
	} brakes;
	struct tcp_rate rate;
	struct tcp_tune {	 /* tcp_tune.c */
		uint64_t since_ns; /* the round trip that is being looked at began, 0: none yet ... */
		uint32_t head;	   /* ... with rx_head here */
		uint32_t space;	   /* most that was read in one */
		uint32_t tsecr;	   /* last one that was looked at */
		seq_t round_end;   /* a window behind what had come at tuned.round_ns */
	} tune;
	struct tcp_sockopts opts;      /* [h] then tcp_opts_changed(); its first part is hot */

	/* Not for a segment in order. */
	uint32_t path_mss;	 /* as last told */
	struct tcp_tuned {	 /* what tcp_tune.c has found out */
		uint64_t round_ns; /* of tune.round_end, 0: none yet */
		uint32_t rcvbuf;   /* grown to, 0: has not; with opts.rcvbuf_max */
		uint32_t rtt8_us;  /* eight times the round trip as the receiver sees it, 0: not yet */
	} tuned;
	uint64_t pace_rate;	 /* of the controller, bytes a second, with model */
	seq_t tlp_end;
	seq_t snd_up;		 /* behind our urgent byte, valid with urg_tx */
	seq_t rcv_up;		 /* the peer's urgent byte, valid with urg_rx */
	seq_t fin_seq;		 /* valid with fin_seen */
	union {
		struct { uint32_t acked; } reno; /* bytes counted towards the next increase */
		struct tcp_cubic {
			uint64_t epoch_ns;   /* start of this congestion-avoidance stage, 0 = none */
			uint32_t k_ms;	     /* K */
			uint32_t w_max, w_est, cwnd_prior;
			uint32_t undo_w_max;
			uint64_t undo_epoch_ns;
			uint64_t est_rest, grow_rest; /* fractions of bytes */
			struct tcp_hystart hystart;
		} cubic;
		struct tcp_dctcp {
			uint32_t acked;	     /* as reno's */
			uint32_t alpha;	     /* DCTCP.Alpha, 2^20 is 1 */
			uint32_t marked;     /* bytes of this window */
			seq_t start, end;    /* of the window */
		} dctcp;
	} cc_state;

	int error;		 /* positive errno, with TCPE_ERROR; the connection is CLOSED */
	int soft_error;		 /* positive errno, told by ICMP; [h] may clear */
	struct tcp_listener *listener; /* of a passive open; [h] clears when the listener goes */
	struct tcp_mtu mtu;

	uint32_t rtx_total_bytes;
	uint32_t dsack_dups;	 /* D-SACKs of the peer */
	uint32_t ooo_segs;	 /* received ahead of something missing */
	uint32_t reord_seen;	 /* what we had sent arrived in another order, so often ... */
	uint32_t reord_bytes;	 /* ... and at most so far apart */
	uint32_t ce_bytes;	 /* acknowledged with ECE, modulo 2^32 */

	/* Fast Open (tcp_fastopen.c). */
	uint16_t fo_room;	 /* bytes that may ride on the SYN, which has not left */
	uint16_t fo_len;	 /* bytes that did */
	struct tcp_fo fo;	 /* option of our first SYN or SYN-ACK; wanted: also without a cookie */
	struct tcp_listener *fo_listener; /* while it counts in n_fo there */
	struct list fo_link;

	/* Loss: touched when something is lost or out of order only. */
	struct tcp_runs board;	 /* [snd_una, snd_nxt) without what is plainly in flight */
	uint32_t reno_held;	 /* without SACK: bytes that duplicate ACKs stand for */
	seq_t lost_from;	 /* nothing before it is to be sent again */
	seq_t plain_from;	 /* nothing before it is plainly in flight */
	seq_t again_to;		 /* nothing behind it was sent again */
	struct tcp_rack rack;
	struct tcp_undo undo;
	uint32_t prr_delivered, prr_out, prr_flight; /* RFC 6937 3; prr_flight: RecoverFS */
	struct tcp_sack_block sack_recent[TCP_SACK_MAX]; /* of these, the last that changed first */
	seq_t dsack_start, dsack_end; /* received a second time, valid with dsack */

	struct tcp_runs reass;	 /* received beyond rcv_nxt, all HELD; `first` is its end */
	struct tcp_conn *mate;	 /* the other end, if that is ours, too, and known (tcp_join.c) */
	uint32_t pace_budget;	 /* what may leave in this output */
	uint32_t lost_bytes;	 /* ever taken for lost, modulo 2^32 */
	uint32_t rtx_segs;	 /* segments sent again (it fills the line) */
	uint16_t peer_mss;	 /* as received, 536 if not */
	uint16_t adv_mss;	 /* as we have announced it */
	struct tcp_sent sent;	 /* its first mark is hot */

	uint64_t open_ns;	 /* our SYN was acknowledged */
	uint64_t pace_ns;	 /* not before may more leave, with paced */
	uint64_t oow_ack_ns;	 /* last ACK answering an unacceptable pure ACK */
};
_Static_assert(offsetof(struct tcp_conn, opts) + TCP_OPTS_HOT == TCP_CONN_HOT, "hot lines");
_Static_assert(offsetof(struct tcp_conn, reass.first) % CACHE_LINE == 0, "the last hot line begins");
_Static_assert(offsetof(struct tcp_conn, sent.mark[1]) % CACHE_LINE == 0, "... and ends");

static inline const struct tcp_flow *tcp_node_flow(const struct tcp_node *n)
{
	return (const struct tcp_flow *)(n + 1);
}
_Static_assert(offsetof(struct tcp_conn, flow) == sizeof(struct tcp_node), "tcp_node_flow()");

/* Asks for what a segment will touch, but for the line of the node. */
static inline void tcp_conn_ahead(const struct tcp_conn *c)
{
	for (size_t at = CACHE_LINE; at < TCP_CONN_HOT; at += CACHE_LINE)
		__builtin_prefetch((const char *)c + at, 1);
	__builtin_prefetch(&c->reass.first, 1);
}

/* Stream position up to which received data is in order. */
static inline uint32_t tcp_rx_tail(const struct tcp_conn *c)
{
	return c->rcv_nxt.v - c->irs.v - c->syn_rcvd - c->fin_rcvd;
}
/* Highest position received, including out of order. */
static inline uint32_t tcp_rx_max(const struct tcp_conn *c)
{
	return tcp_runs_empty(&c->reass) ? tcp_rx_tail(c) : seq_diff(c->reass.last->end, c->irs) - 1;
}
/* As Linux: the ACK that is delayed does not wait for its timer when the application reads, if more than a
 * full segment is behind it. It waits neither when everything has been read and the peer, who sends small
 * segments, may be held back by Nagle: tcp_read_acks(). Who answers what it reads is given the time for
 * that, once. */
static inline bool tcp_read_acks(const struct tcp_conn *c)
{
	return c->rx_small_more || (c->rx_small && !c->pingpong);
}
static inline bool tcp_read_may_ack(const struct tcp_conn *c)
{
	return c->ack_delayed &&
	       (tcp_read_acks(c) || seq_diff(c->rcv_nxt, c->rcv_acked) > c->rcv_mss);
}
/* Position acknowledged by the peer. */
static inline uint32_t tcp_tx_una(const struct tcp_conn *c)
{
	return c->snd_una.v - c->iss.v - c->syn_acked - c->fin_acked;
}
/* Position behind what has been sent; not with our FIN. */
static inline uint32_t tcp_tx_nxt(const struct tcp_conn *c)
{
	return c->snd_nxt.v - c->iss.v - 1;
}
/* The peer's FIN is in order: EOF follows the data. */
static inline bool tcp_rx_fin(const struct tcp_conn *c) { return c->fin_rcvd; }
/* ESTABLISHED or CLOSE-WAIT and not shut down. */
static inline bool tcp_may_send(const struct tcp_conn *c)
{
	return (c->state == TCPS_ESTABLISHED || c->state == TCPS_CLOSE_WAIT) && !c->fin_queued;
}
/* Nothing more can happen to it (the TIME-WAIT record, if any, is not the connection). */
static inline bool tcp_is_closed(const struct tcp_conn *c)
{
	return c->state == TCPS_CLOSED || c->state == TCPS_TIME_WAIT;
}
