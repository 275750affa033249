/* The engine process: everything that the control thread owns. */
// SPDX-License-Identifier: MIT
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/list.h"
#include "stack/base/rng.h"
#include "stack/chan/region.h"
#include "stack/dpdk/eal.h"
#include "stack/dpdk/port.h"
#include "stack/host/autoport.h"
#include "stack/host/config.h"
#include "stack/net/route.h"
#include "stack/worker/bridge.h"
#include "stack/worker/worker.h"

struct ev_loop;
struct control;
struct mcast;
struct ports;
struct tcp_fo_peers;
struct rte_mempool;

enum { HOST_ERR_MAX = 640 };

struct host {			/* [k] constant once the workers run  [c] control thread only */
	struct config config;	/* [k] */
	bool autostarted;	/* [k] ends by itself */
	int argc;		/* [k] of main() */
	char **argv;
	int takeover_fd;	/* [c] to the engine whose place we take, -1: none */
	bool ports_shareable;	/* [k] its ports may be open beside ours */
	uint32_t old_ports, old_ifindex[NETIF_MAX]; /* [k] of that engine */
	int gap_fd[NETIF_MAX];	/* [c] frames that come while they change hands, -1: none */
	uint32_t old_pid;	/* [k] of that engine */
	bool took_over;		/* [c] it has let go of them */
	struct bridge bridge;	/* [k] to the engine before or after this one */
	bool has_bridge;	/* [c] */
	int ready_fd;		/* [c] -1: nobody asked, or told already */
	char err[HOST_ERR_MAX]; /* [c] one line, when a step failed */

	char socket_path[108], lock_path[116]; /* [k] */
	int lock_fd;		/* [k] */
	bool is_second;		/* [k] another engine has the lock */
	int listen_fd;		/* [k] */
	struct siphash_key secret; /* [k] proves which keys of clients are genuine */
	bool secret_is_needless;   /* no client is left that could show a key to the next engine */

	struct eal_info eal;	/* [k] */
	bool eal_up;
	struct rte_mempool *mbufs, *mbufs_large; /* [k] the second: NULL, no port needs them */
	struct autoport autoport; /* [k] */
	bool has_autoport;
	uint32_t n_ports;	/* [k] */
	char devargs[NETIF_MAX][CONFIG_TEXT_MAX]; /* [k] as they were opened */
	struct port *port[NETIF_MAX];
	struct netif *netif[NETIF_MAX]; /* [k] what the workers see: the port, or a wrapper of it */
	struct route_table routes; /* [k] */
	struct ports *ports;	/* [k] the table of local ports */
	struct tcp_fo_peers *fo_peers; /* [k] what all data threads know of servers */
	struct mcast *groups;	/* [k] the multicast groups that are heard */
	struct region engine;	/* [k] extent E */

	uint32_t n_workers;	/* [k] */
	struct worker *worker[CHAN_MAX_WORKERS];
	pthread_t thread[CHAN_MAX_WORKERS];
	uint32_t n_threads;	/* [c] running */

	uint64_t netns;		/* [k] inode of our network namespace */
	struct control *control; /* [c] */
};

/* Sets h->err from a format and returns err. */
int host_fail(struct host *h, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* listen.c: the lock that makes this engine the only one of its socket; -EBUSY: there is another.
 */
int host_lock(struct host *h);
/* Listens. The last step of the start: whoever connects is served. */
int host_listen(struct host *h);
void host_unlisten(struct host *h);
void host_unlock(struct host *h);

/* secret.c: the secret of all engines that serve this socket one after the other. Under the lock. */
void host_secret(struct host *h);
/* At the end, under the lock: removes its file if it is needless. */
void host_secret_forget(const struct host *h);
uint64_t host_key_mac(const struct host *h, const struct chan_key *key);

/* netif.c: DPDK and its memory, then ports and routes, by the configuration. 0 or -errno, h->err set. */
int host_dpdk_start(struct host *h);
int host_ports_open(struct host *h);
/* The routes of the configuration and of the ports' addresses into t. 0 or -errno, h->err set. */
int host_routes(struct host *h, struct route_table *t);
/* handover.c: may another engine open the same ports while we have them? */
bool host_ports_shareable(const struct host *h);
/* Closes the devices; the interfaces stay as the data threads know them. */
void host_ports_shut(struct host *h);
/* And opens them again. 0 or -errno, h->err set. */
int host_ports_reopen(struct host *h);
/* On each data thread afterwards. */
void host_ports_watch(struct worker *w, void *arg);
void host_nonblock(int fd);
void host_ports_close(struct host *h);

/* launch.c: extent E, data threads. */
int host_launch(struct host *h);
/* They run. */
int host_run(struct host *h);
/* Ends the threads. */
void host_join(struct host *h);
/* And frees what they had, which no program may use any more; connections that are left are forgotten. */
void host_halt(struct host *h);
