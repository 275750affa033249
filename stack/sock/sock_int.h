/* What the files of stack/sock tell each other. Nothing outside includes this, except their tests. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/slab.h"
#include "stack/base/stats.h"
#include "stack/chan/evq.h"
#include "stack/chan/stream.h"
#include "stack/net/ports.h"
#include "stack/sock/buddy.h"
#include "stack/sock/client.h"
#include "stack/sock/sock_dgram.h"
#include "stack/sock/sock_lane.h"
#include "stack/tcp/tcp_conn.h"
#include "stack/tcp/tcp_limits.h"

enum {
	SOCK_RX_FIRST = 4 << 10,  /* first receive ring */
	SOCK_TX_FIRST = 16 << 10, /* first send ring */
	SOCK_RCVBUF = 1 << 20,	  /* default window, before it has grown ... */
	SOCK_RCVBUF_MAX = UINT16_MAX << 7, /* ... and when it has: what Linux's usual scale can tell */
	SOCK_SNDBUF_MIN = 128 << 10, /* default send buffer before it has grown ... */
	SOCK_SNDBUF_NEAR = 512 << 10, /* the same where the other end is on this engine: a thread that has
				       * filled it lets the next one have the processor */
	SOCK_SNDBUF_MAX = 64 << 20,  /* ... and when it has: twice a window, of a gigabit over 250 ms */
	SOCK_BUF_MIN = 4 << 10, SOCK_BUF_MAX = 16 << 20, /* what SO_RCVBUF and SO_SNDBUF may ask */
	SOCK_CLAMP_MIN = 1152,	  /* TCP_WINDOW_CLAMP */
	SOCK_BACKLOG_MAX = 4096,
	SOCK_BLOCK = 4096,	  /* socket ids that a worker takes at a time */
	SOCK_TAKE = 256,	  /* dirty sockets of a client a round */
	SOCK_AHEAD = 4,		  /* of these, so many are fetched ahead ... */
	SOCK_MANY = 512,	  /* ... for who has more than stay in the cache by themselves */
	SOCK_PAYLOADS = 16,	  /* payload extents of one kind and worker */
	SOCK_TYPE_STREAM = 1,	  /* Linux's SOCK_STREAM: chan_call_b.type, chan_sock_a.type */
	SOCK_TYPE_DGRAM = 2,	  /* SOCK_DGRAM */
};

/* A ring of a stream: the published segment and where it lies here. */
struct sock_seg {
	struct chan_seg s; /* trusted copy */
	uint8_t *base;	   /* of the ring */
	uint8_t ext, order; /* to give it back */
};
struct sock_ring {
	uint32_t first, n;		/* segments [first, n) are alive */
	struct sock_seg seg[CHAN_SEGS]; /* slot i % CHAN_SEGS */
};
static inline struct sock_seg *ring_last(struct sock_ring *r)
{
	return &r->seg[(r->n - 1) % CHAN_SEGS];
}

/* A connection that waits for accept(). */
struct sock_pending {
	uint32_t sock, gen, worker;
};
/* A listening socket on its home worker, or its proxy on another one. */
struct listener {
	struct tcp_listener tl;
	struct tcp_sockopts opts;
	struct client *client;
	struct sock *home;  /* NULL: a proxy */
	uint32_t sock, gen; /* of the home socket */
	uint32_t home_worker;
	uint32_t round;	    /* which listen() of the socket it is */
	uint32_t embryos;   /* from conn_new, not yet ESTABLISHED */
	uint32_t close_seq; /* of the home socket when somebody was found to hold it */
	struct port_hold *hold;
	bool is_v6;
	/* home only */
	struct sock_pending *pending; /* [pending_mask + 1], by position */
	uint32_t pending_mask;
	uint32_t head, tail;	      /* taken (checked), put */
	uint32_t acks;		      /* LISTEN_ACKs awaited by the call below */
	uint32_t call_slot, call_seq;
	struct list link;	      /* cw->listeners or cw->proxies */
};

/* One application socket. Memory from priv->socks; zeroed when made. */
struct sock {
	union {
		struct tcp_conn conn;
		struct dgram dg; /* dgram */
	};
	struct list link;      /* cw->socks */
	struct port_hold *hold;
	struct endpoint local; /* bound to; port 0: not */
	/* hot from here on up to the first segments of both rings, see struct tcp_conn */
	struct client_worker *cw;
	struct chan_sock_a *a;
	struct chan_sock_b *b; /* hostile */
	struct list event_link; /* priv->event */
	struct listener *l;  /* listening */
	uint32_t flags_a;    /* as published */
	uint32_t tx_tail;    /* application's positions, checked */
	uint32_t rx_head;
	uint32_t rx_tail;    /* published */
	uint32_t rx_end;     /* behind the highest position stored */
	uint32_t tx_una;     /* published */
	uint32_t evseq;
	uint32_t close_seq, opt_seq;
	uint32_t notified[CHAN_SUBS]; /* as published */
	uint16_t pushed[CHAN_SUBS];   /* b->sub[i] when notified[i] was last counted up */
	uint32_t id;
	uint32_t sndbuf;     /* SO_SNDBUF, 0: grows by itself */
	uint32_t rx_space;   /* conn.tune.space as a->rcvbuf knows it */
	uint8_t signals;     /* enum sock_signal, due at the end of the burst */
	uint8_t early;	     /* those that came before the line which connect() has promised */
	uint8_t flags_b;     /* CHAN_B_SHUT_* already acted upon */
	bool line_comes : 1;
	bool dgram : 1;	     /* which of the union it is */
	bool started : 1;    /* the core has conn */
	bool passive : 1;    /* came from a listener */
	bool auto_port : 1;  /* connect() chose the port: bind() never did */
	bool queued : 1;     /* in an accept queue: belongs to the listener */
	bool established : 1; /* has been */
	bool closing : 1;    /* given to tcp_close(): an orphan */
	bool reopen : 1;     /* released() keeps it: connect() anew */
	bool publish : 1;    /* on priv->event */
	bool wake : 1;	     /* evseq moved: wake futex waiters */
	bool push : 1;	     /* tell event queues */
	bool stamp : 1;	     /* CHAN_O_TIMESTAMP */
	bool recverr : 1;    /* CHAN_O_RECVERR */
	bool recverr6 : 1;   /* CHAN_O_RECVERR6 */
	bool lowat : 1;	     /* TCP_NOTSENT_LOWAT is set */
	bool una_moved : 1;  /* look at TX_WAIT after the fence */
	bool head_look : 1;  /* WANT_HEAD was just set: look at rx_head after the fence */
	bool v6 : 1;
	bool near_known : 1; /* is_near has been found out */
	bool is_near : 1;    /* connected to an address of our own */
	struct sock_ring rx, tx;

	uint32_t gen;
	uint32_t state;	     /* enum chan_sock_state, as published */
	uint32_t err_seq;
	uint32_t n_listens;  /* times that it has begun to listen */
	struct sock_lane *lane; /* NULL: none; see sock_lane.c, as the next two */
	uint8_t lane_end;
	uint16_t passes;
	struct chan_urg urg; /* the peer's urgent byte as published, seq 0: none so far */
	uint32_t urg_floor;  /* as published */
	uint32_t urg_tx;     /* number in b->urg_tx that was last carried out */
};
_Static_assert(offsetof(struct sock, cw) % CACHE_LINE == 0 &&
	       offsetof(struct sock, rx) == offsetof(struct sock, cw) + 2 * CACHE_LINE,
	       "hot lines: something cold has to move to the other side");
static inline struct sock *sock_of(struct tcp_conn *c)
{
	return container_of(c, struct sock, conn);
}
/* Datagram sockets cost a connection nothing. */
_Static_assert(sizeof(struct dgram) <= sizeof(struct tcp_conn), "struct sock");

/* One call of the application being carried out. */
struct call {
	struct client_worker *cw;
	struct chan_call_b req; /* our copy */
	uint32_t slot;
	struct sock *s; /* by req.sock and req.gen, NULL: none; then what the answer names */
	bool made;	/* s is new */
};

struct sock_payload {
	uint32_t n;
	struct {
		struct buddy buddy;
		uint8_t *base;
		uint32_t number; /* of the extent */
	} ext[SOCK_PAYLOADS];
	bool wanted; /* EXTENT_WANTED is under way */
	uint32_t used, peak; /* pages given out; most since memory was given back last */
	/* what is still to be looked through for that */
	uint32_t shed;		   /* extents, 0: none */
	uint32_t shed_at, shed_end; /* pages of the last one of these */
};

/* A client as one data thread sees it. */
/* Calls that wait for what happened before them (sock_late.c). */
struct call_late {
	uint64_t slots[CHAN_MAX_CALLS / 64];
	uint32_t n;
	struct {
		uint32_t mark;	   /* of the ends of processes; of a round: its number */
		uint32_t left;	   /* answers of this round that are still to come */
		uint32_t rounds;   /* still to come */
		bool settles;	   /* rounds, not ends */
		uint64_t since_ns;
	} slot[CHAN_MAX_CALLS];
	uint32_t last_round;
};

struct client_worker {
	struct client *client;
	struct sock_env *env; /* NULL: not added yet */
	struct list link;     /* env->clients or env->closing */
	struct list ring_link; /* priv->rings: doorbells to ring */
	struct list socks;
	struct list listeners; /* struct listener, of this worker's sockets */
	struct list proxies;   /* struct listener, of other workers' sockets */
	struct list lanes;     /* ends of lanes in this client's memory: sock_lane.c, as the next three */
	struct lane_pool *lane_pool;
	struct lane_peer *peers;
	uint32_t n_peers;
	struct sock **block[CHAN_MAX_SOCKS / SOCK_BLOCK]; /* [id / SOCK_BLOCK][id % SOCK_BLOCK] */
	uint32_t *free_ids;   /* stack */
	uint32_t n_free, cap_free;
	uint32_t n_socks;
	uint32_t gen;	      /* of the newest socket: no other of this worker has had it */
	uint32_t peak_socks; /* most since memory was given back last */
	uint32_t shed_ids;   /* portions of ids that are still to be looked through for it */
	uint32_t shed_rounds; /* times that this has begun */
	bool shed;	     /* sock_shed() has something to do */
	struct sock_payload payload[2]; /* [enum region_kind] */
	struct chan_evq_out evq[CHAN_MAX_EVQS];
	uint8_t evq_hit[CHAN_MAX_EVQS];	    /* on ring_list */
	uint16_t ring_list[CHAN_MAX_EVQS];
	uint32_t n_ring;
	uint64_t drain_until_ns; /* closing: orphans are reset then */
	struct call_late late;
	bool violated, deleting, gone;
};

/* The private part of a sock_env. */
struct sock_priv {
	struct slab socks;
	struct list event; /* sockets to publish, by event_link */
	struct list rings; /* client_workers with doorbells to ring */
	uint64_t drain_look_ns;
	uint32_t n_late; /* clients with calls that wait */
	struct list later; /* mail for full mailboxes (sock_post.c) */
	uint32_t ids[SOCK_TAKE];
};
static inline struct sock_env *env_of(struct tcp_env *tcp) { return tcp->host; }

/* ---- sock_life.c: birth and death of a socket ---- */
/* NULL: quota, ids or memory. Its B half is reset; a->state is OPEN. */
struct sock *sock_new(struct client_worker *cw);
/* Gives id, rings, port and memory back; the core does not know it (any more). */
void sock_free(struct sock *s);
/* NULL: no such socket. */
struct sock *sock_find(struct client_worker *cw, uint32_t id);
/* The application is gone: close as Linux does. s may be freed when this returns. */
void sock_close(struct sock *s);
/* RST, free. */
void sock_abort(struct sock *s);
/* No live process has it, and no accept queue: close. */
void sock_check_held(struct sock *s);
bool sock_is_held(const struct client *c, uint32_t id);
bool sock_listener_closed(struct tcp_env *tcp, struct tcp_listener *tl); /* tcp_ops */
void sock_released(struct tcp_env *tcp, struct tcp_conn *c);
/* Its port stays taken while it is in TIME-WAIT. */
void *sock_record_new(struct tcp_env *tcp, struct tcp_conn *c);
void sock_record_gone(struct tcp_env *tcp, void *kept);

/* ---- sock_shed.c ---- */
/* A socket has gone: is it time? */
void sock_shed_look(struct client_worker *cw);
/* ... pages of payload. */
void sock_shed_payload_look(struct client_worker *cw, struct sock_payload *p);
/* One portion, while cw->shed. */
void sock_shed(struct client_worker *cw);

/* ---- sock.c ---- */
/* What this client has marked and asked. False: nothing. */
bool sock_poll_client(struct sock_env *env, struct client_worker *cw);
/* Something that the application did: positions, flags, options, close. s may be freed. */
void sock_dirty(struct sock *s);
/* As far as the application has written: checked. False: violation. */
bool sock_take_tx(struct sock *s);
bool sock_take_rx(struct sock *s);
/* The same for positions that have been loaded already. */
bool sock_take_tx_to(struct sock *s, uint32_t tail);
bool sock_take_rx_to(struct sock *s, uint32_t head);
/* Has the program shut down reading since the last look? Takes note of it, is s marked already or not. */
bool sock_take_shut_rd(struct sock *s);
/* The same of writing, when all that it has written before is with TCP. */
void sock_take_shut_wr(struct sock *s);
/* Takes b->opts, clamped, over to the connection or listener. */
void sock_take_opts(struct sock *s);
struct tcp_sockopts sock_opts(const struct chan_opts *o);
/* Those, and what the socket has beside them. */
struct tcp_sockopts sock_tcp_opts(const struct chan_sock_b *b, const struct chan_opts *o);
/* The few that this side looks at itself. */
void sock_note_opts(struct sock *s, const struct chan_opts *o);
struct chan_opts sock_read_opts(const struct chan_sock_b *b);
/* What all applications have done to their sockets so far is done. */
void sock_settle(struct sock_env *env);
/* The application wrote nonsense: it will be detached. */
void sock_violation(struct client_worker *cw, const char *what);

/* ---- sock_cmd.c ---- */
/* Carries out the calls whose slots are set in taken. */
void sock_calls(struct client_worker *cw, uint64_t taken[CHAN_MAX_CALLS / 64]);
/* How far a call has come: it may wait twice. */
enum call_stage {
	CALL_NEW,
	CALL_ENDS_KNOWN, /* of processes that ended before it */
	CALL_SETTLED,	 /* what was closed before it is closed */
};
void sock_call_again(struct client_worker *cw, uint32_t slot, enum call_stage stage);
/* Answers call `slot` if it still is request seq. */
void sock_reply(struct client_worker *cw, uint32_t slot, uint32_t seq, int result,
		const struct sock *s);
/* A socket for a call that makes one, NULL: none to be had. */
struct sock *sock_make(struct call *k);
/* PORTS_ of CHAN_O_. */
uint32_t sock_port_flags(uint32_t opt_flags);

/* ---- sock_info.c ---- */
/* CHAN_OP_INFO. */
int sock_info(struct call *k);

/* ---- sock_post.c: mail to other data threads ---- */
/* Arrives after all that was posted before it. False: no memory. */
bool sock_post(struct sock_env *env, uint32_t to, const struct sock_mail *m);
/* What could not be delivered so far. */
void sock_post_rest(struct sock_env *env);
/* That, as far as it is about c; NULL: all of it. */
void sock_post_forget(struct sock_env *env, const struct client *c);

/* ---- sock_fo_key.c ---- */
/* len bytes of a program's key, 0: none, keys stay. 0 or -EINVAL. */
int sock_fo_keys_take(struct tcp_fo_keys *keys, const uint8_t key[CHAN_FO_KEY_MAX], uint64_t len);
/* CHAN_OP_FO_KEY. */
int sock_fo_key(struct call *k);

/* ---- sock_listen.c ---- */
/* 0, -errno, or 1: answered later (sock_reply). */
int sock_listen(struct sock *s, uint32_t backlog, const struct tcp_fo_keys *keys, uint32_t slot,
		uint32_t seq);
/* The options of a listening socket have changed. */
void sock_listener_opts(struct sock *s, const struct chan_opts *o);
/* The other data threads shall have what is new, too. */
void sock_listener_changed(struct sock *s);
/* News of SOCK_MAIL_LISTEN, LISTEN_OPTS that nobody will get. */
void sock_listen_unsent(struct sock_env *env, struct listener *proxy);
/* No listener any more: connections nobody has taken are reset. */
void sock_unlisten(struct sock *s);
/* accept() has taken connections: they belong to the application now. */
void sock_accept_taken(struct sock *s);
void sock_listen_mail(struct sock_env *env, const struct sock_mail *msg);
void sock_proxies_close(struct client_worker *cw);
/* Those of sockets that no live process holds go. */
void sock_proxies_check(struct client_worker *cw);
struct tcp_conn *sock_conn_new(struct tcp_env *tcp, struct tcp_listener *l,
			       const struct tcp_flow *flow);
void sock_accepted(struct tcp_env *tcp, struct tcp_listener *l, struct tcp_conn *c);

/* ---- sock_buf.c ---- */
/* Opens the next segment at `start` with size bytes. 0, -ENOBUFS (no memory, quota), -EAGAIN (all
 * slots alive). */
int sock_ring_open(struct sock *s, enum region_kind kind, uint32_t start, uint32_t size);
/* Gives back the segments that end at or before pos. Mostly there is one, which stays. */
void sock_ring_trim_slow(struct sock *s, enum region_kind kind, uint32_t pos);
enum { SOCK_RING_NEAR = 1 << 30 }; /* pos may be so far from the start of a lone segment */
static inline void sock_ring_trim(struct sock *s, enum region_kind kind, uint32_t pos)
{
	struct sock_ring *r = kind == REGION_DOWN ? &s->rx : &s->tx;

	if (unlikely(r->n - r->first != 1 ||
		     (int32_t)(pos - ring_last(r)->s.start) >= SOCK_RING_NEAR))
		sock_ring_trim_slow(s, kind, pos);
}
void sock_ring_free(struct sock *s);
/* Makes room for received positions up to end: 0 or -ENOMEM. */
int sock_rx_room(struct sock *s, uint32_t end);
/* Bytes into the receive ring at pos and out of it; there is room. s->rx_end is the caller's. */
int sock_rx_store(struct sock *s, uint32_t pos, const void *p, uint32_t len);
bool sock_rx_load(struct sock *s, uint32_t pos, void *p, uint32_t len);
/* The TCP core's way in: both of them. */
int sock_rx_write(struct tcp_env *tcp, struct tcp_conn *c, uint32_t pos, const void *p,
		  uint32_t len);
/* The ring of the error queue. 0 or -ENOBUFS. */
int sock_errq_open(struct sock *s, uint32_t size);
/* Up to 8 pieces that hold [pos, pos + len); how many, 0 when some byte has no place. */
unsigned sock_tx_pieces(struct sock *s, uint32_t pos, uint32_t len, struct sock_piece piece[8]);
/* CHAN_OP_TX_GROW. */
int sock_tx_grow(struct sock *s, uint64_t want, uint32_t tail);
int sock_payload_add(struct client_worker *cw, enum region_kind kind, uint32_t number, void *base,
		     uint64_t bytes);

/* ---- sock_pipe.c ---- */
/* A connection has come about: its send buffer is SOCK_SNDBUF_NEAR if the other end is on this engine. */
void sock_near_buffer(struct sock *s);
/* Hands what s has written and not sent to the other end, if that is a socket here. */
void sock_pipe(struct sock *s);

/* ---- sock_urgent.c ---- */
void sock_urgent(struct tcp_env *tcp, struct tcp_conn *c, uint32_t pos);
/* The application may have sent with MSG_OOB. */
void sock_take_urgent(struct sock *s);

/* ---- sock_signal.c ---- */
/* What Linux would tell the owner of the socket now; with a sock_touch(), or from within publishing. */
enum sock_signal { SOCK_SIGNAL_IN = 1, SOCK_SIGNAL_OUT = 2, SOCK_SIGNAL_HUP = 4 };
static inline void sock_signal(struct sock *s, uint8_t what) { s->signals |= what; }
void sock_send_signals(struct sock *s);
/* The line is there: what was too early for it. */
void sock_line_came(struct sock *s);
/* SIGURG, at once. */
void sock_signal_urgent(struct sock *s);
/* s goes, and so does its line. */
void sock_line_close(struct sock *s);
static inline bool sock_has_line(const struct sock *s)
{
	return atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SIGNALS;
}

/* ---- sock_event.c ---- */
/* s has news: publish it at the end of the burst. wake: futex waiters; push: event queues too. */
void sock_touch(struct sock *s, bool push);
void sock_set_state(struct sock *s, uint32_t state);
void sock_set_flag(struct sock *s, uint32_t set, uint32_t clear);
/* What lies before una in the send ring is done with. */
void sock_tx_done(struct sock *s, uint32_t una);
/* The application has read up to s->rx_head: TCP is told, and whether we want to know of the next read. */
void sock_head_moved(struct sock *s);
/* Shall the application tell when it reads? */
void sock_want_head(struct sock *s);
/* What SO_RCVBUF reads while it grows by itself. */
void sock_tell_rcvbuf(struct sock *s);
void sock_set_error(struct sock *s, int err);
/* The stream has been sent up to pos. */
void sock_sent(struct sock *s, uint32_t pos);
/* Wakes everything that sleeps in the client: it has been detached. */
void sock_wake_client(struct client_worker *cw);
void sock_wake_last(struct sock *s);

/* ---- sock_late.c ---- */
/* A request that has just been taken: must it wait? sock_late_poll() goes on with it then. */
bool sock_call_waits(struct client_worker *cw, uint32_t slot, const struct chan_call_b *req);
/* Its answer is to be EADDRINUSE: that waits, and the call is made again, when all closes are done that
 * were made before it. */
void sock_call_settles(struct client_worker *cw, uint32_t slot);
bool sock_late_poll(struct sock_env *env);
void sock_late_mail(struct sock_env *env, const struct sock_mail *msg);
/* The client goes. */
void sock_late_drop(struct client_worker *cw);
/* ... those of a process that has ended. */
void sock_late_drop_of(struct client_worker *cw, uint32_t proc);

/* ---- sock_client.c ---- */
struct client_worker *client_worker_new(struct client *c);
void client_worker_free(struct client_worker *cw);
void client_mail(struct sock_env *env, const struct sock_mail *msg);
/* Orphans of closing clients: has one drained, or taken too long? */
void client_drain(struct sock_env *env);
