/* The door of the TCP core: everything that sock/, worker/ and the tests call, and the few things
 * that the core asks of its surroundings (struct tcp_ops).
 *
 * The core is pure: no clock, no rand, no DPDK, no shared memory, no allocation. Time and the host's
 * services come as arguments and in struct tcp_env. One env belongs to one data thread.
 *
 * Stream positions are uint32_t modulo 2^32: position 0 is the first byte after the SYN, so
 * seq = iss + 1 + pos on the send side and irs + 1 + pos on the receive side. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"
#include "stack/base/list.h"
#include "stack/base/rng.h"
#include "stack/base/wheel.h"
#include "stack/wire/tcp.h"

struct tcp_env;
struct tcp_conn;
struct tcp_listener;

/* Both ends of a segment or a connection, seen from us. */
struct tcp_flow {
	struct endpoint local, remote;
};

/* What the core asks of its surroundings. All are called on the data thread, never re-enter the
 * core, and never fail by aborting. */
struct tcp_ops {
	/* Sends one segment (ports are in seg). c is NULL for replies without a connection (RST,
	 * TIME-WAIT ACKs, SYN-ACKs of the SYN queue). Payload: seg->len bytes from position tx_pos of
	 * c's send stream; seg->len may exceed the MSS only up to env->tso_bytes. A frame that can't be
	 * sent is simply lost. */
	void (*output)(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		       struct tcp_conn *c, uint32_t tx_pos);
	/* Stores len received bytes at position pos (in or out of order, inside the advertised window)
	 * of c's receive stream. 0, or -ENOMEM: the segment is dropped and counted. */
	int (*rx_write)(struct tcp_env *env, struct tcp_conn *c, uint32_t pos, const void *p,
			uint32_t len);
	/* The three-way handshake of a passive open is complete and the accept queue of l has room:
	 * gives a zeroed tcp_conn (inside the host's own object) with the host's fields set, or NULL
	 * (no memory: the ACK is ignored, the peer will retransmit). */
	struct tcp_conn *(*conn_new)(struct tcp_env *env, struct tcp_listener *l,
				     const struct tcp_flow *flow);
	/* c, from conn_new, is ESTABLISHED and may be queued to accept(). */
	void (*accepted)(struct tcp_env *env, struct tcp_listener *l, struct tcp_conn *c);
	/* Has the application closed l, although tcp_unlisten() is still to come? May be NULL. */
	bool (*listener_closed)(struct tcp_env *env, struct tcp_listener *l);
	/* The core has forgotten c: no table, timer or list holds it, no call may name it again. Only
	 * after tcp_close() or tcp_abort(): the host may free the memory. */
	void (*released)(struct tcp_env *env, struct tcp_conn *c);
	/* c goes on as a record (TIME-WAIT, or FIN-WAIT-2 of an orphan), which may outlive it: gives what
	 * the host wants to keep until record_gone(), say the port. Both may be NULL. */
	void *(*record_new)(struct tcp_env *env, struct tcp_conn *c);
	void (*record_gone)(struct tcp_env *env, void *kept);
	/* The peer's urgent pointer names the byte at pos of c's receive stream (RFC 6093: the byte
	 * before the pointer), at or behind what is in order; it may not have arrived. Told at once,
	 * before the text of the same segment. */
	void (*urgent)(struct tcp_env *env, struct tcp_conn *c, uint32_t pos);
	/* MSS that the path to flow->remote carries (MTU - IP header - 20), 0 when there is no route. */
	uint16_t (*path_mss)(struct tcp_env *env, const struct tcp_flow *flow);
	/* The same as far as routers on the way have told, 0: they have not; and what one tells now: packets
	 * of mtu bytes, 0 less than RFC 1191's smallest. Both may be NULL. */
	uint16_t (*path_known)(struct tcp_env *env, const struct tcp_flow *flow);
	void (*path_told)(struct tcp_env *env, const struct tcp_flow *flow, uint32_t mtu);
};

/* What changed on a connection since the host last looked (c->events). */
enum tcp_event {
	TCPE_READABLE = 1 << 0,	   /* rcv position advanced */
	TCPE_WRITABLE = 1 << 1,	   /* snd_una position advanced */
	TCPE_CONNECTED = 1 << 2,   /* active open done */
	TCPE_FIN = 1 << 3,	   /* peer's FIN is in order: EOF after the data */
	TCPE_ERROR = 1 << 4,	   /* c->error says which (positive errno) */
	TCPE_CLOSED = 1 << 5,	   /* state is CLOSED (or TIME-WAIT): nothing more can happen */
	TCPE_SENT_FIN_ACKED = 1 << 6, /* our FIN is acknowledged (lingering close) */
	TCPE_SOFT_ERROR = 1 << 7,  /* c->soft_error: ICMP told us, the connection goes on */
};

enum { /* the bits of Linux' tcp_fastopen */
	TCP_FO_CLIENT = 1, TCP_FO_SERVER = 2, TCP_FO_CLIENT_NO_COOKIE = 4,
	TCP_FO_SERVER_NO_COOKIE = 0x200, TCP_FO_ALL_LISTENERS = 0x400,
};

/* NULL: no memory. Freed after the last tcp_env that uses it. */
struct tcp_fo_peers *tcp_fo_peers_new(void);
void tcp_fo_peers_free(struct tcp_fo_peers *f);

/* Per data thread. The host fills the upper part before tcp_env_init(). */
struct tcp_env {
	const struct tcp_ops *ops;
	void *host;		  /* the host's own */
	struct siphash_key key;	  /* ISN, table hash */
	struct rng *rng;
	uint32_t tso_bytes;	  /* 0: no segmentation offload, else most payload bytes an output takes */
	uint32_t max_conns;	  /* sizes the tables */
	uint32_t max_timewait;	  /* records */
	uint32_t max_synq;	  /* half-open connections of all listeners */
	/* A SYN that finds the queue full: dropped, answered by a cookie; or cookies in any case. Linux'
	 * tcp_syncookies 0, 1, 2. */
	enum tcp_cookie_mode { TCP_COOKIE_OFF, TCP_COOKIE_FULL, TCP_COOKIE_ALWAYS } syncookies;
	bool abort_on_overflow;	  /* final ACK, accept queue full: RST (Linux' tcp_abort_on_overflow) */
	uint32_t fastopen;	  /* TCP_FO_ */
	uint8_t cc;		  /* controller of who has not chosen one, 0: the first of the list */
	enum tcp_ecn_mode { TCP_ECN_IF_ASKED, TCP_ECN_ON, TCP_ECN_OFF } ecn; /* Linux' tcp_ecn 2, 1, 0 */
	/* Linux' tcp_mtu_probing: RFC 4821's search never, when a black hole is met, always. */
	enum tcp_mtu_probing { TCP_MTU_NEVER, TCP_MTU_BLACK_HOLE, TCP_MTU_ALWAYS } mtu_probing;
	uint16_t base_mss;	  /* Linux' tcp_base_mss, where the search begins; 0: 1024 */
	/* What Fast Open's clients know of servers, shared by threads that have the same key; NULL:
	 * tcp_env_init() makes one. */
	struct tcp_fo_peers *fo_peers;
	/* the core's from here on */
	struct wheel wheel;
	struct list touched;	  /* conns with events, by touch_link: the host drains it */
	struct list pending;	  /* conns with something to send at the next flush */
	struct list delacks;	  /* conns whose ACK is delayed, the one that is due first in front ... */
	struct list handshakes;	  /* ... and those where it is the handshake's last one */
	struct tcp_table *table;
	/* While ops->output() sends the SYN-ACK of a listener: its options, else NULL. */
	const struct tcp_sockopts *synack_opts;
	struct tcp_cookies { /* secrets of this tick and the last (tcp_cookie.c) */
		struct siphash_key key[2];
		uint64_t tick;
		bool drawn;
	} cookies;
	struct tcp_challenge { uint64_t window_ns; uint32_t left; } challenge;
	uint32_t n_conns, n_synq, n_timewait;
};

/* 0 or -ENOMEM. The only allocation of the core is here: tables and record pools. */
int tcp_env_init(struct tcp_env *env, uint64_t now_ns);
/* Asserts (CHECK) that no connection and listener is left, drops TIME-WAIT and SYN records. */
void tcp_env_fini(struct tcp_env *env);

/* TCP_FASTOPEN_KEY of a listener: cookies are made with the first, those of the second are good, too. */
struct tcp_fo_keys {
	struct siphash_key key[2];
	uint32_t n; /* 0: cookies are the stack's own */
};

/* A listening endpoint. addr may be any (v4-mapped any or ::, which serves v4 too unless v6only). */
struct tcp_listener {
	struct endpoint local;
	bool v6only;
	bool reuseport;		 /* several listeners on one endpoint share by flow hash */
	uint32_t backlog;	 /* as Linux: a new SYN is dropped when n_acceptq > backlog */
	uint32_t n_acceptq;	 /* kept by the host: established, not yet taken by accept() */
	struct tcp_fo_keys fo_keys;
	struct tcp_listen_all *all; /* the socket has listeners elsewhere, too; or NULL (tcp_limits.h) */
	uint32_t n_synq;	 /* the core's from here on: half-open connections ... */
	uint32_t n_young;	 /* ... whose SYN-ACK was sent only once */
	uint64_t cookie_ns;	 /* last cookie sent, 0: none */
	struct list fo;		 /* opened at once (RFC 7413), final ACK still to come; so many */
	uint32_t n_fo;
	uint32_t n_fo_reset;	 /* of those lately reset, the last one ... */
	uint64_t fo_reset_ns;	 /* ... then */
	struct tcp_sockopts *opts; /* inherited by accepted connections */
	struct list link;	 /* table */
	void *host;
};
/* 0 or -EADDRINUSE. */
int tcp_listen(struct tcp_env *env, struct tcp_listener *l);
/* Half-open connections of l go to another listener of its SO_REUSEPORT group (as on Linux with
 * tcp_migrate_req); without one they are dropped silently (Linux resets them when their ACK arrives). */
void tcp_unlisten(struct tcp_env *env, struct tcp_listener *l);
/* Is there a listener that a SYN to `local` would reach? */
bool tcp_has_listener(struct tcp_env *env, const struct endpoint *local);

/* Is there a connection, TIME-WAIT or request that seg belongs to, for a SYN a listener, or does it bring
 * back a cookie of ours? */
bool tcp_knows(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       uint64_t now_ns);

/* Options of the application. Zeroed memory is Linux's default except rcvbuf, sndbuf (bytes that
 * the application may have queued) that the host always sets. */
struct tcp_sockopts {
	/* what each segment looks at: TCP_OPTS_HOT bytes */
	uint32_t rcvbuf;	     /* bytes; bounds the advertised window */
	uint32_t user_timeout_ms;    /* 0 = default */
	uint32_t label;		     /* IPv6 flow label, 0 = none is given: with no_label 0, else one of the
				      * stack's own choice, ... */
	bool no_label;
	uint8_t label_turn;	     /* ... another after each timeout: the core counts them here */
	bool nodelay, cork;
	uint8_t ttl, tos;	     /* 0 = default */
	uint8_t minttl;		     /* IP_MINTTL: what comes from farther away is dropped */
	uint8_t hops, tclass;	     /* the same by IPv6 */
	bool may_cut;		     /* routers may fragment what is sent: not RFC 1191's DF */
	bool keepalive, quickack;

	uint32_t sndbuf;	     /* bytes that the application may have queued */
	uint32_t rcvbuf_max;	     /* rcvbuf grows by itself up to this (tcp_tune.c), 0: it is fixed */
	bool delack;		     /* TCP_QUICKACK 0: the program will answer */
	bool no_rehash;		     /* the same flow label for ever */
	uint16_t user_mss;	     /* TCP_MAXSEG, 0 = none */
	uint32_t keepidle_s, keepintvl_s, keepcnt; /* 0 = 7200, 75, 9 */
	uint32_t pacing;	     /* SO_MAX_PACING_RATE, bytes a second, 0 = none */
	uint32_t syncnt;	     /* 0 = 6 */
	int32_t linger2_s;	     /* FIN-WAIT-2 life of an orphan, 0 = 60, < 0 = none */
	uint8_t minhops;	     /* of a listener; of a connection minttl is that of its family */
	uint8_t cc;		     /* 0 = default, else 1 + index into the list of controllers */
	uint8_t defer;		     /* listener: how often the SYN-ACK is due until data is waited for */
	bool deaf6;		     /* over IPv6 nothing that routers say of sizes is heard */
	uint16_t fastopen;	     /* listener: so many may be open before their final ACK, 0 = none */
	bool fastopen_syn;	     /* active open: data may ride on the SYN */
	bool fastopen_no_cookie;
};
enum { TCP_OPTS_HOT = 24 };
_Static_assert(offsetof(struct tcp_sockopts, sndbuf) == TCP_OPTS_HOT, "struct tcp_conn counts on it");

/* Active open. c is zeroed by the host except opts; the 4-tuple must be free (tcp_tuple_in_use).
 * 0, -EADDRNOTAVAIL (tuple in use), -ENETUNREACH (no route). The SYN leaves at the next flush; with
 * fo_room set it waits for the first tcp_app_wrote(), of which it takes so many bytes along. */
int tcp_connect(struct tcp_env *env, struct tcp_conn *c, const struct tcp_flow *flow, uint64_t now_ns);
/* True while a connection, half-open record or TIME-WAIT record that may not be reused holds it. */
bool tcp_tuple_in_use(struct tcp_env *env, const struct tcp_flow *flow, uint64_t now_ns);

/* The application has written up to stream position tail (monotone, checked by the host against the
 * buffer size). Sending happens at the next flush. push: no more data follows at once. */
void tcp_app_wrote(struct tcp_env *env, struct tcp_conn *c, uint32_t tail, uint64_t now_ns);
/* Is the other end of c a connection of this env, too? Then so many bytes of what has been written up to tail
 * and not been sent may be handed to *peer now (tcp_join.c), before tcp_app_wrote() is told of them; 0: send
 * them. No segment between the two may be under way. */
uint32_t tcp_join_room(struct tcp_env *env, struct tcp_conn *c, uint32_t tail, struct tcp_conn **peer,
		       uint64_t now_ns);
/* n of them are in its receive stream: sent, received and acknowledged. */
void tcp_join_passed(struct tcp_env *env, struct tcp_conn *c, uint32_t n, uint64_t now_ns);
/* The programs themselves have passed n bytes (any number, modulo 2^32) from c to its other end, behind all
 * that TCP has sent, and the receiver has read up to stream position head. Only after tcp_join_may_skip():
 * false while something is under way, or the other end is not known. */
bool tcp_join_may_skip(struct tcp_env *env, struct tcp_conn *c);
void tcp_join_skip(struct tcp_env *env, struct tcp_conn *c, uint32_t n, uint32_t head, uint64_t now_ns);
/* Such bytes have found that the other end had been closed: c ends as by its RST. */
void tcp_join_refused(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The application waits for room in the send buffer. Once in a wait is enough. */
void tcp_app_waits(struct tcp_conn *c, uint64_t now_ns);
/* ... and has been told that there is some. */
void tcp_app_has_room(struct tcp_conn *c, uint64_t now_ns);
/* The byte at pos, which has been written, is urgent: told to the peer until it has acknowledged it
 * (RFC 9293 3.8.5). An older one is urgent no longer. */
void tcp_app_urgent(struct tcp_env *env, struct tcp_conn *c, uint32_t pos);
/* The application has read up to stream position head; may cause a window update. */
void tcp_app_read(struct tcp_env *env, struct tcp_conn *c, uint32_t head, uint64_t now_ns);
/* What getsockopt(SO_RCVBUF) says of a buffer that grows by itself: Linux' sk_rcvbuf after what was read so
 * far, 0: it has not grown. */
uint32_t tcp_rcvbuf_told(const struct tcp_conn *c);
/* How much the application may have written that is not acknowledged, by the window. */
uint32_t tcp_tune_sndbuf(const struct tcp_conn *c);
/* Half close: a FIN follows the last byte written. */
void tcp_shutdown(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The other half: nobody reads any more. With our FIN sent, more text is answered by a RST. */
void tcp_shutdown_rcv(struct tcp_conn *c);
/* The application is gone. Unread data: RST (RFC 2525 2.17); else FIN and an orphan that ends by
 * itself. ops->released() is called, now or later. */
void tcp_close(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* RST at once; ops->released() is called before it returns. */
void tcp_abort(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* The first hop to c's peer takes segments of another size (ops->path_mss), or there is another first hop. */
void tcp_path_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);
/* Options changed (nodelay set: send what waits; keepalive: arm ...). */
void tcp_opts_changed(struct tcp_env *env, struct tcp_conn *c, uint64_t now_ns);

/* One segment from the wire or from loopback: flow.local is its destination. payload has seg->len
 * bytes. Checksums are checked by the caller. */
void tcp_input(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
	       const void *payload, uint64_t now_ns);
/* The same with the payload in n pieces, which are taken like segments of their own that came together: it
 * is what they were before somebody joined them, each of mss bytes (0: unknown). False, and nothing has
 * happened: the connection or the segment is no ordinary one, the payload must be put together first. */
struct tcp_piece {
	const void *p;
	uint32_t len;
};
bool tcp_input_pieces(struct tcp_env *env, const struct tcp_flow *flow, const struct tcp_seg *seg,
		      const struct tcp_piece *piece, uint32_t n, uint16_t mss, uint64_t now_ns);
/* IP_MINTTL: can an error come from near enough that quotes a packet of ours with so many hops left? */
bool tcp_icmp_is_near(struct tcp_env *env, const struct tcp_flow *flow, uint8_t ttl);
/* For a burst of segments: starts fetching where flow's connection is looked for, and with the result for all
 * of them, the connections themselves; NULL: none is there. */
uint32_t tcp_ahead(const struct tcp_env *env, const struct tcp_flow *flow);
struct tcp_conn *tcp_ahead_conn(const struct tcp_env *env, uint32_t hash);
/* ICMP error about a segment that we sent: err is a positive errno (EHOSTUNREACH, ECONNREFUSED,
 * EMSGSIZE with mtu ...), hard says whether RFC 1122 lets it end a connection in SYN-SENT. */
void tcp_icmp_error(struct tcp_env *env, const struct tcp_flow *flow, seq_t seq, int err, bool hard,
		    uint32_t mtu, uint64_t now_ns);
/* Timers due at now_ns. */
void tcp_advance(struct tcp_env *env, uint64_t now_ns);
/* Sends what input, application and timers made ready: once per burst. */
void tcp_flush_pending(struct tcp_env *env, uint64_t now_ns);
static inline void tcp_flush(struct tcp_env *env, uint64_t now_ns)
{
	if (!list_empty(&env->pending))
		tcp_flush_pending(env, now_ns);
}
/* When tcp_advance must be called next; UINT64_MAX: no timer. */
uint64_t tcp_next_ns(const struct tcp_env *env);

/* For getsockopt(TCP_INFO), `fastnet ss` and tests; laid out as linux/tcp.h's struct tcp_info. */
struct tcp_info;
void tcp_fill_info(const struct tcp_env *env, const struct tcp_conn *c, struct tcp_info *ti,
		   uint64_t now_ns);
