/* Opens DPDK ports by devargs and moves their bursts. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/port.h"
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_spinlock.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/dpdk/eal.h"
#include "stack/dpdk/port_mcast.h"
#include "stack/dpdk/port_vhost.h"
#include "stack/dpdk/port_wait.h"
#include "stack/dpdk/rss.h"

enum { RX_DESC = 1024, RX_DESC_LARGE = 256, TX_DESC = 1024, TSO_BYTES = 64 * 1024 - 256 };

struct port {
	struct netif nif;
	uint16_t id;
	uint16_t n_rx, n_tx;
	bool intr;	  /* configured with receive interrupts */
	bool shut;	  /* the device is closed */
	bool probed_here; /* a virtual device that goes away with us */
	const char *driver;
	struct rte_eth_dev_info info;
	struct port_wait wait;
	struct port_vhost vhost;
	int mcast_fd; /* keeps groups coming, -1: not needed */
	struct port_fds fds_before;
	uint8_t rss_key[64];
	rte_spinlock_t tx_lock[PORT_QUEUES_MAX]; /* used only where workers share a tx queue */
};

static uint16_t port_rx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct port *p = nif->priv;

	return queue < p->n_rx ? rte_eth_rx_burst(p->id, queue, pkts, n) : 0;
}

static uint16_t port_tx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct port *p = nif->priv;

	return rte_eth_tx_burst(p->id, queue, pkts, n);
}

/* For devices with fewer tx queues than there are data threads. */
static uint16_t port_tx_shared(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts,
			       uint16_t n)
{
	struct port *p = nif->priv;
	uint16_t q = queue % p->n_tx;

	rte_spinlock_lock(&p->tx_lock[q]);
	uint16_t done = rte_eth_tx_burst(p->id, q, pkts, n);
	rte_spinlock_unlock(&p->tx_lock[q]);
	return done;
}

static int port_rx_fds(struct netif *nif, uint16_t queue, int *fds, int max)
{
	struct port *p = nif->priv;

	if (queue >= p->n_rx || p->wait.fd[queue] < 0 || max < 1)
		return 0;
	fds[0] = p->wait.fd[queue];
	return 1;
}

static void port_rx_arm(struct netif *nif, uint16_t queue, bool on)
{
	struct port *p = nif->priv;

	if (queue < p->n_rx)
		port_wait_arm(&p->wait, queue, on);
}

static uint16_t shut_rx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	return 0;
}

static uint16_t shut_tx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static const struct netif_ops ops_shut = { .rx_burst = shut_rx, .tx_burst = shut_tx };
static const struct netif_ops ops = {
	.rx_burst = port_rx, .tx_burst = port_tx, .rx_fds = port_rx_fds,
};
static const struct netif_ops ops_armed = {
	.rx_burst = port_rx, .tx_burst = port_tx, .rx_fds = port_rx_fds, .rx_arm = port_rx_arm,
};
static const struct netif_ops ops_shared = {
	.rx_burst = port_rx, .tx_burst = port_tx_shared, .rx_fds = port_rx_fds,
};
static const struct netif_ops ops_armed_shared = {
	.rx_burst = port_rx, .tx_burst = port_tx_shared, .rx_fds = port_rx_fds,
	.rx_arm = port_rx_arm,
};

/* What to do about a failed step, by its error. */
static const char *remedy(const char *devargs, int err)
{
	if (err == -EPERM || err == -EACCES || geteuid() != 0)
		return "run the engine as root or with CAP_NET_ADMIN and CAP_NET_RAW";
	if (strstr(devargs, "iface="))
		return "check that the interface named by iface= exists and that nothing else uses "
		       "it";
	if (eal_is_pci(devargs))
		return "check that the device is there and bound to vfio-pci";
	return "check the devargs, such as net_af_packet0,iface=eth1 or net_tap0,iface=fn0";
}

static int fail(const struct port_conf *conf, const char *step, int err, char *text)
{
	char last[160];

	if (err == -EPERM) /* most drivers return a bare -1, whatever the reason */
		err = errno ? -errno : -EIO;
	eal_last_error(last, sizeof(last));
	snprintf(text, PORT_ERR_MAX, "can't open port %s: %s failed: %s%s%s; %s", conf->devargs,
		 step, strerror(-err), *last ? ": " : "", last, remedy(conf->devargs, err));
	return err;
}

/* The device's name: devargs up to the first comma. */
static void name_of(const char *devargs, char *buf, size_t size)
{
	size_t n = strcspn(devargs, ",");

	n = n < size ? n : size - 1;
	memcpy(buf, devargs, n);
	buf[n] = 0;
}

/* net_vhost offers its peers segmentation only when told to. */
static const char *with_defaults(const char *devargs, char *buf, size_t size)
{
	if (strncmp(devargs, "net_vhost", 9) != 0 || strstr(devargs, ",tso="))
		return devargs;
	int n = snprintf(buf, size, "%s,tso=1", devargs);
	return n > 0 && (size_t)n < size ? buf : devargs;
}

static int probe(struct port *p, const struct port_conf *conf, char *text)
{
	char name[RTE_ETH_NAME_MAX_LEN], args[512];
	struct rte_dev_iterator it;

	name_of(conf->devargs, name, sizeof(name));
	if (!eal_is_pci(conf->devargs)) {
		if (rte_eth_dev_get_port_by_name(name, &p->id) == 0) {
			snprintf(text, PORT_ERR_MAX,
				 "port %s is given twice; give each device its own "
				 "name, such as net_tap0 and net_tap1",
				 name);
			return -EEXIST;
		}
		int r = rte_dev_probe(with_defaults(conf->devargs, args, sizeof(args)));
		if (r < 0)
			return fail(conf, "probing it", r, text);
		p->probed_here = true;
		r = rte_eth_dev_get_port_by_name(name, &p->id);
		return r ? fail(conf, "finding it", r, text) : 0;
	}
	if (rte_eth_dev_get_port_by_name(name, &p->id) == 0)
		return 0;
	p->id = RTE_MAX_ETHPORTS;
	RTE_ETH_FOREACH_MATCHING_DEV(p->id, name, &it) {
		rte_eth_iterator_cleanup(&it);
		break;
	}
	return p->id < RTE_MAX_ETHPORTS ? 0 : fail(conf, "finding it", -ENODEV, text);
}

static bool is_pci_device(const struct port *p)
{
	return p->info.device && !strcmp(rte_bus_name(rte_dev_bus(p->info.device)), "pci");
}

bool port_is_large(const char *devargs)
{
	static const char *const drivers[] = { "net_vhost", "net_virtio_user" };

	for (unsigned i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strncmp(devargs, drivers[i], strlen(drivers[i])) == 0)
			return true;
	}
	return false;
}

static bool is_driver(const struct port *p, const char *name)
{
	return !strcmp(p->info.driver_name, name);
}

/* Most virtual devices pass marks on to a peer that may not honour them, or do in software what the
 * stack does better while it copies: these are asked for nothing. virtio and vhost agree with their peer
 * on what either side leaves undone; for net_vhost's segmentation see port_vhost.h. */
static void choose_offloads(struct port *p, struct rte_eth_conf *ec)
{
	const uint64_t rx_all = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
				RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	const uint64_t l4 = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t cut = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	const uint64_t lro = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;
	bool vhost = is_driver(p, "net_vhost"), virtio = is_driver(p, "net_virtio_user");
	uint64_t rx = p->info.rx_offload_capa, tx = p->info.tx_offload_capa;
	struct netif *nif = &p->nif;

	ec->txmode.offloads = tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (!is_pci_device(p) && !virtio && !vhost)
		return;
	nif->rx_csum = (rx & rx_all) == rx_all;
	ec->rxmode.offloads |= rx & rx_all;
	if (virtio && (rx & lro) == lro)
		ec->rxmode.offloads |= lro;
	nif->large_frames = virtio || vhost;
	nif->tx_csum_ip = tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	nif->tx_csum_l4 = (tx & l4) == l4;
	ec->txmode.offloads |= tx & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | l4);
	nif->tso_whole_len = virtio || vhost;
	if (!nif->tx_csum_l4 || (!nif->tx_csum_ip && !nif->tso_whole_len))
		return;
	if ((tx & cut) == cut)
		ec->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if ((tx & cut) == cut || vhost)
		nif->tso_bytes = TSO_BYTES;
}

static int configure(struct port *p, const struct port_conf *conf, char *text)
{
	struct rte_eth_conf ec = { .intr_conf.rxq = 1 };
	uint16_t mtu = 0;

	p->n_rx =
		(uint16_t)min_u32(min_u32(conf->n_workers, p->info.max_rx_queues), PORT_QUEUES_MAX);
	p->n_tx =
		(uint16_t)min_u32(min_u32(conf->n_workers, p->info.max_tx_queues), PORT_QUEUES_MAX);
	if (!p->n_rx || !p->n_tx)
		return fail(conf, "finding its queues", -ENODEV, text);
	rte_eth_dev_get_mtu(p->id, &mtu);
	ec.rxmode.mtu = conf->mtu ? conf->mtu : mtu;
	if (conf->mtu && (conf->mtu > p->info.max_mtu || conf->mtu < p->info.min_mtu)) {
		snprintf(text, PORT_ERR_MAX,
			 "port %s: mtu %u is not between its %u and %u; leave mtu "
			 "out to use the port's",
			 conf->devargs, conf->mtu, p->info.min_mtu, p->info.max_mtu);
		return -EINVAL;
	}
	choose_offloads(p, &ec);
	p->nif.rss = p->n_rx > 1 && rss_request(&ec, &p->info, p->rss_key);
	p->intr = true;
	int r = rte_eth_dev_configure(p->id, p->n_rx, p->n_tx, &ec);
	if (r) { /* not every driver knows receive interrupts */
		ec.intr_conf.rxq = 0;
		p->intr = false;
		r = rte_eth_dev_configure(p->id, p->n_rx, p->n_tx, &ec);
	}
	if (r)
		return fail(conf, "configuring it", r, text);
	if (!conf->mtu || conf->mtu == mtu)
		return 0;
	r = rte_eth_dev_set_mtu(p->id, conf->mtu);
	return r && r != -ENOTSUP ? fail(conf, "setting its MTU", r, text) : 0;
}

static int start_queues(struct port *p, const struct port_conf *conf, char *text)
{
	uint16_t n_rx = RX_DESC, n_tx = TX_DESC;
	int node = rte_eth_dev_socket_id(p->id);
	bool large = conf->mbufs_large && p->nif.large_frames;
	struct rte_mempool *mbufs = large ? conf->mbufs_large : conf->mbufs;

	if (large)
		n_rx = RX_DESC_LARGE;
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &n_rx, &n_tx);

	for (uint16_t q = 0; !r && q < p->n_rx; q++)
		r = rte_eth_rx_queue_setup(p->id, q, n_rx, (unsigned)node, NULL, mbufs);
	if (r)
		return fail(conf, "setting up a receive queue", r, text);
	for (uint16_t q = 0; !r && q < p->n_tx; q++) {
		rte_spinlock_init(&p->tx_lock[q]);
		r = rte_eth_tx_queue_setup(p->id, q, n_tx, (unsigned)node, NULL);
	}
	if (r)
		return fail(conf, "setting up a transmit queue", r, text);
	r = rte_eth_dev_start(p->id);
	return r ? fail(conf, "starting it", r, text) : 0;
}

/* net_tap gives the kernel's end of the wire the port's own address; two stations of one address
 * can't resolve each other, so the kernel's gets another one (locally administered). */
static void part_tap_macs(struct port *p)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	if (strcmp(p->info.driver_name, "net_tap") != 0 ||
	    !if_indextoname(p->info.if_index, ifr.ifr_name))
		return;
	memcpy(ifr.ifr_hwaddr.sa_data, p->nif.mac, 6);
	ifr.ifr_hwaddr.sa_data[0] = 0x02;
	ifr.ifr_hwaddr.sa_data[5] ^= 0x01;
	ifr.ifr_hwaddr.sa_data[1] ^= 0x46;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFHWADDR, &ifr) < 0)
		LOG(dpdk, WARN, "can't change the kernel's address of interface=%s: %s; the kernel "
		    "may not reach this port", ifr.ifr_name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int read_identity(struct port *p, const struct port_conf *conf, char *text)
{
	struct rte_ether_addr mac;
	uint16_t mtu = 1500;
	int r = rte_eth_macaddr_get(p->id, &mac);

	if (r)
		return fail(conf, "reading its address", r, text);
	memcpy(p->nif.mac, mac.addr_bytes, 6);
	rte_eth_dev_get_mtu(p->id, &mtu);
	p->nif.mtu = mtu;
	p->nif.n_queues = p->n_rx;
	p->nif.ifindex = p->info.if_index;
	name_of(conf->devargs, p->nif.name, sizeof(p->nif.name));
	return 0;
}

static int open_device(struct port *p, const struct port_conf *conf, char *text)
{
	port_fds_note(&p->fds_before);
	eal_last_error(text, PORT_ERR_MAX); /* forget older ones */
	errno = 0;
	int r = probe(p, conf, text);
	if (r)
		return r;
	r = rte_eth_dev_info_get(p->id, &p->info);
	if (r) {
		fail(conf, "asking it", r, text);
		goto fail_close;
	}
	p->driver = p->info.driver_name;
	r = configure(p, conf, text);
	if (!r)
		r = start_queues(p, conf, text);
	if (!r)
		r = read_identity(p, conf, text);
	if (r)
		goto fail_close;
	if (p->nif.rss && !rss_table(p->id, &p->info, p->n_rx))
		p->nif.rss = false;
	part_tap_macs(p);
	port_wait_find(&p->wait, p->id, p->n_rx, p->intr, &p->fds_before);
	if (is_driver(p, "net_vhost"))
		p->nif.tso_off = port_vhost_watch(&p->vhost, p->id);
	/* After the search for the driver's own descriptors. */
	p->mcast_fd = port_mcast_open(p->id, p->info.if_index, p->nif.name);
	bool shared = p->n_tx < conf->n_workers;
	p->nif.ops = p->wait.kind != PORT_WAIT_FRAMES ? shared ? &ops_armed_shared : &ops_armed :
		     shared	  ? &ops_shared : &ops;
	p->nif.priv = p;
	LOG(dpdk, INFO, "port=%s driver=%s queues=%u mtu=%u sleep=%s", p->nif.name, p->driver,
	    p->n_rx, p->nif.mtu,
	    p->wait.fd[0] < 0 ? "no"
	    : p->wait.kind != PORT_WAIT_FRAMES    ? "interrupt"
			      : "socket");
	return 0;
fail_close:
	rte_eth_dev_close(p->id);
	/* Else it could not be tried again. */
	if (p->probed_here && p->info.device)
		rte_dev_remove(p->info.device);
	return r;
}

int port_open(const struct port_conf *conf, struct port **out, char text[PORT_ERR_MAX])
{
	struct port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	int r = open_device(p, conf, text);
	if (r)
		free(p);
	else
		*out = p;
	return r;
}

/* net_af_xdp leaves its sockets open, and the kernel the queue with them: nobody else could have it. */
static void close_xdp(const int *fd, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int domain = 0;
		socklen_t len = sizeof(domain);

		if (fd[i] >= 0 && getsockopt(fd[i], SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		    domain == AF_XDP)
			close(fd[i]);
	}
}

void port_shut(struct port *p)
{
	int fd[PORT_QUEUES_MAX];

	if (p->shut)
		return;
	p->shut = true;
	memcpy(fd, p->wait.fd, sizeof(fd));
	port_wait_fini(&p->wait);
	port_vhost_unwatch(&p->vhost);
	if (p->mcast_fd >= 0)
		close(p->mcast_fd);
	rte_eth_dev_stop(p->id);
	rte_eth_dev_close(p->id);
	if (p->probed_here && p->info.device)
		rte_dev_remove(p->info.device);
	close_xdp(fd, p->n_rx);
}

int port_reopen(struct port *p, const struct port_conf *conf, char text[PORT_ERR_MAX])
{
	const struct netif nif = p->nif;

	*p = (struct port){ 0 };
	int r = open_device(p, conf, text);
	if (r) {
		p->nif = nif;
		p->nif.ops = &ops_shut;
		p->driver = "none";
		p->shut = true;
		return r;
	}
	p->nif.index = nif.index;
	p->nif.ifindex = nif.ifindex;
	p->nif.n_addrs = nif.n_addrs;
	memcpy(p->nif.addr, nif.addr, sizeof(nif.addr));
	return 0;
}

void port_close(struct port *p)
{
	port_shut(p);
	free(p);
}

struct netif *port_netif(struct port *p) { return &p->nif; }

const char *port_driver(const struct port *p) { return p->driver; }

void port_counters(const struct port *p, struct port_counters *out)
{
	struct rte_eth_stats s;

	memset(out, 0, sizeof(*out));
	if (p->shut || rte_eth_stats_get(p->id, &s))
		return;
	*out = (struct port_counters){
		.rx = s.ipackets, .tx = s.opackets, .rx_bytes = s.ibytes, .tx_bytes = s.obytes,
		.rx_missed = s.imissed, .rx_errors = s.ierrors, .tx_errors = s.oerrors,
		.rx_nombuf = s.rx_nombuf,
	};
}
