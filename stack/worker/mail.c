/* The mailbox of a worker: messages are copied into a ring that many threads may write; a worker that
 * sleeps is woken by its eventfd. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "stack/net/pkt.h"
#include "stack/worker/worker_int.h"

struct worker_set worker_set;

/* In ordinary memory: a ring needs no memzone, and two workers need no names. */
static struct rte_ring *ring_new(unsigned elem_size, unsigned count)
{
	ssize_t bytes = rte_ring_get_memsize_elem(elem_size, count);
	struct rte_ring *r;

	if (bytes < 0)
		return NULL;
	r = aligned_alloc(CACHE_LINE, align_up((size_t)bytes, CACHE_LINE));
	if (r && rte_ring_init(r, "worker", count, RING_F_SC_DEQ) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

int mail_init(struct worker *w)
{
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	w->mailbox = ring_new(sizeof(struct sock_mail), MAIL_SLOTS);
	w->steered = ring_new(sizeof(void *), STEER_SLOTS);
	return w->mailbox && w->steered ? 0 : -ENOMEM;
}

void mail_fini(struct worker *w)
{
	void *m;

	while (w->steered && rte_ring_sc_dequeue(w->steered, &m) == 0)
		pkt_free(m);
	free(w->mailbox);
	free(w->steered);
	w->mailbox = w->steered = NULL;
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	w->wake_fd = -1;
}

bool worker_mail(struct worker *w, const struct sock_mail *msg)
{
	struct sock_mail copy = *msg; /* the ring's function wants it writable */

	if (rte_ring_mp_enqueue_elem(w->mailbox, &copy, sizeof(copy)) != 0)
		return false;
	worker_wake(w);
	return true;
}

void worker_wake(struct worker *w)
{
	const uint64_t one = 1;

	/* W1: what we have queued is visible before we look whether it sleeps; pairs with S1 in idle.c,
	 * where it says that it sleeps before it looks at its queues. One of us sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&w->shared->sleeping, memory_order_relaxed))
		return;
	/* The counter is never read: each write is an edge. Full after 2^64 writes. */
	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, 1);
	worker_wake(w);
}

uint32_t mail_drain(struct worker *w)
{
	struct sock_mail m;
	uint32_t n = 0;

	while (n < MAIL_SLOTS &&
	       rte_ring_sc_dequeue_elem(w->mailbox, &m, sizeof(m)) == 0) {
		if (unlikely(m.type == SOCK_MAIL_NEIGH_LOST))
			ndp_mail(w, &m);
		else
			sock_mail(&w->sock, &m);
		n++;
	}
	if (n) /* one of them may have been the barrier, behind which addresses change */
		w->net.seen.nif = w->net.seen6.nif = NULL;
	return n;
}
