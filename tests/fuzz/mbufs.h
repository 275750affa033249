/* Packet buffers for the targets that need them: EAL without huge pages, one pool. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/util.h" /* first: DPDK leaves a container_of alone that is there */
#include <rte_mbuf.h>

enum { FUZZ_MBUFS = 1023 };

/* The pool, made at the first call. */
struct rte_mempool *fuzz_pool(void);
/* A buffer, or a chain of them, with n bytes; NULL: none is left. */
struct rte_mbuf *fuzz_mbuf(const void *p, uint32_t n);
