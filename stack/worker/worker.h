/* One data thread: bursts of mbufs in and out, sockets, timers, sleep. No EAL, no port set-up. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/stats.h"
#include "stack/base/trace.h"
#include "stack/net/net.h"
#include "stack/net/netif.h"
#include "stack/sock/sock.h"

struct rte_mempool;
struct rte_ring;
struct route_table;
struct neigh_table;
struct igmp;
struct ndp;
struct mld;
struct ip4_reass;
struct ip6_reass;
struct pmtu;
struct worker_bridge;
struct worker_local;

enum worker_poll_mode { WORKER_POLL_ADAPTIVE, WORKER_POLL_BUSY, WORKER_POLL_SLEEP };

/* What host/ decides before worker_init(); constant afterwards. */
struct worker_conf {
	uint32_t number, n_workers;
	int cpu;		/* -1: not pinned */
	enum worker_poll_mode poll;
	uint32_t lane_after;	/* of sock_env */
	uint32_t spin_us;	/* longest spin before sleeping in adaptive mode */
	struct rte_mempool *mbufs, *mbufs_large; /* the second for netif.large_frames, or NULL */
	struct netif **netif;
	uint32_t n_netif;
	const struct route_table *routes;
	struct chan_engine *engine;	/* E, writable */
	struct ports *ports;
	struct tcp_fo_peers *fo_peers;
	struct mcast *groups;		/* of all workers; NULL: none */
	bool loopback;			/* 127/8 belongs to the stack */
	uint32_t max_conns;
	uint8_t syncookies;		/* enum tcp_cookie_mode */
	bool abort_on_overflow;
	uint8_t mtu_probing;		/* enum tcp_mtu_probing */
	uint16_t base_mss;
	uint8_t cc;			/* default congestion controller, see stack/base/cc.def */
	uint8_t ecn;			/* enum tcp_ecn_mode */
	uint32_t fastopen;		/* TCP_FO_ */
	bool autoconf6, temporary6;	/* addresses by router advertisements; also temporary ones */
	bool redirects6;		/* of routers are obeyed */
	struct siphash_key secret6;	/* what the addresses of this machine come from (RFC 7217) */
	uint64_t seed;
};

/* [w] this worker only  [c] control  [a] atomic  [k] constant after start */
struct worker {
	struct worker_conf conf;	/* [k] */
	uint64_t now_ns;		/* [w] read once per loop */
	uint64_t slow_ns;		/* [w] when the slow protocols were asked last */
	struct sock_env sock;		/* [w] */
	struct neigh_table *neigh;	/* [w] each worker has its own copy of the neighbour cache */
	struct ip4_reass *reass;	/* [w] */
	struct ip6_reass *reass6;	/* [w] */
	struct rte_ring *mailbox;	/* [a] struct sock_mail * from others, multi-producer */
	struct rte_ring *steered;	/* [a] mbufs whose flow is ours, received by another worker */
	int epfd;			/* [k] sleeps on: client eventfds, port fds, wake_fd */
	int wake_fd;			/* [k] eventfd: mail, steered packets, stop */
	_Atomic uint32_t stop;		/* [a] */
	struct stats stats;		/* [w], read by control without a lock */
	struct trace_ring *trace;	/* [w] */
	struct worker_tx *tx;		/* [w] frames of this loop, per netif */
	struct worker_loop *loop;	/* [w] segments to our own addresses */
	struct worker_local *local;	/* [w] datagrams to our own addresses */
	struct igmp *igmp;		/* [w] worker 0 only */
	struct mld *mld;		/* [w] worker 0 only */
	struct ndp *ndp;		/* [w] worker 0 only; control while all stand still */
	struct pmtu *pmtu;		/* [w] what routers have told of paths */
	uint64_t real_ns, real_at_ns;	/* [w] CLOCK_REALTIME of the loop at real_at_ns */
	struct worker_bridge *bridge;	/* [w] to the other engine during an upgrade, else NULL */
	struct worker_idle *idle;	/* [w] when to spin, when to sleep */
	struct net_env net;		/* [w] */
	struct rng rng;			/* [w] for sock.tcp */
	uint32_t rounds;		/* [w] */
	struct chan_worker_e *shared;	/* [w] our line of E: sleeping, cpu */
	uint8_t *scratch;		/* [w] a packet in several buffers is gathered here */
	bool large[NETIF_MAX];		/* [w] the port's last burst was of large frames */
	struct rte_mbuf *chain;		/* [w] the frame at hand is in several buffers, NULL: in one */
};

/* 0 or -errno with one log line. Runs before the thread starts. */
int worker_init(struct worker *w, const struct worker_conf *conf);
void worker_fini(struct worker *w);
/* The thread's body; returns when stop is set. */
void worker_run(struct worker *w);
/* One loop on the time now_ns without sleeping: rx, mail, calls, timers, output, events. True when
 * there was anything to do. For worker_run and tests. */
bool worker_poll(struct worker *w, uint64_t now_ns);
enum worker_fd {
	WORKER_FD_PORT,	  /* readable while frames wait (level) */
	WORKER_FD_CLIENT, /* an eventfd that is written, never read (edge) */
};
/* The worker wakes when fd becomes readable. Any thread, also while the worker runs. 0 or -errno.
 * worker_init() adds the descriptors of the ports (netif_ops.rx_fds) itself; where a port has none, the
 * worker only naps: for WORKER_NAP_MIN_US after traffic, longer and longer, up to WORKER_NAP_MAX_US
 * without (which costs about 1 % of a processor). */
int worker_add_fd(struct worker *w, int fd, enum worker_fd kind);
/* Must precede close(fd) when another process may hold a duplicate of fd. */
void worker_del_fd(struct worker *w, int fd);
enum { WORKER_NAP_MIN_US = 20, WORKER_NAP_MAX_US = 900 };
/* What waits to be sent leaves now or is lost: the ports are about to change. On the data thread. */
void worker_settle(struct worker *w);
/* The descriptors of the ports wake the data thread; on it, or before it runs. For ports opened anew. */
int worker_watch_ports(struct worker *w);
/* A frame that came some other way, as if nif had received it. Any thread. False: no room for it. */
bool worker_inject(struct worker *w, const struct netif *nif, const void *frame, uint32_t n);
/* Ends the sleep of w, if it sleeps. Any thread. */
void worker_wake(struct worker *w);
/* Sets stop and wakes. Any thread. */
void worker_stop(struct worker *w);
/* From any thread: queue msg (copied) for w and wake it. False when the mailbox is full. */
bool worker_mail(struct worker *w, const struct sock_mail *msg);
/* All workers of the engine, set by host/ before they start (steering, mail). */
struct worker_set {
	uint32_t n;
	struct worker *w[CHAN_MAX_WORKERS];
	/* Mail to the control thread; called on data threads. */
	bool (*control_mail)(const struct sock_mail *msg);
	/* As in sock_host. */
	uint32_t (*ends_unknown)(void);
	bool (*ends_known)(uint32_t mark);
};
extern struct worker_set worker_set;
