/* The ports of an engine that hands over: which drivers let another engine in, closing and
 * opening again. The data
 * threads stand still. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "stack/base/log.h"
#include "stack/host/host.h"

void host_nonblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

bool host_ports_shareable(const struct host *h)
{
	for (uint32_t i = 0; i < h->n_ports; i++) {
		if (strcmp(port_driver(h->port[i]), "net_af_packet") != 0)
			return false;
	}
	return true;
}

void host_ports_shut(struct host *h)
{
	for (uint32_t i = 0; i < h->n_ports; i++)
		port_shut(h->port[i]);
}

int host_ports_reopen(struct host *h)
{
	char err[PORT_ERR_MAX];

	for (uint32_t i = 0; i < h->n_ports; i++) {
		const struct port_conf pc = {
			.devargs = h->devargs[i], .n_workers = h->n_workers, .mbufs = h->mbufs,
			.mtu = (uint16_t)config_num(&h->config, CONFIG_mtu),
		};
		int r = port_reopen(h->port[i], &pc, err);

		if (r)
			return host_fail(h, r, "%s", err);
	}
	return 0;
}

void host_ports_watch(struct worker *w, void *arg) { worker_watch_ports(w); }
