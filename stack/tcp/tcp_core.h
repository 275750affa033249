/* What the files of the TCP core tell each other, grouped by the file that implements it. Nothing
 * outside stack/tcp includes this. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/stats.h"
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/tcp/tcp_conn.h"
#include "stack/tcp/tcp_limits.h"
#include "stack/tcp/tcp_table.h"

enum { TCP_DUP_THRESH = 3 }; /* RFC 5681 3.2, RFC 6675, RFC 8985 */

enum {
	TCP_DEFAULT_MSS = 536,	/* RFC 9293 3.7.1: no MSS option */
	TCP_DEFAULT_MSS6 = 1220,
	TCP_TS_SPACE = 12,	/* timestamps in every segment (RFC 7323 A) */
	TCP_MSS_MIN = 48,	/* smaller ones would only make us work (as Linux) */
	TCP_WSCALE_MAX = 14,	/* RFC 7323 2.3 */
	TCP_WND_WANT = 6 << 20,	/* the scale leaves room for a window of this size */
	TCP_INIT_SEGS = 10,	/* RFC 6928 */
	TCP_QUICK_SEGS = 16,	/* segments acknowledged at once in the beginning, as Linux */
	TCP_SYN_RETRIES = 6,
	TCP_SYNACK_RETRIES = 5,
	TCP_PROBE_RETRIES = 15,	/* zero-window probes without any answer */
	TCP_ORPHAN_BACKOFF = 8,	/* an orphan facing a closed window gives up after 102 s */
	TCP_TS_FINE_US = 10000,	/* round trips that the timestamps' clock measures well enough */
	TCP_SYNQ_CALM = 8,	/* half-open connections that are no reason to prune, as Linux */
};
#define TCP_DELACK_NS (40 * NSEC_PER_MSEC)
#define TCP_SPEAKS_NS (2 * NSEC_PER_MSEC) /* the handshake's last ACK waits so long for text to go with */
#define TCP_TIMEWAIT_NS (60 * NSEC_PER_SEC)	/* 2 MSL as Linux has it */
#define TCP_COOKIE_NS (120 * NSEC_PER_SEC)	/* cookies are looked for so long after the last one */
#define TCP_SYN_SOON_NS (8 * NSEC_PER_MSEC)	/* after a wrong ACK in SYN-SENT, as Linux */
#define TCP_OOW_NS (500 * NSEC_PER_MSEC)	/* between answers to unacceptable pure ACKs */
/* Time that 15 (8) retransmissions from 200 ms on take: RFC 9293's R2, as Linux' tcp_retries2 and
 * tcp_orphan_retries. */
#define TCP_R2_NS (924600 * NSEC_PER_MSEC)
#define TCP_ORPHAN_NS (102200 * NSEC_PER_MSEC)

/* Reasons in TRACE(TCP_DROP). */
enum tcp_drop {
	TCP_DROP_WINDOW = 1, TCP_DROP_PAWS, TCP_DROP_ACK, TCP_DROP_NOMEM, TCP_DROP_BACKLOG,
	TCP_DROP_CLOSED, TCP_DROP_FLAGS, TCP_DROP_MINTTL,
};

/* ---- tcp_conn.c: birth, death, state ---- */
/* Puts a zeroed c into the table and takes over what the SYNs said so far. */
void tcp_conn_start(struct tcp_env *env, struct tcp_conn *c, const struct tcp_flow *flow,
		    uint64_t now_ns);
void tcp_set_state(struct tcp_conn *c, enum tcp_state next, uint64_t now_ns);
/* Both SYNs are known: segment size, scales, first windows. */
struct tcp_syn_opts;
void tcp_conn_negotiated(const struct tcp_env *env, struct tcp_conn *c, const struct tcp_syn_opts *so);
static inline void tcp_event(struct tcp_env *env, struct tcp_conn *c, uint32_t events)
{
	c->events |= events;
	if (list_empty(&c->touch_link))
		list_push(&env->touched, &c->touch_link);
}
/* Something waits to be sent for the first time. */
static inline bool tcp_unsent(const struct tcp_conn *c)
{
	return seq_lt(c->snd_nxt, c->snd_end) || (c->fin_queued && !c->fin_sent);
}
/* tcp_output() runs for c at the next flush. */
static inline void tcp_want_output(struct tcp_env *env, struct tcp_conn *c)
{
	if (list_empty(&c->pend_link))
		list_push(&env->pending, &c->pend_link);
}
/* To CLOSED; error 0 or a positive errno for the application. */
void tcp_done(struct tcp_env *env, struct tcp_conn *c, int error, uint64_t now_ns);
/* The wire is served by a compact record from now on: TIME-WAIT, or FIN-WAIT-2 of an orphan. */
void tcp_to_record(struct tcp_env *env, struct tcp_conn *c, uint64_t life_ns, uint64_t now_ns);
/* Last step of every entry from outside: gives c back to the host if both sides are done. */
void tcp_release(struct tcp_env *env, struct tcp_conn *c);
static inline void tcp_settle(struct tcp_env *env, struct tcp_conn *c)
{
	if (unlikely(c->orphan) && tcp_is_closed(c))
		tcp_release(env, c);
}
/* FIN-WAIT-2 without an application. */
void tcp_orphan_fin_wait_2(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);

/* ---- tcp_connect.c ---- */
void tcp_syn_sent_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
			const void *payload, uint64_t now_ns);
/* Addresses, ports and salt under key; who uses which salt. */
enum { TCP_SALT_ISN = 1, TCP_SALT_STAMP, TCP_SALT_COOKIE, TCP_SALT_FASTOPEN };
uint32_t tcp_flow_keyed(const struct siphash_key *key, const struct tcp_flow *flow, uint32_t salt);
/* RFC 6528. */
seq_t tcp_isn(const struct tcp_env *env, const struct tcp_flow *flow, uint64_t now_ns);
uint32_t tcp_ts_offset(const struct tcp_env *env, const struct tcp_flow *flow);
static inline uint32_t tcp_ts_now(uint32_t offset, uint64_t now_ns)
{
	return (uint32_t)(now_ns / NSEC_PER_MSEC) + offset;
}
/* MSS to announce towards flow->remote, 0 = no route. */
uint16_t tcp_announced_mss(struct tcp_env *env, const struct tcp_flow *flow, uint16_t user_mss);
/* Window scale that lets rcvbuf (or a later, larger one) be announced. */
uint8_t tcp_choose_wscale(uint32_t rcvbuf);

/* What the two SYNs negotiated, whoever kept them. */
struct tcp_syn_opts {
	uint16_t peer_mss, our_mss;
	bool ts_ok, wscale_ok, sack_ok, ecn_ok;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t ts_recent;
};

/* ---- tcp_listen.c ---- */
/* A segment for no connection: LISTEN, or nobody. hint: ISN must be beyond this one (TIME-WAIT
 * reuse), NULL = no such rule. A connection when the segment completes a handshake that a cookie
 * stands for: the caller goes on with it there. */
struct tcp_conn *tcp_listen_input(struct tcp_env *env, const struct tcp_flow *flow,
				  const struct tcp_seg *seg, const void *payload, const seq_t *hint,
				  uint64_t now_ns);
/* SYN-RECEIVED in a record. A connection when the handshake is complete: the caller goes on with
 * the segment there. */
struct tcp_conn *tcp_synq_input(struct tcp_env *env, struct tcp_synq *q, const struct tcp_seg *seg,
				uint64_t now_ns);
void tcp_synq_timer_fired(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns);
struct tcp_listener *tcp_find_listener(struct tcp_env *env, const struct endpoint *local,
				       uint32_t hash);

/* ---- tcp_cookie.c ---- */
/* The ISN that stands for a SYN; *mss becomes what can be told from it, not more than it was unless that
 * was below the smallest. */
seq_t tcp_cookie_make(struct tcp_env *env, const struct tcp_flow *flow, seq_t irs, uint16_t *mss,
		      uint64_t now_ns);
/* The peer's MSS; 0: iss was never sent, or too long ago. */
uint16_t tcp_cookie_check(struct tcp_env *env, const struct tcp_flow *flow, seq_t irs, seq_t iss,
			  uint64_t now_ns);
/* TSval that holds window scale, SACK and ECN of q in its low bits, and back. False: it can't be ours. */
uint32_t tcp_cookie_stamp(const struct tcp_synq *q, uint64_t now_ns);
bool tcp_cookie_unstamp(struct tcp_synq *q, uint32_t tsecr);

/* ---- tcp_fastopen.c (RFC 7413) ---- */
/* May a connection be open with this SYN? answer: the option that the SYN-ACK gets, if wanted. */
bool tcp_fo_syn(struct tcp_env *env, struct tcp_listener *l, const struct tcp_flow *flow,
		const struct tcp_seg *seg, struct tcp_fo *answer, uint64_t now_ns);
/* c, in SYN-RECEIVED, is that connection. */
void tcp_fo_begin(struct tcp_listener *l, struct tcp_conn *c, const struct tcp_seg *seg);
/* It has proved itself or is gone; any connection may be told. */
enum tcp_fo_end { TCP_FO_DONE, TCP_FO_RESET };
void tcp_fo_end(struct tcp_conn *c, enum tcp_fo_end how, uint64_t now_ns);
void tcp_fo_unlisten(struct tcp_listener *l);
/* An active open begins: may the SYN carry data, or ask for a cookie? */
void tcp_fo_connect(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The SYN is about to leave for the first time, ... */
void tcp_fo_syn_sent(struct tcp_conn *c);
/* ... has met no answer, ... */
void tcp_fo_syn_lost(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* ... is acknowledged by this SYN-ACK. */
void tcp_fo_synack(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg);

/* ---- tcp_timewait.c ---- */
/* True: a SYN that may take the 4-tuple over; the record is gone and *hint is set. */
bool tcp_timewait_input(struct tcp_env *env, struct tcp_timewait *tw, const struct tcp_seg *seg,
			seq_t *hint, uint64_t now_ns);
/* A new record, taking the oldest one's place when the pool is empty; NULL: pool of size 0. */
struct tcp_timewait *tcp_timewait_new(struct tcp_env *env);
/* May a connect() of ours take the 4-tuple over (RFC 6191)? */
bool tcp_timewait_may_reuse(const struct tcp_timewait *tw, uint64_t now_ns);
/* First ISN to use after it. */
static inline seq_t tcp_timewait_next_isn(const struct tcp_timewait *tw)
{
	return seq_add(tw->snd_nxt, 65537); /* beyond any unscaled window of the old connection */
}
void tcp_timewait_free(struct tcp_env *env, struct tcp_timewait *tw);

/* ---- tcp_ack.c ---- */
/* Step five for a synchronised state; false: the segment must be dropped. */
bool tcp_ack_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		   uint64_t now_ns);
/* ack is beyond snd_una: everything that new acknowledgement means. news is NULL in TCPR_OPEN, where
 * the scoreboard is empty. */
struct tcp_news;
void tcp_ack_new(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		 struct tcp_news *news, uint64_t now_ns);
void tcp_update_window(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg);

/* ---- tcp_reass.c ---- */
/* Steps seven and eight: text and FIN. */
void tcp_data_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		    const void *payload, uint64_t now_ns);
/* A segment's len bytes at rcv_nxt have been stored: what is acknowledged, and when. */
void tcp_data_next(struct tcp_env *env, struct tcp_conn *c, uint32_t len, uint64_t now_ns);

/* ---- tcp_sack.c: what we tell the peer (RFC 2018, RFC 2883) ---- */
/* r is what has just been received, joined with what was there before. */
void tcp_sack_note(struct tcp_conn *c, const struct tcp_run *r);
/* [start, end) has come a second time. */
void tcp_sack_note_dup(struct tcp_conn *c, seq_t start, seq_t end);
/* rcv_nxt has moved: what lies before it is no longer told. */
void tcp_sack_received(struct tcp_conn *c);
/* Writes the blocks into a segment of len bytes that is about to leave. */
void tcp_sack_fill(struct tcp_conn *c, struct tcp_seg *seg);
/* Bytes of every segment that the blocks take, so that data leaves room for them. */
uint32_t tcp_sack_space(const struct tcp_conn *c);
static inline bool tcp_sack_telling(const struct tcp_conn *c) { return c->n_sack || c->dsack; }
/* What the peer's SYN allows (RFC 9293 3.7.1: MUST-15). */
static inline uint16_t tcp_mss_of(const struct tcp_seg *syn, const struct tcp_flow *flow)
{
	if (syn->has_mss)
		return syn->mss;
	return ipaddr_is_v4(&flow->remote.addr) ? TCP_DEFAULT_MSS : TCP_DEFAULT_MSS6;
}
/* Payload of a full segment that leaves now. */
static inline uint32_t tcp_send_mss(const struct tcp_conn *c)
{
	return unlikely(tcp_sack_telling(c)) ? c->mss - tcp_sack_space(c) : c->mss;
}

/* A segment of len bytes has come: how long are full ones of this peer? */
void tcp_estimate_peer_mss(struct tcp_conn *c, uint32_t len);

/* ---- tcp_join.c ---- */
/* c leaves the table: the other end, if that is ours, too, learns it. */
void tcp_join_end(struct tcp_conn *c);

/* ---- tcp_habit.c ---- */
/* c is about to receive its first text (it is open and passive, or has asked): if the ACK waits for an
 * answer, pingpong is set. */
void tcp_habit_start(const struct tcp_env *env, struct tcp_conn *c);
/* Active open: may the handshake's last ACK wait for text to go with? */
bool tcp_habit_speaks(const struct tcp_env *env, const struct tcp_conn *c);
/* Text or the FIN has left, without pingpong, which is set when this was an answer. */
void tcp_habit_answer(const struct tcp_env *env, struct tcp_conn *c, bool text, uint64_t now_ns);
/* An ACK has waited in vain. */
void tcp_habit_late(const struct tcp_env *env, const struct tcp_conn *c);

/* ---- tcp_output.c ---- */
/* New text or the FIN leaves: an application that answers within the delay of an ACK is known by it. */
static inline void tcp_note_answer(const struct tcp_env *env, struct tcp_conn *c, bool text, uint64_t now_ns)
{
	if (!c->pingpong)
		tcp_habit_answer(env, c, text, now_ns);
}
void tcp_output(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* One segment at snd_una, whatever the windows say. */
void tcp_retransmit_head(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* [start, end), once more, in one segment or burst; the scoreboard remembers it if it can. */
void tcp_send_again(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end,
		    uint64_t now_ns);
/* One new segment, as far as the peer's window goes, whatever cwnd says. False: there is none. */
bool tcp_send_one(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* Bytes that are taken for lost and not sent again yet. */
static inline uint32_t tcp_lost(const struct tcp_conn *c)
{
	return c->board.bytes[TCP_RUN_LOST] + c->board.bytes[TCP_RUN_LOST_AGAIN];
}
/* Bytes in the network, as far as we can tell: RFC 6675 4, RFC 8985 6. */
static inline uint32_t tcp_pipe(const struct tcp_conn *c)
{
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una);

	if (likely(c->recovery == TCPR_OPEN))
		return out;
	return out - min_u32(out, c->board.bytes[TCP_RUN_HELD] + tcp_lost(c) + c->reno_held);
}
/* New bytes that the peer's window lets out. */
static inline uint32_t tcp_wnd_room(const struct tcp_conn *c)
{
	uint32_t out = seq_diff(c->snd_nxt, c->snd_una);

	return c->snd_wnd > out ? c->snd_wnd - out : 0;
}

/* ---- tcp_emit.c ---- */
/* Sends [seq, seq + len) with flags, and with it every ACK owed. */
void tcp_emit(struct tcp_env *env, struct tcp_conn *c, uint8_t flags, seq_t seq, uint32_t len,
	      uint64_t now_ns);
void tcp_emit_syn(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
static inline void tcp_emit_ack(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns)
{
	tcp_emit(env, c, TCPF_ACK, c->snd_nxt, 0, now_ns);
}
/* May segments of one output differ in nothing but number, length and PSH? */
static inline bool tcp_emit_alike(const struct tcp_conn *c)
{
	return !(tcp_sack_telling(c) || c->ecn_ok || c->urg_tx);
}
/* Such ones, from snd_nxt on: of run bytes, segments of `each` as long as something is left behind them.
 * Gives how much that is. */
uint32_t tcp_emit_run(struct tcp_env *env, struct tcp_conn *c, uint32_t run, uint32_t each,
		      uint64_t now_ns);
/* fo: the Fast Open option, NULL: none. */
void tcp_emit_synack(struct tcp_env *env, struct tcp_synq *q, const struct tcp_fo *fo,
		     uint64_t now_ns);
void tcp_emit_synq_ack(struct tcp_env *env, struct tcp_synq *q, uint64_t now_ns);
void tcp_emit_timewait_ack(struct tcp_env *env, struct tcp_timewait *tw, uint64_t now_ns);
/* RST of a connection that exists. */
void tcp_emit_rst(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* RST in answer to seg (RFC 9293 3.10.7.1), never to a RST. */
void tcp_reply_rst(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   uint64_t now_ns);
/* May a challenge ACK be sent now (RFC 5961 7)? Counts it. */
bool tcp_may_challenge(struct tcp_env *env, uint64_t now_ns);
void tcp_challenge_ack(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* Edge of the receive window that the buffer allows, silly-window rule applied (RFC 9293
 * 3.8.6.2.2). */
static inline seq_t tcp_window_edge(const struct tcp_conn *c)
{
	uint32_t buf = min_u32(c->opts.rcvbuf, 1u << 30);
	seq_t edge = seq_add(c->irs, 1 + c->rx_head + buf);
	seq_t most = seq_add(c->rcv_nxt, (uint32_t)UINT16_MAX << c->rcv_wscale);

	if (seq_gt(edge, most)) /* no update for what the field can't say */
		edge = most;
	/* RFC 9293 3.8.6.2.2: no crumbs; 3.8.6: never to the left */
	if (seq_lt(edge, seq_add(c->rcv_adv, min_u32(buf / 2, c->rcv_mss))))
		return c->rcv_adv;
	return edge;
}

/* Window field for the next segment; what it promises is kept in rcv_adv. With a scale the field
 * may fall short of an older promise by less than one unit: we go on accepting up to the promise
 * (RFC 7323 2.4). */
static inline uint16_t tcp_take_window(struct tcp_conn *c)
{
	seq_t edge = tcp_window_edge(c);
	uint32_t wnd = seq_gt(edge, c->rcv_nxt) ? seq_diff(edge, c->rcv_nxt) : 0;
	uint32_t field = min_u32(wnd >> c->rcv_wscale, UINT16_MAX);

	c->rcv_adv = seq_max(c->rcv_adv, seq_add(c->rcv_nxt, field << c->rcv_wscale));
	return (uint16_t)field;
}
/* What a segment says of the receiving side has been said. */
static inline void tcp_ack_told(struct tcp_conn *c)
{
	c->rcv_acked = c->rcv_nxt;
	c->ack_now = c->ack_delayed = false;
	c->rx_small = c->rx_small_more = false;
	if (c->delack_ns) {
		c->delack_ns = 0;
		list_del(&c->delack_link);
	}
}

/* ---- tcp_urgent.c ---- */
/* Sixth: the URG bit of an acceptable segment. */
void tcp_urgent_input(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg);
/* Sets the pointer of a segment that is about to leave, if it lies ahead. Only with c->urg_tx. */
void tcp_urgent_mark(const struct tcp_conn *c, struct tcp_seg *seg);
/* What moves the sequence numbers on ends the urgent modes. */
static inline void tcp_urgent_acked(struct tcp_conn *c)
{
	if (unlikely(c->urg_tx) && seq_ge(c->snd_una, c->snd_up))
		c->urg_tx = false;
}
static inline void tcp_urgent_received(struct tcp_conn *c)
{
	if (unlikely(c->urg_rx) && seq_lt(c->rcv_up, c->rcv_nxt))
		c->urg_rx = false;
}

/* ---- tcp_timer.c ---- */
/* Events; the file alone decides what they arm. */
void tcp_timer_restarted(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The reordering window ends in wait_us, 0: nothing waits for it (RFC 8985 6.2 step 5). */
void tcp_timer_reordering(struct tcp_env *env, struct tcp_conn *c, uint32_t wait_us,
			  uint64_t now_ns);
/* The next piece may leave at c->pace_ns. */
void tcp_timer_paced(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
void tcp_timer_sent(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
void tcp_timer_acked(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* Data waits, nothing is in flight: only a probe can find the window open. */
void tcp_timer_stalled(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* A segment in SYN-SENT that belongs to another connection: the SYN is due again at once. */
void tcp_timer_syn_soon(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
void tcp_timer_window_opened(struct tcp_conn *c);
void tcp_timer_ack_owed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The same for the last ACK of our handshake, which tcp_habit_speaks() lets wait. */
void tcp_timer_handshake_owed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
void tcp_timer_keepalive_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The application is gone: keepalive is off, patience is shorter. */
void tcp_timer_orphaned(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
void tcp_timer_stop(struct tcp_env *env, struct tcp_conn *c);

/* ---- loss: what one ACK says, and who makes something of it ---- */
struct tcp_news {
	const struct tcp_seg *seg;
	uint64_t now_ns;
	uint32_t now_us;
	uint32_t acked;	    /* bytes that snd_una has moved */
	uint32_t delivered; /* that we now know to have arrived, and did not know before */
	seq_t fack;	    /* RACK.fack before it came */
	uint32_t rtt_us;    /* valid with has_rtt: of something that was sent once */
	struct tcp_rate_pick pick;
	bool has_rtt;
	bool sacked;	    /* more is held out of order */
	bool orig;	    /* something from before `recover` arrived that was never sent again */
	bool again;	    /* something arrived that was */
	bool dsack;
	bool rack;	    /* tcp_rack has changed */
	bool lost;	    /* more was taken for lost */
	bool ece;	    /* the peer tells of congestion (RFC 3168) */
};

/* ---- tcp_board.c: bookkeeping ---- */
/* The scoreboard was empty so far: marks that lag behind come along. */
void tcp_board_begin(struct tcp_conn *c);
void tcp_board_sack(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		    struct tcp_news *news);
/* snd_una is about to become ack. */
void tcp_board_acked(struct tcp_env *env, struct tcp_conn *c, seq_t ack, struct tcp_news *news);
/* What is plainly in flight in [start, end) is lost. False: not all of it could be noted. */
bool tcp_board_lose(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end);
void tcp_board_lose_again(struct tcp_conn *c, struct tcp_run *r);
/* The first run that is to be sent again, or NULL. */
struct tcp_run *tcp_board_next_lost(struct tcp_conn *c);
bool tcp_board_sent_again(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end,
			  uint32_t now_us);
/* What waits to be sent again was under way all the time. */
void tcp_board_unlose(struct tcp_env *env, struct tcp_conn *c);
void tcp_board_clear(struct tcp_env *env, struct tcp_conn *c);

/* ---- tcp_rack.c: detection (RFC 8985 6) ---- */
void tcp_rack_delivered(struct tcp_conn *c, struct tcp_news *news, seq_t end, uint32_t us,
			uint32_t since_us, bool again);
/* Microseconds until it is worth looking again, 0: nothing waits. */
uint32_t tcp_rack_detect(struct tcp_env *env, struct tcp_conn *c, uint32_t now_us);
/* False: nothing could be noted. */
bool tcp_rack_timeout(struct tcp_env *env, struct tcp_conn *c, uint32_t now_us);
void tcp_rack_overtaken(struct tcp_conn *c);
void tcp_rack_dsack(struct tcp_conn *c);
void tcp_rack_recovered(struct tcp_conn *c);

/* ---- tcp_ecn.c (RFC 3168, RFC 8257) ---- */
/* A SYN with these flags reaches us; o: options of the listener, or NULL. */
bool tcp_ecn_granted(const struct tcp_env *env, const struct tcp_sockopts *o, uint8_t syn_flags);
uint8_t tcp_ecn_syn_flags(const struct tcp_env *env, struct tcp_conn *c);
/* The peer's SYN or SYN-ACK. */
void tcp_ecn_learn(const struct tcp_env *env, struct tcp_conn *c, uint8_t flags);
/* A segment with data, both sides do ECN. */
void tcp_ecn_received(struct tcp_env *env, struct tcp_conn *c, const struct tcp_seg *seg,
		      uint64_t now_ns);
/* The bits of a segment that is about to leave. */
void tcp_ecn_mark(struct tcp_conn *c, struct tcp_seg *seg);

/* ---- tcp_mtu.c (RFC 1191, RFC 4821) ---- */
void tcp_mtu_init(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* peer_mss, adv_mss and the options are known: the first mss. */
void tcp_mtu_negotiated(struct tcp_conn *c);
/* A router says that packets to the peer may have mtu bytes, 0: less. */
void tcp_mtu_fell(struct tcp_env *env, struct tcp_conn *c, uint32_t mtu, uint64_t now_ns);
/* ... and that was long ago: until_ns has passed. */
void tcp_mtu_told_expired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* snd_una has moved while a probe is under way. */
void tcp_mtu_acked(struct tcp_conn *c);
/* The retransmission timer fires. */
void tcp_mtu_timeout(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* Is what has just been taken for lost the probe, and only that? Then no congestion is the reason. */
bool tcp_mtu_is_probe_lost(const struct tcp_conn *c);
void tcp_mtu_probe_lost(struct tcp_env *env, struct tcp_conn *c);
/* Payload of a probe that may leave at snd_nxt now; it counts as under way. 0: none. */
uint32_t tcp_mtu_probe_len(struct tcp_conn *c, uint64_t now_ns);

/* ---- tcp_tune.c ---- */
/* rx_head has moved: may opts.rcvbuf grow? */
void tcp_tune_read(struct tcp_conn *c, uint64_t now_ns);
/* Text has come, but not all before it. */
void tcp_tune_skip(struct tcp_conn *c, uint32_t n);
void tcp_tune_ahead(struct tcp_conn *c);
/* rcv_nxt has passed tune.round_end. */
void tcp_tune_round(struct tcp_conn *c, uint64_t now_ns);
/* Data whose echoed timestamp is another one. */
void tcp_tune_echo(struct tcp_conn *c, const struct tcp_seg *seg, uint64_t now_ns);
static inline void tcp_tune_data(struct tcp_conn *c, const struct tcp_seg *seg, uint64_t now_ns)
{
	if (unlikely(seg->tsecr != c->tune.tsecr))
		tcp_tune_echo(c, seg, now_ns);
}
/* The options are new: what has grown stays. */
void tcp_tune_opts(struct tcp_conn *c);

/* ---- tcp_brake.c ---- */
void tcp_brake_set(struct tcp_conn *c, enum tcp_brake next, uint64_t now_ns);
/* What could be sent has been; by_window: no more than the peer's window let out. */
void tcp_brake_output(struct tcp_conn *c, bool by_window, uint64_t now_ns);
/* Microseconds of one kind, with the time that is running. */
uint64_t tcp_brake_us(const struct tcp_conn *c, enum tcp_brake kind, uint64_t now_ns);

/* ---- tcp_tlp.c (RFC 8985 7) ---- */
/* From now, when the tail has to be probed; 0: not at all. */
uint64_t tcp_tlp_timeout_ns(const struct tcp_conn *c);
/* In recovery: may the head be sent once more before the timeout? */
bool tcp_tlp_may_repeat(const struct tcp_conn *c);
void tcp_tlp_fired(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* True: the probe has repaired a loss. */
bool tcp_tlp_acked(struct tcp_conn *c, const struct tcp_news *news);

/* ---- tcp_rate.c: what the hot path does itself ---- */
/* Bytes that have arrived, modulo 2^32: C.delivered. */
static inline uint32_t tcp_delivered(const struct tcp_conn *c)
{
	if (likely(c->recovery == TCPR_OPEN)) /* as tcp_pipe() */
		return (uint32_t)c->tx_bytes;
	return (uint32_t)c->tx_bytes + c->board.bytes[TCP_RUN_HELD] + c->reno_held;
}
/* CheckIfApplicationLimited(): not a whole segment waits, though it might leave. */
static inline bool tcp_rate_is_dry(const struct tcp_conn *c)
{
	return seq_lt(c->snd_end, seq_add(c->snd_nxt, c->mss)) && tcp_pipe(c) < c->cwnd &&
	       (likely(c->recovery == TCPR_OPEN) || !tcp_lost(c));
}
/* Without a model: has the marked packet arrived? */
static inline bool tcp_rate_passed(const struct tcp_conn *c)
{
	return c->rate.n && seq_le(c->rate.one.end, c->snd_una);
}
/* A burst of new data has left, its first byte is start. */
static inline void tcp_rate_sent(struct tcp_conn *c, seq_t start, uint32_t now_us)
{
	if (seq_eq(start, c->snd_una)) {
		c->rate.delivered_us = now_us;
		c->sent.past = (struct tcp_sent_mark){ start, now_us, now_us };
	}
	if (now_us - c->rate.marked_us >= c->rate.period_us)
		tcp_rate_mark(c, start, c->snd_nxt, now_us, false);
}
/* Only a model looks at what was sent again: it would know nothing in a long recovery. */
static inline void tcp_rate_sent_again(struct tcp_conn *c, seq_t start, seq_t end, uint32_t now_us)
{
	if (c->model && now_us - c->rate.marked_us >= c->rate.period_us)
		tcp_rate_mark(c, start, end, now_us, true);
}

/* ---- tcp_pace.c: only with c->paced ---- */
/* opts.pacing or the controller is another one. */
void tcp_pace_changed(struct tcp_conn *c);
/* What leaves at once, at the rate in force (draft-ietf-ccwg-bbr 5.6.3). */
uint32_t tcp_pace_quantum(const struct tcp_conn *c);
/* Bytes a second: the limit, or what it would be if there were one. */
uint64_t tcp_pace_rate(const struct tcp_conn *c);
/* Bytes that may leave now. */
uint32_t tcp_pace_budget(const struct tcp_conn *c, uint64_t now_ns);
void tcp_pace_sent(struct tcp_conn *c, uint32_t len, uint64_t now_ns);

/* ---- tcp_prr.c (RFC 6937) ---- */
/* What the ACK was: the first of a recovery, one with progress and no loss, any other. */
enum tcp_prr_kind { TCP_PRR_ENTER, TCP_PRR_GOOD, TCP_PRR_LOSING };
void tcp_prr_start(struct tcp_conn *c);
void tcp_prr_acked(struct tcp_conn *c, uint32_t delivered, enum tcp_prr_kind kind);

/* ---- tcp_undo.c (RFC 3522, 3708, 4015) ---- */
void tcp_undo_save(struct tcp_conn *c);
void tcp_undo_sent_again(struct tcp_conn *c, uint32_t len, uint64_t now_ns);
/* The peer has got b twice. */
void tcp_undo_dup(struct tcp_conn *c, const struct tcp_sack_block *b);
bool tcp_undo_wanted(const struct tcp_conn *c, const struct tcp_news *news);
void tcp_undo(struct tcp_env *env, struct tcp_conn *c, const struct tcp_news *news);

/* ---- tcp_recovery.c: when it begins and ends ---- */
/* Writes down that the state has changed. */
static inline void tcp_recovery_trace(struct tcp_conn *c, uint64_t now_ns)
{
	if (c->recovery == c->recovery_told)
		return;
	TRACE(TCP_RECOVERY, c->id, now_ns, c->recovery_told, c->recovery, c->cwnd);
	c->recovery_told = c->recovery;
}
/* acked bytes in TCPR_OPEN, where nothing else can have happened. */
void tcp_recovery_open_acked(struct tcp_conn *c, uint32_t acked, uint64_t now_ns);
/* An ACK in any other case; dup: it repeats the last one (RFC 5681 2). */
void tcp_recovery_news(struct tcp_env *env, struct tcp_conn *c, struct tcp_news *news, bool dup);
void tcp_recovery_reordering_over(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The retransmission timer fired. */
void tcp_recovery_timeout(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The path carries less than what is in flight: all of it again, or [start, end), without a smaller
 * window. */
void tcp_recovery_resend_all(struct tcp_env *env, struct tcp_conn *c);
void tcp_recovery_resend(struct tcp_env *env, struct tcp_conn *c, seq_t start, seq_t end);
