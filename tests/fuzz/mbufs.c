/* EAL and the pool. */
// SPDX-License-Identifier: MIT
#include "tests/fuzz/mbufs.h"
#include <rte_eal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/bug.h"

struct rte_mempool *fuzz_pool(void)
{
	char prefix[32], *argv[] = { "fuzz", "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
				     "--no-telemetry", "--log-level=error", "--file-prefix", prefix,
				     NULL };
	static struct rte_mempool *pool;

	if (pool)
		return pool;
	snprintf(prefix, sizeof(prefix), "fnfuzz%d", getpid());
	CHECK(rte_eal_init((int)ARRAY_LEN(argv) - 1, argv) >= 0);
	pool = rte_pktmbuf_pool_create("fuzz", FUZZ_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	CHECK(pool);
	return pool;
}

struct rte_mbuf *fuzz_mbuf(const void *p, uint32_t n)
{
	const uint8_t *from = p;
	struct rte_mbuf *first = rte_pktmbuf_alloc(fuzz_pool()), *last = first;

	for (uint32_t done = 0; first && done < n;) {
		uint16_t room = rte_pktmbuf_tailroom(last);
		uint16_t take = (uint16_t)min_u32(n - done, room);

		if (take == 0) {
			last = rte_pktmbuf_alloc(fuzz_pool());
			if (!last || rte_pktmbuf_chain(first, last) < 0) {
				rte_pktmbuf_free(last);
				rte_pktmbuf_free(first);
				return NULL;
			}
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), from + done, take);
		last->data_len += take;
		first->pkt_len += take;
		done += take;
	}
	return first;
}
