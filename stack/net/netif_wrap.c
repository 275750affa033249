/* Two interfaces around an interface: one writes all frames to a pcap file, one spoils some of them
 * by a seeded generator, so that a failure can be had again. For tests and for hunting, not for speed. */
// SPDX-License-Identifier: MIT
#include "stack/net/netif_wrap.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stack/base/pcap.h"
#include "stack/base/rng.h"
#include "stack/base/util.h"
#include "stack/net/pkt.h"

enum { MILLION = 1000000, BURST = 64, QUEUES = 16 };

/* What one queue has of its own: queues are served by different threads. A transmit queue number may
 * exceed n_queues (workers that share one), so there are as many as there may be workers. */
struct wrap_queue {
	struct rng rx_rng, tx_rng;
	struct rte_mbuf *late; /* received, to be seen after the next one */
	uint8_t frame[PKT_LINEAR_MAX];
};

struct wrap {
	struct netif nif; /* what the stack sees */
	struct netif *inner;
	struct pcap pcap;
	struct netif_fault fault;
	struct rte_mempool *mbufs;
	struct wrap_queue queue[QUEUES];
};

static struct wrap *wrap_of(struct netif *nif) { return container_of(nif, struct wrap, nif); }

static struct wrap *wrap_new(struct netif *inner, const struct netif_ops *ops)
{
	struct wrap *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->nif = *inner;
	w->nif.ops = ops;
	w->inner = inner;
	w->pcap.fd = -1;
	return w;
}

/* Without the wall clock a capture could not be laid beside another one. */
static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint16_t pcap_rx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct wrap *w = wrap_of(nif);

	n = w->inner->ops->rx_burst(w->inner, queue, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *p = pkt_linear(pkts[i], w->queue[queue].frame);

		if (p)
			pcap_append(&w->pcap, wall_ns(), p, pkt_len(pkts[i]));
	}
	return n;
}

/* A frame that the driver took is no longer ours to read, and one that it refuses will be offered
 * again: hence the copy, and one frame at a time. */
static uint16_t pcap_tx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct wrap *w = wrap_of(nif);
	uint8_t *frame = w->queue[queue].frame;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t len = min_u32(pkt_len(pkts[i]), PKT_LINEAR_MAX);
		const uint8_t *p = rte_pktmbuf_read(pkts[i], 0, len, frame);

		if (p && p != frame)
			memcpy(frame, p, len);
		if (w->inner->ops->tx_burst(w->inner, queue, &pkts[i], 1) == 0)
			return i;
		if (p)
			pcap_append(&w->pcap, wall_ns(), frame, len);
	}
	return n;
}

static int wrap_rx_fds(struct netif *nif, uint16_t queue, int *fds, int max)
{
	struct netif *inner = wrap_of(nif)->inner;

	return inner->ops->rx_fds ? inner->ops->rx_fds(inner, queue, fds, max) : 0;
}

static void wrap_rx_arm(struct netif *nif, uint16_t queue, bool on)
{
	struct netif *inner = wrap_of(nif)->inner;

	if (inner->ops->rx_arm)
		inner->ops->rx_arm(inner, queue, on);
}

static const struct netif_ops pcap_ops = {
	.rx_burst = pcap_rx, .tx_burst = pcap_tx, .rx_fds = wrap_rx_fds, .rx_arm = wrap_rx_arm,
};

int netif_wrap_pcap(struct netif *inner, const char *path, bool more, struct netif **out)
{
	struct wrap *w = wrap_new(inner, &pcap_ops);

	if (!w)
		return -ENOMEM;
	int err = more ? pcap_open_more(&w->pcap, path) : pcap_open(&w->pcap, path);
	if (err < 0) {
		free(w);
		return err;
	}
	*out = &w->nif;
	return 0;
}

static bool hit(struct rng *rng, uint32_t ppm) { return ppm && rng_below(rng, MILLION) < ppm; }

/* One bit of an IPv4 packet: checksums must find it. ARP has none, so it is left alone. */
static void corrupt(struct rng *rng, struct rte_mbuf *m)
{
	uint8_t *p = pkt_data(m);

	if (m->data_len <= ETH_HDR_LEN || load_be16(p + 12) != ETH_TYPE_IP4)
		return;
	uint32_t at = ETH_HDR_LEN + rng_below(rng, m->data_len - ETH_HDR_LEN);
	p[at] ^= (uint8_t)(1u << rng_below(rng, 8));
	m->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
}

static struct rte_mbuf *duplicate(struct wrap *w, const struct rte_mbuf *m)
{
	return rte_pktmbuf_copy(m, w->mbufs, 0, UINT32_MAX);
}

static uint16_t fault_rx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct wrap *w = wrap_of(nif);
	struct wrap_queue *q = &w->queue[queue];
	struct netif_fault *f = &w->fault;
	struct rte_mbuf *got[BURST];
	uint16_t out = 0;

	if (!f->rx || n < 3)
		return w->inner->ops->rx_burst(w->inner, queue, pkts, n);
	/* Each frame may become two, and one more may be waiting. */
	uint16_t take = (uint16_t)min_u32((n - 1u) / 2, BURST);
	uint16_t k = w->inner->ops->rx_burst(w->inner, queue, got, take);
	for (uint16_t i = 0; i < k; i++) {
		struct rte_mbuf *m = got[i], *twin;

		if (hit(&q->rx_rng, f->drop_ppm)) {
			pkt_free(m);
			continue;
		}
		if (hit(&q->rx_rng, f->corrupt_ppm))
			corrupt(&q->rx_rng, m);
		if (hit(&q->rx_rng, f->reorder_ppm) && !q->late) {
			q->late = m;
			continue;
		}
		pkts[out++] = m;
		if (hit(&q->rx_rng, f->dup_ppm) && (twin = duplicate(w, m)))
			pkts[out++] = twin;
		if (q->late) {
			pkts[out++] = q->late;
			q->late = NULL;
		}
	}
	/* Nothing follows: late enough. A worker looks once more before it sleeps. */
	if (k == 0 && q->late) {
		pkts[out++] = q->late;
		q->late = NULL;
	}
	return out;
}

static uint16_t fault_tx(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct wrap *w = wrap_of(nif);
	struct wrap_queue *q = &w->queue[queue];
	struct netif_fault *f = &w->fault;

	if (!f->tx)
		return w->inner->ops->tx_burst(w->inner, queue, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *twin = NULL;

		if (hit(&q->tx_rng, f->drop_ppm)) {
			pkt_free(pkts[i]);
			continue;
		}
		if (hit(&q->tx_rng, f->reorder_ppm) && i + 1 < n) {
			struct rte_mbuf *first = pkts[i];

			pkts[i] = pkts[i + 1];
			pkts[i + 1] = first;
		}
		if (hit(&q->tx_rng, f->corrupt_ppm))
			corrupt(&q->tx_rng, pkts[i]);
		if (hit(&q->tx_rng, f->dup_ppm))
			twin = duplicate(w, pkts[i]);
		bool taken = w->inner->ops->tx_burst(w->inner, queue, &pkts[i], 1) == 1;
		if (twin && (!taken || w->inner->ops->tx_burst(w->inner, queue, &twin, 1) == 0))
			pkt_free(twin);
		if (!taken)
			return i;
	}
	return n;
}

static const struct netif_ops fault_ops = {
	.rx_burst = fault_rx, .tx_burst = fault_tx, .rx_fds = wrap_rx_fds, .rx_arm = wrap_rx_arm,
};

int netif_wrap_fault(struct netif *inner, const struct netif_fault *f, struct rte_mempool *mbufs,
		     struct netif **out)
{
	struct wrap *w = wrap_new(inner, &fault_ops);

	if (!w)
		return -ENOMEM;
	w->fault = *f;
	w->mbufs = mbufs;
	for (uint32_t i = 0; i < QUEUES; i++) {
		rng_seed(&w->queue[i].rx_rng, f->seed + 2 * i);
		rng_seed(&w->queue[i].tx_rng, f->seed + 2 * i + 1);
	}
	/* A port that computes checksums would make a corrupted frame right again. */
	if (f->tx && f->corrupt_ppm) {
		w->nif.tx_csum_ip = w->nif.tx_csum_l4 = false;
		w->nif.tso_bytes = 0;
	}
	*out = &w->nif;
	return 0;
}

struct netif *netif_unwrap(struct netif *nif)
{
	struct wrap *w = wrap_of(nif);
	struct netif *inner = w->inner;

	for (uint32_t i = 0; i < QUEUES; i++)
		pkt_free(w->queue[i].late);
	pcap_close(&w->pcap);
	free(w);
	return inner;
}
