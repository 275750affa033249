/* The data threads stand still while the control thread changes what they share. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "stack/base/log.h"
#include "stack/host/host.h"
#include "stack/host/upgrade.h"

enum { WAIT_S = 5 };

struct barrier {
	uint32_t n;
	_Atomic uint32_t refs; /* data threads and the control thread: whoever is last frees */
	sem_t here, go, done;
	void (*at)(struct worker *w, void *arg);
	void *arg;
};

static void put(struct barrier *b)
{
	if (atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	sem_destroy(&b->here);
	sem_destroy(&b->go);
	sem_destroy(&b->done);
	free(b);
}

static void sem_wait_all(sem_t *s)
{
	while (sem_wait(s) < 0 && errno == EINTR)
		;
}

static void stand(struct sock_env *env, void *p)
{
	struct barrier *b = p;
	struct worker *w = env->host_arg;

	worker_settle(w);
	sem_post(&b->here);
	sem_wait_all(&b->go);
	if (b->at)
		b->at(w, b->arg);
	sem_post(&b->done);
	put(b);
}

/* n posts of s within WAIT_S. */
static bool wait_for(sem_t *s, uint32_t n)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	for (uint32_t i = 0; i < n && r == 0; i++) {
		while ((r = sem_clockwait(s, CLOCK_MONOTONIC, &until)) < 0 && errno == EINTR)
			;
	}
	return r == 0;
}

static bool finish(struct barrier *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		sem_post(&b->go);
	bool done = wait_for(&b->done, b->n);

	put(b);
	return done;
}

struct barrier *barrier_close(struct host *h)
{
	struct barrier *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	sem_init(&b->here, 0, 0);
	sem_init(&b->go, 0, 0);
	sem_init(&b->done, 0, 0);
	atomic_init(&b->refs, 1);
	bool all = true;
	for (uint32_t i = 0; i < h->n_workers; i++) {
		const struct sock_mail m = { .type = SOCK_MAIL_CALL, .p = b, .fn = stand };

		atomic_fetch_add(&b->refs, 1);
		if (worker_mail(h->worker[i], &m)) {
			b->n++;
		} else {
			atomic_fetch_sub(&b->refs, 1);
			all = false;
		}
	}
	if (all && wait_for(&b->here, b->n))
		return b;
	LOG(host, WARN, "the data threads do not stand still");
	finish(b);
	return NULL;
}

void barrier_open(struct barrier *b, void (*at)(struct worker *w, void *arg), void *arg)
{
	b->at = at;
	b->arg = arg;
	finish(b);
}

bool barrier_run(struct host *h, void (*at)(struct worker *w, void *arg), void *arg)
{
	struct barrier *b = barrier_close(h);

	if (!b)
		return false;
	b->at = at;
	b->arg = arg;
	return finish(b);
}
