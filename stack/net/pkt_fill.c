/* Copies payload into as many packet buffers as it takes. */
// SPDX-License-Identifier: MIT
#include "stack/net/pkt_fill.h"
#include "stack/base/util.h"
#include <rte_mbuf.h>
#include <string.h>

bool pkt_fill(struct rte_mempool *pool, struct rte_mbuf *m, const struct iovec *iov, int n_iov, size_t off,
	      uint32_t n)
{
	struct rte_mbuf *last = m;

	for (int i = 0; i < n_iov && n; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		uint32_t take = (uint32_t)min_u64(iov[i].iov_len - off, n);
		const uint8_t *from = (const uint8_t *)iov[i].iov_base + off;

		n -= take;
		off = 0;
		while (take) {
			uint16_t part = (uint16_t)min_u32(take, rte_pktmbuf_tailroom(last));

			if (part == 0) {
				struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

				if (!more || rte_pktmbuf_chain(m, more) < 0) {
					rte_pktmbuf_free(more);
					return false;
				}
				last = more;
				continue;
			}
			memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), from, part);
			last->data_len += part;
			m->pkt_len += part;
			from += part;
			take -= part;
		}
	}
	return true;
}
