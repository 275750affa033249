/* The data thread: sets up what belongs to it and runs the loop. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/worker/worker.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/log.h"
#include "stack/net/arp.h"
#include "stack/net/ip4_frag.h"
#include "stack/net/ip6_frag.h"
#include "stack/net/mld.h"
#include "stack/net/nd.h"
#include "stack/net/ndp.h"
#include "stack/net/neigh.h"
#include "stack/net/pkt.h"
#include "stack/net/pmtu.h"
#include "stack/worker/worker_int.h"

enum { NEIGH_MAX = 4096, TIMEWAIT_MAX = 65536, SYNQ_MAX = 16384, SLOW_US = 50 };

static void on_neigh_request(void *arg, struct netif *nif, const struct ipaddr *target,
			     const struct eth_addr *mac)
{
	struct worker *w = arg;

	if (ipaddr_is_v4(target))
		arp_request(&w->net, nif, ipaddr_get_v4(target), mac);
	else
		nd_solicit(&w->net, nif, target, mac);
}

/* The frame is complete but for the destination, its first field. */
static void on_neigh_send(void *arg, struct netif *nif, void *pkt, const struct eth_addr *mac)
{
	memcpy(pkt_data(pkt), mac, sizeof(*mac));
	tx_push(arg, nif, pkt);
}

static void on_neigh_drop(void *arg, struct netif *nif, void *pkt, bool unreachable)
{
	if (unreachable)
		host_neigh_unreachable(arg, nif, pkt);
	pkt_free(pkt);
}

static const struct neigh_ops neigh_ops = {
	.request = on_neigh_request, .send = on_neigh_send, .drop = on_neigh_drop,
	.lost = ndp_neigh_lost,
};

/* Segmentation offload is used only when every port has it: TCP does not ask port by port. */
static uint32_t common_tso(const struct worker_conf *c)
{
	uint32_t tso = c->n_netif ? UINT32_MAX : 0;

	for (uint32_t i = 0; i < c->n_netif; i++)
		tso = min_u32(tso, c->netif[i]->tx_csum_l4 ? c->netif[i]->tso_bytes : 0);
	return tso;
}

/* The same at the moment. */
static uint32_t present_tso(const struct worker_conf *c)
{
	for (uint32_t i = 0; i < c->n_netif; i++) {
		const struct netif *nif = c->netif[i];

		if (nif->tso_off && atomic_load_explicit(nif->tso_off, memory_order_relaxed))
			return 0;
	}
	return common_tso(c);
}

static int check_conf(const struct worker_conf *c)
{
	if (c->n_netif > NETIF_MAX || c->number >= c->n_workers || c->n_workers > CHAN_MAX_WORKERS)
		return -EINVAL;
	for (uint32_t i = 0; i < c->n_netif; i++) {
		if (c->netif[i]->index != i)
			return -EINVAL;
	}
	return 0;
}

static int init_parts(struct worker *w)
{
	uint64_t now = worker_clock_ns();
	struct sock_env *s = &w->sock;
	int err;

	rng_seed(&w->rng, w->conf.seed + w->conf.number);
	rng_seed(&w->net.rng, rng_u64(&w->rng));
	w->net.netif = w->conf.netif;
	w->net.n_netif = w->conf.n_netif;
	w->net.routes = w->conf.routes;
	w->net.groups = w->conf.groups;
	w->net.mbufs = w->conf.mbufs;
	w->net.now_ns = now;
	w->net.ip_id = (uint16_t)rng_u64(&w->rng);
	w->net.tx = tx_push;
	w->net.arg = w;
	w->neigh = w->net.neigh = neigh_new(NEIGH_MAX, rng_u64(&w->rng), &neigh_ops, w, now);
	/* Fragments of one datagram meet on one worker, whatever its key. */
	w->reass = ip4_reass_new(rng_u64(&w->rng), now);
	rng_seed(&w->net.rng, rng_u64(&w->rng));
	w->reass6 = ip6_reass_new(&w->net, rng_u64(&w->rng));
	w->scratch = malloc(PKT_LINEAR_MAX);
	w->trace = calloc(1, sizeof(*w->trace));
	w->pmtu = calloc(1, sizeof(*w->pmtu));
	w->shared = w->conf.engine ? &w->conf.engine->worker[w->conf.number] :
				     aligned_alloc(CACHE_LINE, sizeof(*w->shared));
	if (!w->neigh || !w->reass || !w->reass6 || !w->scratch || !w->trace || !w->pmtu || !w->shared)
		return -ENOMEM;
	memset(w->shared, 0, sizeof(*w->shared));
	if ((err = tx_init(w)) < 0 || (err = mail_init(w)) < 0 || (err = idle_init(w)) < 0)
		return err;

	/* One ISN key for all workers (RFC 6528): a 4-tuple may move between them. */
	struct rng key_rng;
	rng_seed(&key_rng, w->conf.seed ^ 0x6b65795f69736e21);
	s->worker = w->conf.number;
	s->n_workers = w->conf.n_workers;
	s->now_ns = now;
	s->ports = w->conf.ports;
	s->tcp.fo_peers = w->conf.fo_peers;
	s->host = &worker_host;
	s->host_arg = w;
	s->tcp.key = (struct siphash_key){ { rng_u64(&key_rng), rng_u64(&key_rng) } };
	s->tcp.rng = &w->rng;
	s->tcp.tso_bytes = common_tso(&w->conf);
	s->tcp.syncookies = (enum tcp_cookie_mode)w->conf.syncookies;
	s->tcp.fastopen = w->conf.fastopen;
	s->tcp.abort_on_overflow = w->conf.abort_on_overflow;
	s->tcp.mtu_probing = (enum tcp_mtu_probing)w->conf.mtu_probing;
	s->tcp.base_mss = w->conf.base_mss;
	s->tcp.cc = w->conf.cc;
	s->tcp.ecn = (enum tcp_ecn_mode)w->conf.ecn;
	s->tcp.max_conns = w->conf.max_conns;
	s->lane_after = w->conf.lane_after;
	s->tcp.max_timewait = TIMEWAIT_MAX;
	s->tcp.max_synq = SYNQ_MAX;
	s->udp.key = (struct siphash_key){ { rng_u64(&key_rng), rng_u64(&key_rng) } };
	if ((err = loop_init(w)) < 0 || (err = local_init(w)) < 0 ||
	    (err = group_init(w)) < 0 || (err = mld_init(w)) < 0 ||
	    (err = ndp_init(w)) < 0)
		return err;
	return sock_env_init(s, now);
}

int worker_init(struct worker *w, const struct worker_conf *conf)
{
	*w = (struct worker){ .conf = *conf, .epfd = -1, .wake_fd = -1 };
	int err = check_conf(conf);

	if (err == 0)
		err = init_parts(w);
	if (err < 0) {
		LOG(worker, ERROR, "worker=%u can't start: %s", conf->number, strerror(-err));
		/* sock_env_init() is the last step and undoes itself. */
		w->sock.host = NULL;
		worker_fini(w);
	}
	return err;
}

void worker_fini(struct worker *w)
{
	if (w->sock.host)
		sock_env_fini(&w->sock);
	loop_fini(w);
	local_fini(w);
	group_fini(w);
	ndp_free(w->ndp);
	w->ndp = NULL;
	mld_free(w->mld);
	w->mld = NULL;
	bridge_attach(w, NULL);
	idle_fini(w);
	mail_fini(w);
	neigh_free(w->neigh);
	tx_fini(w);
	ip4_reass_free(w->reass);
	ip6_reass_free(w->reass6);
	free(w->scratch);
	free(w->pmtu);
	if (!w->conf.engine)
		free(w->shared);
	if (trace_this_thread == w->trace)
		trace_this_thread = NULL;
	free(w->trace);
	w->trace = NULL;
}

/* The protocols beside TCP count in tenths of a second and more: they are asked now and then, not in each
 * turn of the loop, of which they would be a fifth when there is little to do. */
static void slow_advance(struct worker *w, uint64_t now_ns)
{
	if (likely(now_ns - w->slow_ns < SLOW_US * NSEC_PER_USEC) && likely(!group_pending(w)))
		return;
	w->slow_ns = now_ns;
	neigh_advance(w->neigh, now_ns);
	ip4_reass_advance(w->reass, now_ns);
	ip6_reass_advance(w->reass6, now_ns);
	group_poll(w);
	if (w->ndp)
		ndp_advance(w->ndp, now_ns);
	if (w->mld)
		mld_advance(w->mld, now_ns);
}

bool worker_poll(struct worker *w, uint64_t now_ns)
{
	uint32_t work;

	stats_this_thread = &w->stats;
	trace_this_thread = w->trace;
	w->now_ns = w->sock.now_ns = w->net.now_ns = now_ns;
	w->sock.tcp.tso_bytes = present_tso(&w->conf);
	STAT_INC(worker_loops);
	work = rx_ports(w);
	work += rx_steered(w);
	work += mail_drain(w);
	if (unlikely(w->bridge))
		work += bridge_poll(w);
	work += loop_drain(w);
	work += local_drain(w);
	work += sock_poll(&w->sock);
	tcp_advance(&w->sock.tcp, now_ns);
	slow_advance(w, now_ns);
	tcp_flush(&w->sock.tcp, now_ns);
	for (int i = 0; i < LOOP_PASSES && loop_pending(w); i++) {
		work += loop_drain(w);
		tcp_flush(&w->sock.tcp, now_ns);
	}
	work += local_drain(w);
	sock_publish(&w->sock);
	/* publishing may have found that a program has just read: that can be worth a segment */
	bool behind = tx_flush(w);
	if (unlikely(w->bridge))
		bridge_flush(w);
	/* What was marked before this round began can be seen: pairs with the loads in chan_settle(). */
	atomic_store_explicit(&w->shared->rounds, ++w->rounds, memory_order_release);
	return behind || work > 0 || loop_pending(w) || local_pending(w) ||
	       !list_empty(&w->sock.tcp.pending);
}

void worker_run(struct worker *w)
{
	idle_thread_start(w);
	w->now_ns = w->net.now_ns = worker_clock_ns();
	stats_this_thread = &w->stats;
	trace_this_thread = w->trace;
	ndp_start(w);
	if (w->conf.number == 0) {
		for (uint32_t i = 0; i < w->conf.n_netif; i++) {
			arp_announce(&w->net, w->conf.netif[i]);
			nd_announce_all(&w->net, w->conf.netif[i]);
		}
	}
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
		idle_step(w, worker_poll(w, worker_clock_ns()));
	tx_flush(w);
}
