/* The ports of an engine that hands over: which drivers let another engine in, closing and opening again.
 * The data threads stand still. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include "stack/base/log.h"
#include "stack/host/host.h"
#include "stack/host/nl.h"
#include "stack/net/pkt.h"

enum { REOPEN_TRIES = 50, BURST = 32 };

void host_nonblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

bool host_ports_shareable(const struct host *h)
{
	for (uint32_t i = 0; i < h->n_ports; i++) {
		if (strcmp(port_driver(h->port[i]), "net_af_packet") != 0)
			return false;
	}
	return true;
}

/* From here on frames go to the kernel, where the new engine catches them (gap.c); what has come before
 * is still ours. */
static void empty_xdp(struct host *h, struct port *p)
{
	struct netif *nif = port_netif(p);
	struct rte_mbuf *m[BURST];
	struct nl nl;
	uint16_t n;

	if (strcmp(port_driver(p), "net_af_xdp") != 0 || nl_open(&nl) != 0)
		return;
	int err = nl_link_no_xdp(&nl, nif->ifindex);
	if (err)
		LOG(host, INFO, "port=%s frames may be lost: %s", nif->name, strerror(-err));
	nl_close(&nl);
	for (uint16_t q = 0; q < nif->n_queues; q++) {
		while ((n = nif->ops->rx_burst(nif, q, m, BURST)) > 0)
			for (uint16_t i = 0; i < n; i++) {
				worker_inject(h->worker[q], nif, pkt_data(m[i]), m[i]->data_len);
				pkt_free(m[i]);
			}
	}
}

void host_ports_shut(struct host *h)
{
	for (uint32_t i = 0; i < h->n_ports; i++)
		empty_xdp(h, h->port[i]);
	for (uint32_t i = 0; i < h->n_ports; i++)
		port_shut(h->port[i]);
}

int host_ports_reopen(struct host *h)
{
	const struct timespec nap = { .tv_nsec = 10 * 1000000 };
	char err[PORT_ERR_MAX];

	for (uint32_t i = 0; i < h->n_ports; i++) {
		const struct port_conf pc = {
			.devargs = h->devargs[i], .n_workers = h->n_workers, .mbufs = h->mbufs,
			.mbufs_large = h->mbufs_large,
			.mtu = (uint16_t)config_num(&h->config, CONFIG_mtu),
		};
		int r = port_reopen(h->port[i], &pc, err);
		for (int k = 0; r && k < REOPEN_TRIES; k++) {
			nanosleep(&nap, NULL);
			r = port_reopen(h->port[i], &pc, err);
		}

		if (r)
			return host_fail(h, r, "%s", err);
	}
	return 0;
}

void host_ports_watch(struct worker *w, void *arg) { worker_watch_ports(w); }
