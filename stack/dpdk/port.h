/* One DPDK port as a struct netif: opened by devargs, any driver, offloads only where the device
 * reports them. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/net/netif.h"

struct rte_mempool;
struct port;

enum { PORT_ERR_MAX = 384 };
struct port_conf {
	const char *devargs;
	uint32_t n_workers;
	uint16_t mtu; /* 0: the port's */
	struct rte_mempool *mbufs, *mbufs_large; /* the second of eal_mbufs_large(), or NULL */
};

/* Would this port take and give frames of up to 64 KB? By its driver's name alone: buffers come first. */
bool port_is_large(const char *devargs);

/* Probes and starts the port. 0 and *out, or -errno with the reason and its remedy in err. */
int port_open(const struct port_conf *conf, struct port **out, char err[PORT_ERR_MAX]);
/* No data thread uses it any more. */
void port_close(struct port *p);
/* Only the device; the struct netif stays, with addresses and names. */
void port_shut(struct port *p);
/* Opens it again as port_open() does. */
int port_reopen(struct port *p, const struct port_conf *conf, char err[PORT_ERR_MAX]);
struct netif *port_netif(struct port *p);
const char *port_driver(const struct port *p);
/* Frames the device itself has lost, for `fastnet stat`. */
struct port_counters {
	uint64_t rx, tx, rx_bytes, tx_bytes, rx_missed, rx_errors, tx_errors, rx_nombuf;
};
void port_counters(const struct port *p, struct port_counters *out);
