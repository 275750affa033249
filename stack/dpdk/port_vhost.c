/* Asks for the features that a vhost port and its peer have negotiated, whenever one connects. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/port_vhost.h"
#include <linux/virtio_net.h>
#include <rte_eth_vhost.h>
#include <rte_ethdev.h>
#include <rte_vhost.h>
#include "stack/base/util.h"

/* On the driver's thread. */
static int on_link(uint16_t port_id, enum rte_eth_event_type type, void *arg, void *ret)
{
	const uint64_t cut = 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
			     1ull << VIRTIO_NET_F_GUEST_TSO6;
	int vid = rte_eth_vhost_get_vid_from_port_id(port_id);
	struct port_vhost *v = arg;
	uint64_t has = 0;

	if (vid < 0 || rte_vhost_get_negotiated_features(vid, &has) < 0)
		has = 0;
	atomic_store_explicit(&v->tso_off, (has & cut) != cut, memory_order_relaxed);
	return 0;
}

const _Atomic bool *port_vhost_watch(struct port_vhost *v, uint16_t port_id)
{
	v->port_id = port_id;
	atomic_init(&v->tso_off, true);
	v->watched = rte_eth_dev_callback_register(port_id, RTE_ETH_EVENT_INTR_LSC, on_link, v) == 0;
	if (v->watched)
		on_link(port_id, RTE_ETH_EVENT_INTR_LSC, v, NULL);
	return &v->tso_off;
}

void port_vhost_unwatch(struct port_vhost *v)
{
	if (v->watched)
		rte_eth_dev_callback_unregister(v->port_id, RTE_ETH_EVENT_INTR_LSC, on_link, v);
	v->watched = false;
}
