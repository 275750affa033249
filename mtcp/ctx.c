/* Contexts: made, destroyed, their pool of descriptors. */
// SPDX-License-Identifier: MIT
#include "mtcp/ctx.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "mtcp/export.h"
#include "stack/chan/lock.h"
#include "stack/chan/wait.h"

struct mtcp_context mtcp_contexts[MTCP_CONTEXTS];

/* ---- the pool ---- */
struct slot *slot_take(struct mtcp_context *m, enum socket_type kind)
{
	struct slot *s;

	if (m->free) {
		s = &m->slot[m->free - 1];
		m->free = s->next_free;
	} else if (m->used < m->n_slots) {
		s = &m->slot[m->used++];
	} else {
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	s->kind = (uint8_t)kind;
	s->flags = SLOT_NONBLOCK;
	return s;
}

void slot_give(struct mtcp_context *m, struct slot *s)
{
	s->kind = MTCP_SOCK_UNUSED;
	s->next_free = m->free;
	m->free = (uint32_t)slot_number(m, s) + 1;
}

int slot_wait(struct mtcp_context *m, const struct slot *s, uint32_t seen)
{
	int r;

	if (set_interrupted(m))
		return -EINTR;
	r = chan_sock_wait(&s->link->app, s->id, seen, CHAN_FOREVER, &m->interrupts, m->interrupts_told);
	if (r != -EINTR)
		return 0;
	set_interrupted(m);
	return -EINTR;
}

/* ---- contexts ---- */
EXPORT int mtcp_core_affinitize(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return fail(EINVAL);
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static int ctx_open(struct mtcp_context *m, int cpu)
{
	m->cpu = cpu;
	m->n_slots = (uint32_t)mtcp_config.max_concurrency;
	m->used = m->free = 0;
	m->listeners = NULL;
	m->sources = (struct sources){ 0 };
	m->retry_ns = 0;
	atomic_store(&m->lock, 0);
	atomic_store(&m->interrupts, 0);
	m->interrupts_told = 0;
	m->slot = calloc(m->n_slots, sizeof(*m->slot));
	if (!m->slot)
		return ENOMEM;
	m->kick_fd = link_eventfd();
	if (m->kick_fd < 0) {
		free(m->slot);
		return -m->kick_fd;
	}
	if (!link_get(m)) {
		free(m->slot);
		sys_close(m->kick_fd);
		return ENETDOWN;
	}
	return 0;
}

static bool ready; /* mtcp_init() has succeeded */
static _Atomic uint32_t contexts_lock;

void ctx_allow(bool yes) { ready = yes; }

EXPORT mctx_t mtcp_create_context(int cpu)
{
	struct mtcp_context *m;
	int err;

	if (cpu < 0 || cpu >= mtcp_config.num_cores || cpu >= MTCP_CONTEXTS || !ready) {
		errno = ready ? EINVAL : EPERM;
		return NULL;
	}
	m = &mtcp_contexts[cpu];
	if (chan_lock(&contexts_lock) < 0) {
		errno = EDEADLK;
		return NULL;
	}
	err = atomic_load(&m->live) ? EINVAL : ctx_open(m, cpu);
	if (!err)
		atomic_store_explicit(&m->live, 1, memory_order_release);
	chan_unlock(&contexts_lock);
	if (err) {
		errno = err;
		return NULL;
	}
	return m;
}

static void ctx_close(struct mtcp_context *m, bool ours)
{
	for (uint32_t i = 0; i < m->used; i++) {
		if (ours && m->slot[i].kind != MTCP_SOCK_UNUSED)
			slot_close(m, &m->slot[i]);
		else if (m->slot[i].kind == MTCP_SOCK_EPOLL)
			sys_close(m->slot[i].ep->wake_fd);
	}
	if (ours)
		link_close_all(m);
	else
		link_forget_all(m);
	sys_close(m->kick_fd);
	m->kick_fd = MTCP_NONE;
	free(m->slot);
	m->slot = NULL;
	m->n_slots = 0;
}

EXPORT void mtcp_destroy_context(mctx_t m)
{
	if (m && atomic_exchange(&m->live, 0))
		ctx_close(m, true);
}

void ctx_destroy_all(void)
{
	for (int i = 0; i < MTCP_CONTEXTS; i++)
		mtcp_destroy_context(&mtcp_contexts[i]);
}

/* Event sets and pipes of the copies are lost with what they point to: some memory, once a fork. */
void ctx_after_fork(void)
{
	chan_tid_reset();
	atomic_store(&contexts_lock, 0);
	for (int i = 0; i < MTCP_CONTEXTS; i++)
		if (atomic_exchange(&mtcp_contexts[i].live, 0))
			ctx_close(&mtcp_contexts[i], false);
	ready = false;
}
