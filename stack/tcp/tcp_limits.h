/* How full the queues of a listening socket are. It may have a tcp_listener on each of several data threads;
 * then its limits hold for all of them together, as backlog and TCP_FASTOPEN say, and they count in what they
 * share.
 *
 * The counts are relaxed and looked at before they are raised: as many more may come in as there are data
 * threads but one, as on Linux, where processors race for the last place in the same way. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include "stack/tcp/tcp.h"

enum tcp_queue { TCPQ_ACCEPT, TCPQ_SYN, TCPQ_YOUNG, TCPQ_FASTOPEN, TCPQ_COUNT };
struct tcp_listen_all {
	_Alignas(64) _Atomic uint32_t n[TCPQ_COUNT];
};

static inline uint32_t *tcp_queue_own(struct tcp_listener *l, enum tcp_queue q)
{
	switch (q) {
	case TCPQ_ACCEPT: return &l->n_acceptq;
	case TCPQ_SYN: return &l->n_synq;
	case TCPQ_YOUNG: return &l->n_young;
	default: return &l->n_fo;
	}
}

/* n more of them, or fewer. */
static inline void tcp_queue_add(struct tcp_listener *l, enum tcp_queue q, int32_t n)
{
	*tcp_queue_own(l, q) += (uint32_t)n;
	if (l->all)
		atomic_fetch_add_explicit(&l->all->n[q], (uint32_t)n, memory_order_relaxed);
}

static inline uint32_t tcp_queue_len(struct tcp_listener *l, enum tcp_queue q)
{
	return l->all ? atomic_load_explicit(&l->all->n[q], memory_order_relaxed) : *tcp_queue_own(l, q);
}

/* As Linux: backlog 0 is one, and so on. */
static inline bool tcp_acceptq_is_full(struct tcp_listener *l)
{
	return tcp_queue_len(l, TCPQ_ACCEPT) > l->backlog;
}
