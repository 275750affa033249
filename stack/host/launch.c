/* The data threads: made after the ports, ended before them. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/chan/alive.h"
#include "stack/chan/cc.h"
#include "stack/host/control.h"
#include "stack/host/ends.h"
#include "stack/host/addr6.h"
#include "stack/host/host.h"
#include "stack/net/mcast.h"
#include "stack/net/ports.h"
#include "stack/sock/client.h"
#include "stack/worker/route_export.h"

enum { PORTS_MAX = 1 << 20 };

/* The n-th CPU of the cpus option, -1 when there are fewer. */
static int cpu_of(const struct config *c, uint32_t n)
{
	const char *p = config_str(c, CONFIG_cpus);
	uint64_t lo, hi;

	while (*p && config_next_range(&p, &lo, &hi)) {
		if (n <= hi - lo)
			return (int)(lo + n);
		n -= (uint32_t)(hi - lo + 1);
	}
	return -1;
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	sigset_t set;

	/* net_tap is told of frames by a real-time signal: it is the data thread that waits for
	 * them. All other signals stay blocked. */
	sigemptyset(&set);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	char name[16] = "fastnet-data0";
	name[12] = (char)(w->conf.number < 10 ? '0' + w->conf.number : 'a' + w->conf.number - 10);
	pthread_setname_np(pthread_self(), name);
	eal_thread_enter();
	worker_run(w);
	eal_thread_leave();
	return NULL;
}

static int init_worker(struct host *h, uint32_t n, uint64_t seed)
{
	const struct config *c = &h->config;
	struct chan_engine *e = h->engine.base;
	struct worker_conf wc = {
		.number = n,
		.n_workers = h->n_workers,
		.cpu = cpu_of(c, n),
		.poll = (enum worker_poll_mode)config_num(c, CONFIG_poll),
		.spin_us = (uint32_t)config_num(c, CONFIG_spin_us),
		.lane_after = (uint32_t)config_num(c, CONFIG_direct),
		.mbufs = h->mbufs,
		.mbufs_large = h->mbufs_large,
		.netif = h->netif,
		.n_netif = h->n_ports,
		.routes = &h->routes,
		.engine = e,
		.ports = h->ports,
		.fo_peers = h->fo_peers,
		.groups = h->groups,
		.loopback = config_num(c, CONFIG_loopback) != 0,
		.mtu_probing = (uint8_t)config_num(c, CONFIG_mtu_probing),
		.base_mss = (uint16_t)config_num(c, CONFIG_base_mss),
		.max_conns = (uint32_t)(config_num(c, CONFIG_max_conns) / h->n_workers),
		.syncookies = (uint8_t)config_num(c, CONFIG_syncookies),
		.fastopen = (uint32_t)config_num(c, CONFIG_fastopen),
		.abort_on_overflow = config_num(c, CONFIG_abort_on_overflow) != 0,
		.cc = (uint8_t)(config_num(c, CONFIG_cc) + 1),
		.ecn = (uint8_t)config_num(c, CONFIG_ecn),
		.autoconf6 = config_num(c, CONFIG_autoconf) != 0,
		.temporary6 = config_num(c, CONFIG_autoconf) == 2,
		.redirects6 = config_num(c, CONFIG_redirects) != 0,
		.secret6 = addr6_secret(h),
		.seed = seed,
	};

	h->worker[n] = aligned_alloc(CACHE_LINE, align_up(sizeof(struct worker), CACHE_LINE));
	if (!h->worker[n])
		return host_fail(h, -ENOMEM, "out of memory for data thread %u", n);
	int err = worker_init(h->worker[n], &wc);
	if (err) {
		free(h->worker[n]);
		h->worker[n] = NULL;
		return host_fail(h, err, "can't set up data thread %u: %s", n, strerror(-err));
	}
	worker_set.w[n] = h->worker[n];
	return 0;
}

static int make_shared(struct host *h, uint64_t *seed)
{
	if (getrandom(seed, sizeof(*seed), 0) != sizeof(*seed))
		return host_fail(h, -EIO, "no random numbers from the kernel");
	h->ports = ports_new(PORTS_MAX, *seed);
	if (!h->ports)
		return host_fail(h, -ENOMEM, "out of memory for the port table");
	h->fo_peers = tcp_fo_peers_new();
	if (!h->fo_peers)
		return host_fail(h, -ENOMEM, "out of memory for Fast Open's cookies");
	h->groups = mcast_new(h->n_workers, *seed ^ 0x6d63617374);
	if (!h->groups)
		return host_fail(h, -ENOMEM, "out of memory for the multicast groups");
	int err = client_engine_create(&h->engine, h->n_workers);
	if (err)
		return host_fail(h, err, "can't make shared memory: %s", strerror(-err));
	struct chan_engine *e = h->engine.base;
	e->pid = (uint32_t)getpid();
	if (config_num(&h->config, CONFIG_loopback))
		e->flags |= CHAN_ENGINE_LOOPBACK;
	if (config_num(&h->config, CONFIG_fastopen) & TCP_FO_CLIENT)
		e->flags |= CHAN_ENGINE_FASTOPEN;
	e->flags |= chan_engine_cc((uint32_t)config_num(&h->config, CONFIG_cc) + 1);
	route_export(&h->routes, e);
	return 0;
}

int host_launch(struct host *h)
{
	uint64_t seed;
	int err = make_shared(h, &seed);

	for (uint32_t i = 0; !err && i < h->n_workers; i++)
		err = init_worker(h, i, seed);
	if (err)
		return err;
	worker_set.n = h->n_workers;
	worker_set.control_mail = control_mail;
	worker_set.ends_unknown = ends_unknown;
	worker_set.ends_known = ends_known;
	err = engine_alive_arm(h->engine.base);
	return err ? host_fail(h, err, "can't arm the sign of life: %s", strerror(-err)) : 0;
}

int host_run(struct host *h)
{
	for (uint32_t i = 0; i < h->n_workers; i++) {
		int err = -pthread_create(&h->thread[i], NULL, run_worker, h->worker[i]);
		if (err)
			return host_fail(h, err, "can't start data thread %u: %s", i,
					 strerror(-err));
		h->n_threads++;
	}
	return 0;
}

void host_join(struct host *h)
{
	for (uint32_t i = 0; i < h->n_threads; i++)
		worker_stop(h->worker[i]);
	for (uint32_t i = 0; i < h->n_threads; i++)
		pthread_join(h->thread[i], NULL);
	h->n_threads = 0;
}

void host_halt(struct host *h)
{
	host_join(h);
	for (uint32_t i = 0; i < h->n_workers; i++) {
		if (!h->worker[i])
			continue;
		worker_fini(h->worker[i]);
		free(h->worker[i]);
		h->worker[i] = NULL;
	}
	ports_free(h->ports);
	h->ports = NULL;
	tcp_fo_peers_free(h->fo_peers);
	h->fo_peers = NULL;
	mcast_free(h->groups);
	h->groups = NULL;
}
