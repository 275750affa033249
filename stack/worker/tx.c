/* The transmit side: frames of one loop are collected per port and leave in bursts. A port that is
 * behind never blocks the loop: frames wait a little, then they are lost, as on any full link. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/net/pkt.h"
#include "stack/worker/worker_int.h"

struct tx_port {
	uint32_t n;
	uint32_t fresh; /* bytes that have not been offered yet */
	uint64_t stuck_ns; /* since when the port has taken nothing, 0: it does take */
	struct rte_mbuf *frame[TX_QUEUE]; /* oldest first */
};

struct worker_tx {
	struct tx_port port[NETIF_MAX];
};

int tx_init(struct worker *w)
{
	w->tx = calloc(1, sizeof(*w->tx));
	return w->tx ? 0 : -ENOMEM;
}

static void drop_all(struct tx_port *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		pkt_free(q->frame[i]);
	q->n = 0;
}

void tx_fini(struct worker *w)
{
	if (!w->tx)
		return;
	for (int i = 0; i < NETIF_MAX; i++)
		drop_all(&w->tx->port[i]);
	free(w->tx);
	w->tx = NULL;
}

/* Offers the queue to the port a few times. */
static void offer(struct worker *w, struct netif *nif, struct tx_port *q)
{
	uint32_t sent = 0, bytes = 0;

	q->fresh = 0;
	for (uint32_t i = 0; i < q->n; i++)
		rte_prefetch0(q->frame[i]);
	for (int tries = 0; tries < TX_TRIES && sent < q->n;) {
		struct rte_mbuf **at = &q->frame[sent];
		uint16_t n = (uint16_t)min_u32(q->n - sent, TX_BURST);
		uint32_t len = 0;

		for (uint16_t i = 0; i < n; i++)
			len += at[i]->pkt_len;
		uint16_t took = nif->ops->tx_burst(nif, (uint16_t)w->conf.number, at, n);
		sent += took;
		bytes += len;
		for (uint16_t i = took; i < n; i++)
			bytes -= at[i]->pkt_len;
		if (took < n)
			tries++;
	}
	if (sent) {
		STAT_ADD(port_tx_pkts, sent);
		STAT_ADD(port_tx_bytes, bytes);
		q->stuck_ns = 0;
		q->n -= sent;
		memmove(&q->frame[0], &q->frame[sent], q->n * sizeof(q->frame[0]));
	} else if (q->n && !q->stuck_ns) {
		q->stuck_ns = w->now_ns;
	}
}

void tx_push(void *arg, struct netif *nif, struct rte_mbuf *m)
{
	struct worker *w = arg;
	struct tx_port *q = &w->tx->port[nif->index];

	if (unlikely(q->n == TX_QUEUE)) {
		STAT_INC(port_drop_tx_full);
		pkt_free(m);
		return;
	}
	q->frame[q->n++] = m;
	q->fresh += m->pkt_len;
	/* Offered again only with each further burst: a port that is full is not asked per frame.
	 * Large frames leave while they are in the cache, and the other side has something to do. */
	if (q->n % TX_BURST == 0 || q->fresh >= BURST_BYTES)
		offer(w, nif, q);
}

bool tx_flush(struct worker *w)
{
	bool pending = false;

	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		struct tx_port *q = &w->tx->port[i];

		if (!q->n)
			continue;
		offer(w, w->conf.netif[i], q);
		if (q->n && q->stuck_ns && w->now_ns - q->stuck_ns > TX_STUCK_US * NSEC_PER_USEC) {
			STAT_ADD(port_drop_tx_full, q->n);
			drop_all(q);
		}
		pending |= q->n > 0;
	}
	return pending;
}

void worker_settle(struct worker *w)
{
	tx_flush(w);
	for (int i = 0; i < NETIF_MAX; i++) {
		STAT_ADD(port_drop_tx_full, w->tx->port[i].n);
		drop_all(&w->tx->port[i]);
	}
}

bool tx_has_room(const struct worker *w, const struct netif *nif, uint32_t frames)
{
	return w->tx->port[nif->index].n + frames <= TX_QUEUE;
}

bool tx_pending(const struct worker *w)
{
	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		if (w->tx->port[i].n)
			return true;
	}
	return false;
}
