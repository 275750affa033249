/* THE shared-memory ABI between an application (shim) and the engine: every struct that both
 * processes see, with its size asserted. No code beyond address arithmetic.
 *
 * Five kinds of memory, each a file ("extent") that no program can shorten, mapped at any address on
 * either side:
 *   E  engine page, one for the whole engine, read-only for applications
 *   A  "down", one per client: written by the engine, read-only for the application
 *   B  "up", one per client: written by the application; the engine reads it as hostile
 *   P  payload extents, any number per client: kind A (receive rings) or kind B (send rings)
 *   D  "direct", one per client: what programs of the same user write into each other (chan/lane.h)
 * A client is one trust domain: a process and what it forks. All its processes map the same extents.
 *
 * The extents are sparse: tables are laid out for their largest size, pages cost when touched.
 * Addresses are (extent number, offset); never pointers. Members have fixed width, no bool, no enum.
 *
 * Who writes: [e] engine (control thread or the socket's worker), [a] application.
 * Reading rule for the engine: an index out of B is loaded once, checked against a private copy, then
 * used. Changing anything here bumps CHAN_VERSION. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum chan_extent_no { CHAN_EXT_ENGINE, CHAN_EXT_A, CHAN_EXT_B, CHAN_EXT_PAYLOAD };
enum {
	CHAN_MAGIC = 0x464e4554, /* FNET */
	CHAN_VERSION = 17,
	CHAN_MAX_WORKERS = 16,
	CHAN_MAX_SOCKS = 64 * 64 * 64, /* per client: three levels of 64-bit dirty words */
	CHAN_MAX_PROCS = 1024,	       /* per client */
	CHAN_PROC_NONE = CHAN_MAX_PROCS - 1, /* given to nobody: the number of a process without one */
	CHAN_MAX_EVQS = 4096,	       /* per client */
	CHAN_EVQ_RING = 1024,	       /* entries per worker; more: the overflow flag */
	CHAN_MAX_CALLS = 256,	       /* calls under way at once, per client */
	CHAN_MAX_EXTENTS = 512,	       /* per client: payload, and D of each program it shares lanes with */
	CHAN_MAX_ROUTES = 64,
	CHAN_HEIRS = 512,	       /* listeners and datagram sockets that follow to a new engine */
	CHAN_SEGS = 4, /* buffer segments of a stream that may be alive at once */
	CHAN_SUBS = 4, /* event queues a socket reports to without SUB_ALL */
	CHAN_MAX_LANES = 1 << 16, /* per client, of all workers */
	CHAN_LANE_AREA = 1 << 28, /* bytes of address space for their rings */
};
/* ---- E: the engine page ---- */
struct chan_worker_e {
	_Alignas(64) _Atomic uint32_t sleeping; /* [e] 1: ring the eventfd after giving it work */
	_Atomic uint32_t cpu;			/* [e] where it runs: spinning beside it is useless */
	uint32_t pad[14];
	/* a line of its own: written in each loop, read by chan_settle() only */
	_Alignas(64) _Atomic uint32_t rounds; /* [e] +1 at the end of a loop */
	uint32_t pad1[15];
};
/* Destinations that the stack serves. A connect() goes to the stack when the longest matching route
 * says so; none: kernel. */
enum { CHAN_ROUTE_LOCAL = 1, CHAN_ROUTE_ONLINK = 2, CHAN_ROUTE_GATEWAY = 3 };
struct chan_route {
	struct ipaddr prefix;
	uint8_t plen;  /* of the 128-bit form: 10.77.0.0/24 is 120 */
	uint8_t kind;  /* CHAN_ROUTE_ */
	uint16_t mtu;  /* of the way there, 0: no limit (LOCAL) */
	uint32_t ifindex; /* of the interface, in the kernel's numbering where it has one */
};
_Static_assert(sizeof(struct chan_route) == 24, "ABI");
struct chan_engine {
	uint32_t magic, version;
	uint32_t pid; /* of the engine, in its pid namespace: for messages only */
	uint32_t n_workers;
	/* Robust-futex word: the engine's control thread id while it lives; the kernel sets
	 * FUTEX_OWNER_DIED when it ends in any way and wakes one waiter (see chan/wait.h). */
	_Atomic uint32_t alive;
	_Atomic uint32_t route_seq; /* [e] odd while routes change; readers retry */
	uint32_t n_routes;
	_Atomic uint32_t flags; /* [e] CHAN_ENGINE_ */
	uint8_t pad[32];
	struct chan_worker_e worker[CHAN_MAX_WORKERS];
	struct chan_route route[CHAN_MAX_ROUTES];
};
enum chan_engine_flags {
	CHAN_ENGINE_LOOPBACK = 1 << 0, /* 127/8 belongs to the stack */
	CHAN_ENGINE_FASTOPEN = 1 << 2, /* clients may do Fast Open */
	CHAN_ENGINE_MOVED = 1 << 1,    /* another engine has taken the unix socket: whoever has a listener
					* here makes one there; this one ends when it has nothing left. Set
					* once, then everyone asleep on `alive` and all doorbells are woken */
};

/* ---- sockets ---- */
/* One contiguous ring buffer of a stream, in force from stream position `start` on until the next
 * segment's start. Byte `pos` is at off + ((pos - start) & (size - 1)). The engine moves the start of a
 * lone segment after the stream by multiples of size, because comparing by sign holds for 2 GB. */
struct chan_seg {
	uint32_t start;
	uint32_t size;	 /* power of two */
	uint32_t extent;
	uint32_t off;
};

enum chan_sock_state {
	CHAN_ST_FREE,
	CHAN_ST_OPEN,	     /* created or bound, neither listening nor connected */
	CHAN_ST_CONNECTING,
	CHAN_ST_CONNECTED,   /* ESTABLISHED and later, while bytes can still be read or written */
	CHAN_ST_LISTENING,
	CHAN_ST_CLOSED,	     /* was connected or refused: nothing more will happen */
};
enum chan_sock_flags_a {
	CHAN_A_RX_FIN = 1 << 0,	  /* peer's FIN: EOF after rx_tail */
	CHAN_A_TX_DONE = 1 << 1,  /* we may not send any more: reset, closed, or our FIN is queued */
	CHAN_A_WANT_HEAD = 1 << 2, /* engine wants a dirty mark when rx_head moves: a window update
				    * or an ACK is due then */
	CHAN_A_LINGERED = 1 << 3, /* all data and our FIN are acknowledged */
	CHAN_A_TX_WAKE = 1 << 4,  /* CHAN_B_TX_WAIT as last answered */
	CHAN_A_DGRAM = 1 << 5,	  /* type is SOCK_DGRAM, for who has this line at hand */
	CHAN_A_ERRQ = 1 << 6,	  /* it has an error queue */
	CHAN_A_URGENT = 1 << 7,	  /* the peer has sent urgent data, once: see chan/urgent.h */
	CHAN_A_ENDED = 1 << 16,	  /* an error ends it: set before that, and CHAN_ST_CLOSED comes behind it */
	CHAN_A_SYN_HELD = 1 << 13, /* Fast Open: the SYN waits for data, which may be written */
	CHAN_A_NEAR = 1 << 8,	  /* the other end is on this host, for all we know a socket of this client */
	CHAN_A_LANE = 1 << 9,	  /* `lane` is valid, and has been since the socket has this flag */
	CHAN_A_LANE_TX = 1 << 10, /* the application may write into the lane of lane.tx_epoch */
	CHAN_A_URG_BUSY = 1 << 12, /* SIGURG has been sent, what it is about comes in a moment */
	CHAN_A_DRY = 1 << 14,	  /* listener of an engine that has MOVED: its port is listened on at the
				   * other engine, and nothing is half-open or on the way to accept() here:
				   * with rx_head == rx_tail nothing more will come */
};

/* The direct way to the other end, another program of the same user, past the engine: see chan/lane.h.
 * Offsets without `peer` are from this half to memory of our D, which is mapped behind A. */
struct chan_lane_a {
	_Alignas(64) int64_t rec; /* our struct chan_lane_rec */
	int64_t rx_ring;
	uint32_t rx_size;	   /* power of two; byte `pos` is at pos & (size - 1) */
	_Atomic uint32_t rx_epoch; /* [e] last: that lane, 0: none yet */
	uint32_t tx_size, tx_ring; /* offset in the peer's D */
	_Atomic uint32_t tx_epoch;
	uint32_t peer_ext, peer_rec, peer_sock;
	_Atomic uint32_t rx_over, tx_over; /* [e] epoch of the last lane accounted for to its end */
	uint32_t pad[2];
};
_Static_assert(sizeof(struct chan_lane_a) == 64, "ABI");

/* Engine's half. Positions are stream positions modulo 2^32 (see stack/tcp/tcp.h); of datagram sockets
 * they count ring bytes; for a listener rx_tail counts accepted connections put into its accept ring
 * (rx_seg[0], struct chan_accept). */
struct chan_sock_a {
	/* hot line, all [e] by the socket's worker */
	_Alignas(64) _Atomic uint32_t gen; /* changes when the id is given out again */
	_Atomic uint32_t evseq;	   /* +1 with each readiness change: the futex word of waiters */
	_Atomic uint32_t rx_tail;
	_Atomic uint32_t tx_una;
	_Atomic uint32_t state;	   /* enum chan_sock_state */
	_Atomic uint32_t flags;	   /* CHAN_A_ */
	_Atomic uint32_t tx_nxt;   /* stream position behind what has been sent once */
	_Atomic uint32_t err_seq;  /* errors so far; pending while != b->err_seen */
	_Atomic uint32_t notified[CHAN_SUBS]; /* events put into the queue of subscription i */
	_Atomic uint32_t rx_nseg;  /* segments published so far; the live ones are the last CHAN_SEGS */
	_Atomic uint32_t tx_nseg;
	uint32_t worker;	   /* home worker: where calls and dirty marks go */
	uint32_t sndbuf;	   /* bytes the application may have queued (Linux's sk_sndbuf / 2) */
	/* colder */
	struct chan_seg rx_seg[CHAN_SEGS]; /* slot i % CHAN_SEGS */
	struct chan_seg tx_seg[CHAN_SEGS];
	struct endpoint local, remote;	   /* valid from bind / ESTABLISHED or accept on */
	uint32_t mss;
	uint32_t soft_err;
	uint32_t type;			   /* SOCK_STREAM, SOCK_DGRAM */
	uint32_t v6;			   /* 1: made as AF_INET6 */
	/* rarely used */
	struct chan_seg errq; /* error queue: a ring of struct chan_dgram, positions from 0; size 0: none */
	_Atomic uint32_t errq_tail; /* [e] bytes put there; pending while != b->errq_head */
	_Atomic uint32_t rx_drops;  /* datagrams dropped because the receive buffer was full */
	_Atomic uint64_t urg;	    /* the peer's last urgent pointer (RFC 6093): struct chan_urg; its
				     * byte may not have arrived yet */
	_Atomic uint64_t rx_time_ns; /* CLOCK_REALTIME of the newest data, with CHAN_O_TIMESTAMP */
	uint32_t path_mtu;	    /* 0: unknown */
	_Atomic uint32_t urg_floor; /* bytes before it that are unread are no part of the stream */
	_Atomic uint32_t urg_tx_seen; /* number in b->urg_tx that was last carried out */
	_Atomic uint32_t err;	    /* errno of the last error */
	_Atomic uint32_t rcvbuf;    /* what SO_RCVBUF reads while it grows by itself, 0: it has not */
	uint32_t pad;
	struct chan_lane_a lane;
};
_Static_assert(sizeof(struct chan_sock_a) == 384, "ABI");

/* ---- datagrams ---- */
/* A datagram in a ring: this header, len bytes, padding to `size`. The receive ring and the error queue
 * are written by the engine, the send ring by the application. Positions advance by whole records
 * (tail on one side, una or head on the other); a record may wrap and may span two segments. */
enum chan_dgram_flags {
	CHAN_DG_DONT_FRAG = 1 << 0, /* tx: EMSGSIZE rather than fragments */
	CHAN_DG_MCAST_LOOP = 1 << 1, /* tx to a group: members on this stack get it, too */
	CHAN_DG_NO_CSUM = 1 << 2,   /* tx: SO_NO_CHECK */
	CHAN_DG_BROADCAST = 1 << 3, /* tx: allowed (SO_BROADCAST); rx: came as one */
	CHAN_DG_MULTICAST = 1 << 4, /* rx */
	CHAN_DG_DONTROUTE = 1 << 5, /* tx: on-link destinations only */
	CHAN_DG_MAY_CUT = 1 << 6,   /* tx: routers may fragment it (IP_PMTUDISC_DONT, OMIT) */
	CHAN_DG_NO_PMTU = 1 << 7,   /* tx: only the interface's MTU counts (PROBE and INTERFACE) */
	CHAN_DG_HOST_ONLY = 1 << 8, /* tx to a group: with TTL 0, to members on this host */
};
struct chan_dgram {
	uint32_t size;	/* of the whole record, multiple of 16 */
	uint32_t len;	/* bytes of payload */
	uint16_t gso;	/* tx: UDP_SEGMENT; rx: size of the coalesced datagrams (UDP_GRO), 0: one */
	uint8_t ttl;	/* tx: 0 = default */
	uint8_t tos;
	uint32_t flags; /* CHAN_DG_ */
	struct endpoint from; /* rx: sender; tx: source address, any = choose; error queue: offender */
	struct endpoint to;   /* tx: destination, port 0 = the connected one; rx: our address and port;
			       * error queue: destination of the datagram that met the error */
	uint64_t time_ns;     /* rx: arrival, CLOCK_REALTIME */
	uint32_t err, info;   /* error queue: ee_errno, ee_info */
	uint8_t origin, type, code, pad0; /* error queue: ee_origin, ee_type, ee_code */
	uint32_t ifindex;     /* rx: came in by; tx to a group: leaves by, 0 = choose */
	uint32_t flow;	      /* by IPv6: tx: label, 0 = the stack's own choice; rx: label as it came */
	uint16_t frag;	      /* tx by IPv6: no packet longer than this (IPV6_MTU), 0 = as the path takes */
	uint16_t pad;
};
_Static_assert(sizeof(struct chan_dgram) == 96, "ABI");
enum { CHAN_DGRAM_ALIGN = 16, CHAN_DGRAM_MAX = 65527 /* by IPv6, 20 less by IPv4 */ };
/* All datagram sockets of a port live on one worker, so that it alone sees the port's traffic. */
static inline uint32_t chan_port_worker(uint16_t port, uint32_t n_workers)
{
	return n_workers <= 1 ? 0 : port % n_workers;
}

/* Options of a socket: values as the application set them, already checked by the shim; the engine
 * clamps again. One struct for the call that opens a socket and for later changes. */
enum chan_opt_flags {
	CHAN_O_NODELAY = 1 << 0, CHAN_O_CORK = 1 << 1, CHAN_O_KEEPALIVE = 1 << 2,
	CHAN_O_QUICKACK = 1 << 3, CHAN_O_REUSEADDR = 1 << 4, CHAN_O_REUSEPORT = 1 << 5,
	CHAN_O_V6ONLY = 1 << 6, CHAN_O_LINGER = 1 << 7, CHAN_O_OOBINLINE = 1 << 8,
	CHAN_O_FREEBIND = 1 << 9,
	CHAN_O_RECVERR = 1 << 10,    /* ICMP errors go to the error queue as well */
	CHAN_O_TIMESTAMP = 1 << 11,  /* keep rx_time_ns */
	CHAN_O_UDP_GRO = 1 << 12,
	CHAN_O_MCAST_OWN = 1 << 13,  /* IP_MULTICAST_ALL off: only groups that this socket joined */
	CHAN_O_MCAST_OWN6 = 1 << 19, /* IPV6_MULTICAST_ALL off: the same of IPv6 groups */
	CHAN_O_BROADCAST = 1 << 14,
	CHAN_O_INQ = 1 << 15,	     /* TCP_INQ, the shim's */
	CHAN_O_DELACK = 1 << 21,     /* TCP_QUICKACK was set to 0 */
	CHAN_O_DONTROUTE = 1 << 16,  /* on-link destinations only */
	CHAN_O_FO_NO_COOKIE = 1 << 17, /* TCP_FASTOPEN_NO_COOKIE */
	CHAN_O_RECVERR6 = 1 << 18,   /* IPV6_RECVERR: the same for what is sent by IPv6 */
	CHAN_O_SRC_PUBLIC = 1 << 20, /* IPV6_ADDR_PREFERENCES: rather no temporary address */
	CHAN_O_NO_LABEL = 1 << 22,   /* IPV6_AUTOFLOWLABEL off: flow label 0 unless given */
	CHAN_O_NO_REHASH = 1 << 23,  /* SO_TXREHASH off: a timeout does not change it */
};
struct chan_opts {
	uint32_t flags;		/* CHAN_O_ */
	uint32_t rcvbuf, sndbuf; /* bytes, 0 = default (grows by itself) */
	uint32_t linger_s;
	uint32_t keepidle_s, keepintvl_s, keepcnt; /* 0 = default */
	uint32_t user_timeout_ms;
	uint16_t fastopen;	/* TCP_FASTOPEN of a listener */
	uint8_t syncnt, minttl;
	int32_t linger2_s;
	uint16_t user_mss;
	uint8_t ttl, tos;	/* 0 = default */
	uint8_t cc;
	uint8_t mtu_disc; /* IP_PMTUDISC_ + 1, 0 = default (IP_PMTUDISC_WANT) */
	uint8_t defer; /* TCP_DEFER_ACCEPT, in retransmissions of the SYN-ACK */
	uint8_t pad;
	uint32_t window_clamp;	/* 0 = none */
	uint32_t notsent_lowat; /* 0 = none */
	/* of what goes by IPv6, as ttl, tos, minttl and mtu_disc are of what goes by IPv4 */
	uint8_t hops, tclass, minhops, mtu_disc6;
	uint32_t flowinfo;	/* what connect() was given with IPV6_FLOWINFO_SEND, host order */
};
_Static_assert(sizeof(struct chan_opts) == 64, "ABI");

enum chan_sock_flags_b {
	CHAN_B_SHUT_WR = 1 << 0,
	CHAN_B_SHUT_RD = 1 << 1,
	CHAN_B_TX_WAIT = 1 << 2, /* toggle: while it differs from CHAN_A_TX_WAKE a send has found the
				  * buffer full and wants an event when a third is free */
	CHAN_B_SUB_ALL = 1 << 3, /* more than CHAN_SUBS queues: report to every queue of the client */
	CHAN_B_URGENT = 1 << 4, /* urg_tx has been used */
	CHAN_B_SIGNALS = 1 << 5, /* the socket has a signal line */
};
struct chan_sock_b {
	_Alignas(64) _Atomic uint32_t tx_tail; /* [a] under tx_lock */
	_Atomic uint32_t rx_head;     /* [a] under rx_lock; listener: connections taken */
	_Atomic uint32_t flags;	      /* CHAN_B_, by atomic or/and */
	_Atomic uint32_t waiters;     /* threads in a futex wait on a->evseq */
	_Atomic uint32_t rx_lock;     /* owner's tid, bit 31: others wait */
	_Atomic uint32_t tx_lock;
	_Atomic uint32_t err_seen;    /* a->err_seq when the error was last taken */
	_Atomic uint32_t close_seq;   /* +1 when a process gave up its last descriptor of it */
	_Atomic uint32_t seen[CHAN_SUBS];
	_Atomic uint16_t sub[CHAN_SUBS]; /* event queue + 1, 0 = unused */
	_Atomic uint32_t opt_seq;     /* +1 when opts changed; the engine takes them when it looks */
	_Atomic uint32_t file_flags;  /* O_NONBLOCK, O_ASYNC: of the file description */
	/* second line: shared by the processes, not read by the engine except opts */
	struct chan_opts opts;
	/* third line: rarely used */
	_Atomic uint32_t errq_head;   /* [a] under rx_lock: bytes taken from the error queue */
	_Atomic uint32_t zc_next;     /* MSG_ZEROCOPY sends so far (shared by the processes) ... */
	_Atomic uint32_t zc_told;     /* ... and completions that the program has read */
	_Atomic uint32_t urg_taken;   /* number in a->urg whose byte MSG_OOB has received */
	_Atomic uint64_t urg_tx;      /* last byte of the last send with MSG_OOB: struct chan_urg, stored
				       * before the tx_tail behind it */
	_Atomic uint32_t urg_past;    /* number in a->urg whose byte rx_head has passed */
	_Atomic int32_t peek_off;     /* SO_PEEK_OFF + 1, 0 = off */
	/* datagrams: options that only the application's side acts on (shim/dgram_opt.c) */
	_Atomic uint32_t dg_flags;    /* control messages wanted, ways of sending */
	_Atomic uint32_t dg_send;     /* IPV6_MULTICAST_HOPS << 24 | IP_MULTICAST_TTL << 16 | UDP_SEGMENT */
	_Atomic uint32_t dg_mcast_if; /* IP_MULTICAST_IF: interface of the stack, 0 = by route */
	_Atomic uint32_t dg_mcast_ip; /* ... and the address given with it, IPv4 in host order */
	_Atomic uint32_t rcvlowat;    /* 0 = 1 */
	_Atomic uint32_t line;	      /* signal line + 1 (see chan/line.h), 0 = none */
	_Atomic uint32_t rx_sleepers; /* threads asleep in recv(), counted while there is a line: they
				       * make a signal about data needless */
	_Atomic uint32_t pacing;      /* SO_MAX_PACING_RATE, bytes a second, 0 = none */
	/* fourth line */
	_Atomic uint32_t rcvtimeo_ms, sndtimeo_ms; /* 0 = none */
	_Atomic uint32_t dg_mcast_if6; /* IPV6_MULTICAST_IF: as dg_mcast_if */
	_Atomic uint32_t dg_flowinfo; /* opts.flowinfo of a datagram socket */
	_Atomic uint32_t dg_frag;     /* IPV6_MTU as set, 0 = not */
	uint32_t pad[11];
};
_Static_assert(sizeof(struct chan_sock_b) == 256, "ABI");

/* An urgent byte: its number, counted from 1 on (0: none yet), and its stream position; written as one
 * word, so that they always belong together. */
struct chan_urg {
	uint32_t seq, pos;
};
static inline uint64_t chan_urg_word(struct chan_urg u) { return (uint64_t)u.pos << 32 | u.seq; }
static inline struct chan_urg chan_urg_of(uint64_t word)
{
	return (struct chan_urg){ (uint32_t)word, (uint32_t)(word >> 32) };
}

/* Entry of a listener's accept ring (a kind-A payload buffer of rx_seg[0].size / 8 entries). */
struct chan_accept {
	uint32_t sock, gen;
};

/* ---- event queues ---- */
/* A ring of socket ids per worker. An id is pushed when something about it changed; the receiver
 * marks it seen, then reads the state itself. */
struct chan_evq_a {
	_Alignas(64) _Atomic uint32_t tail[CHAN_MAX_WORKERS];
	_Atomic uint32_t overflow; /* [e] +1 when an id could not be pushed: look at all sockets */
	uint32_t pad[15];
	_Atomic uint32_t ring[]; /* n_workers * CHAN_EVQ_RING */
};
static inline size_t chan_evq_stride(uint32_t n_workers)
{
	return sizeof(struct chan_evq_a) + (size_t)n_workers * CHAN_EVQ_RING * 4;
}
struct chan_evq_b {
	_Alignas(64) _Atomic uint32_t head[CHAN_MAX_WORKERS]; /* [a] under lock */
	_Atomic uint32_t sleepers; /* threads that will sleep on the doorbell, or do */
	_Atomic uint32_t arm_seq;  /* +1 before each sleep and after each drained doorbell */
	_Atomic uint32_t lock;	   /* consumer's tid */
	_Atomic uint32_t in_use;   /* 1: the engine may push here */
	uint32_t pad[12];
};
_Static_assert(sizeof(struct chan_evq_b) == 128, "ABI");

/* ---- calls: requests that need an answer ---- */
enum chan_op {
	CHAN_OP_NONE,
	CHAN_OP_BIND,	 /* makes a socket; local, opts -> sock, gen, local (with the port chosen);
			  * arg[1] = IP_LOCAL_PORT_RANGE as set, CONNECT has it, too */
	CHAN_OP_LISTEN,	 /* sock; arg[0] = backlog, arg[1] = bytes of key (see FO_KEY), 0: none, or as before.
			  * May be repeated. */
	CHAN_OP_CONNECT, /* sock or CHAN_SOCK_NEW with local (port 0, any = choose), remote, opts ->
			  * -EINPROGRESS or an error; on success sock, gen, local; payload (uint32_t): bytes
			  * that Fast Open's SYN has room for. -EXDEV: the flow of this bound socket belongs
			  * to another data thread, payload (uint32_t), where it must be bound */
	CHAN_OP_TX_GROW, /* sock; arg[0] = bytes wanted free, arg[1] = tx_tail now; caller holds tx_lock */
	CHAN_OP_INFO,	 /* sock -> payload: struct tcp_info */
	CHAN_OP_UNBIND,	 /* sock: drop it at once (undo of BIND), no held bit needed */
	CHAN_OP_MCAST,	 /* datagram sock; arg[0] = enum chan_mcast, arg[1] = ifindex (0 = choose; of an IPv6
			  * group: the one by which it is joined, if it is),
			  * remote.addr = group, local.addr = source or any -> payload: uint32_t, the
			  * ifindex */
	CHAN_OP_FO_KEY,	 /* listener; arg[0] = bytes of key, 16 or 32 (with the key before it), 0: leave it ->
			  * payload: TCP_FASTOPEN_KEY as it is now */
};
/* Datagram sockets: BIND with type SOCK_DGRAM makes one on worker chan_port_worker(port) (port 0: on any, a
 * port of that worker is chosen; CHAN_ARG_NO_PORT in arg[0]: none yet, the next BIND with its sock
 * or CONNECT gives it one). CONNECT sets the peer (also of a fresh socket), may be repeated; a remote
 * port 0 with address any takes it away again. Both answer 0 and the local endpoint at once. */
enum {
	CHAN_ARG_NO_PORT = 1,
	CHAN_ARG_LINE = 2,	/* CONNECT: a signal line follows */
	CHAN_ARG_FASTOPEN = 8,	/* CONNECT: data may ride on the SYN; payload of the answer, if any: uint32_t,
				 * bytes of it that the SYN waits for */
	CHAN_ARG_FREE_PORT = 4, /* CONNECT that takes the peer away: and the port, whoever chose it */
};
enum chan_mcast {
	CHAN_MC_JOIN = 1, CHAN_MC_LEAVE, CHAN_MC_JOIN_SOURCE, CHAN_MC_LEAVE_SOURCE, CHAN_MC_BLOCK,
	CHAN_MC_UNBLOCK,
	CHAN_MC_READ, /* the sources from number arg[1] >> 32 on; result: CHAN_FILTER_; payload: struct ipaddr
		       * each, CHAN_MC_SOURCES unless they end here */
};
enum { CHAN_MC_SOURCES = 16 };
enum { CHAN_FILTER_EXCLUDE, CHAN_FILTER_INCLUDE = 2 /* 1 means within the engine: later */ };
enum { CHAN_FO_KEY = 16, CHAN_FO_KEY_MAX = 32 }; /* TCP_FASTOPEN_KEY */
#define CHAN_SOCK_NEW UINT32_MAX
struct chan_call_b {
	_Alignas(64) _Atomic uint32_t seq; /* [a] number of this request; answered when reply.seq == seq */
	_Atomic uint32_t waiting;	   /* 1: asleep on the reply's seq, wake by futex */
	uint32_t op, proc;
	uint32_t sock, gen;
	uint32_t type, v6;
	uint64_t arg[2];
	struct endpoint local, remote;
	struct chan_opts opts;
	uint8_t key[CHAN_FO_KEY_MAX];
};
_Static_assert(sizeof(struct chan_call_b) == 192, "ABI");
struct chan_call_a {
	_Alignas(64) _Atomic uint32_t seq;
	int32_t result; /* 0 or -errno */
	uint32_t sock, gen;
	struct endpoint local;
	uint32_t len; /* bytes of payload */
	uint32_t pad[5];
	uint8_t payload[256];
};
_Static_assert(sizeof(struct chan_call_a) == 320, "ABI");

/* What makes the processes of a client one client again when their engine has ended and another one
 * serves: whoever shows a key that this engine's user has made (host/secret.c) joins the client that
 * has it. Only processes of the client can read it; the rights that go with it are the client's. */
struct chan_key {
	uint64_t nonce; /* 0: none */
	uint32_t uid, gid; /* of the process that attached first */
	uint32_t low_ports;
	uint32_t pad;
	uint64_t mac;
};
_Static_assert(sizeof(struct chan_key) == 32, "ABI");

/* ---- A: per client, read-only for it ---- */
struct chan_a {
	uint32_t magic, version;
	uint32_t client; /* number of the client, for messages */
	uint32_t n_workers, max_socks, max_procs, max_evqs;
	_Atomic uint32_t detached; /* [e] 1: the engine has thrown this client out; errno in err */
	uint64_t off_call, off_sock, off_evq, size; /* of this extent */
	struct chan_key key;
	uint8_t pad[48];
};
_Static_assert(sizeof(struct chan_a) == 144, "ABI");

/* ---- B: per client, written by it ---- */
/* Sockets that a worker must look at: three levels of 64. The application sets bottom to top, each
 * time it changed tx_tail, rx_head (if wanted), flags, close_seq or opts; the engine clears top to
 * bottom, so that no mark is lost (argument: chan/dirty.h). */
struct chan_dirty {
	_Alignas(64) _Atomic uint64_t top;
	_Atomic uint64_t calls[CHAN_MAX_CALLS / 64]; /* bit: call slot has a request for this worker */
	uint64_t pad[3];
	_Atomic uint64_t mid[64];
	_Atomic uint64_t low[64 * 64];
};
struct chan_b {
	_Alignas(64) _Atomic uint64_t call_free[CHAN_MAX_CALLS / 64]; /* bit set: slot taken */
	uint64_t pad[4];
	struct chan_dirty dirty[]; /* n_workers; the other tables follow at the offsets below */
};
/* Sockets of which a process has at least one descriptor: one bitmap a process, bit = socket. Written
 * by the process itself (and by its parent before the fork); read by the engine when the process ends
 * or a close_seq moves. */
struct chan_held {
	_Atomic uint64_t word[CHAN_MAX_SOCKS / 64];
};

/* What a process tells about itself, for `fastnet explain` and `fastnet ss`: names and counters, of
 * no consequence to the engine. Indexed by process number. */
enum { CHAN_REASON_MAX = 64 };
struct chan_proc_b {
	_Alignas(64) _Atomic uint32_t pid; /* [a] 0: free */
	uint32_t pad0;
	char name[16];		      /* [a] as /proc/self/comm */
	_Atomic uint64_t on_stack;    /* [a] sockets that went to the stack so far */
	uint64_t pad[4];
	_Atomic uint64_t reason[CHAN_REASON_MAX]; /* [a] sockets left to the kernel, chan/reasons.h */
};
_Static_assert(sizeof(struct chan_proc_b) == 576, "ABI");

/* Sockets that took the place of those of an engine that ended, so that all processes which shared the old
 * one find the new one. Written and read by applications only, under the lock. */
struct chan_heir {
	uint64_t number; /* what the sharers know the socket by, 0: free */
	uint32_t sock, gen;
};
struct chan_heirs {
	_Alignas(64) _Atomic uint32_t lock; /* owner's tid */
	uint32_t next; /* to be overwritten when all are taken */
	uint32_t pad[14];
	struct chan_heir heir[CHAN_HEIRS];
};

/* Offsets in B, from the geometry in A's header. */
static inline size_t chan_b_off_held(uint32_t n_workers)
{
	return sizeof(struct chan_b) + (size_t)n_workers * sizeof(struct chan_dirty);
}
static inline size_t chan_b_off_call(uint32_t n_workers)
{
	return chan_b_off_held(n_workers) + (size_t)CHAN_MAX_PROCS * sizeof(struct chan_held);
}
static inline size_t chan_b_off_evq(uint32_t n_workers)
{
	return chan_b_off_call(n_workers) + (size_t)CHAN_MAX_CALLS * sizeof(struct chan_call_b);
}
static inline size_t chan_b_off_sock(uint32_t n_workers)
{
	return chan_b_off_evq(n_workers) + (size_t)CHAN_MAX_EVQS * sizeof(struct chan_evq_b);
}
static inline size_t chan_b_off_proc(uint32_t n_workers)
{
	return chan_b_off_sock(n_workers) + (size_t)CHAN_MAX_SOCKS * sizeof(struct chan_sock_b);
}
static inline size_t chan_b_off_heirs(uint32_t n_workers)
{
	return chan_b_off_proc(n_workers) + (size_t)CHAN_MAX_PROCS * sizeof(struct chan_proc_b);
}
static inline size_t chan_b_size(uint32_t n_workers)
{
	return chan_b_off_heirs(n_workers) + sizeof(struct chan_heirs);
}

/* ---- messages on the engine's unix socket (SOCK_SEQPACKET, path-named) ---- */
enum chan_msg_type {
	CHAN_MSG_HELLO = 1, /* app: version, netns inode, in text the key of the client that it was part of
			     * under a former engine, if any; engine: CHAN_MSG_WELCOME or CHAN_MSG_REFUSED */
	CHAN_MSG_WELCOME,   /* fds: extent E, A, B, D, then one eventfd per worker */
	CHAN_MSG_REFUSED,   /* err, text */
	CHAN_MSG_EXTENT,    /* app: number; engine: the same + fd, or err */
	CHAN_MSG_EVQ_OPEN,  /* app: kind 0; engine: number + fd (read end of the doorbell pipe), or err;
			     * with an fd: an eventfd, the kick, by which other programs wake who sleeps;
			     * app: kind 1; engine: number + fd of a signal line */
	CHAN_MSG_EVQ_CLOSE, /* app: kind, number; no answer */
	CHAN_MSG_BELL,	    /* app: number = extent of a peer's D, size = its event queue; engine: the kick */
	CHAN_MSG_TOKEN,	    /* app, before fork: -; engine: proc number + fd (a connected socket), or err */
	CHAN_MSG_CHILD,	    /* child, on the token's socket, first thing after the fork; no answer */
	CHAN_MSG_ADMIN,	    /* tool: a command line in text; engine: text in ADMIN messages, empty = end */
	CHAN_MSG_TICKET,    /* app: number = sock, size = gen, fds that belong to it; engine: fd, or err */
	CHAN_MSG_CLAIM,	    /* app, also unattached: fd; engine: err, or what chan/ticket.h says */
	CHAN_MSG_IMAGE,	    /* what an exec has started, on the token's socket; engine: WELCOME, REFUSED */
};
struct chan_msg {
	uint32_t type;
	int32_t err;	  /* 0 or positive errno */
	uint32_t version;
	uint32_t number;  /* extent, event queue or process */
	uint64_t netns;	  /* inode of /proc/self/ns/net */
	uint64_t size;	  /* of the extent */
	uint32_t kind;	  /* extent: 0 read-only, 1 read-write */
	uint32_t len;	  /* bytes of text */
	char text[2008];
};
_Static_assert(sizeof(struct chan_msg) == 2048, "ABI");
