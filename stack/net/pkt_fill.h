/* Payload into packet buffers. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct rte_mbuf;
struct rte_mempool;
/* Copies n bytes from position off of iov into the buffers of m, as many as it takes. False: no
 * buffers; m stays the caller's. */
bool pkt_fill(struct rte_mempool *pool, struct rte_mbuf *m, const struct iovec *iov, int n_iov, size_t off,
	      uint32_t n);
