/* What belongs to a data thread is read on that data thread, in small portions, while the tool waits. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "stack/host/admin_int.h"

enum { CALL_WAIT_S = 2 };

struct admin_call *admin_call_new(void (*fn)(struct sock_env *env, void *arg), size_t arg_size)
{
	struct admin_call *c = calloc(1, sizeof(*c) + arg_size);

	if (!c)
		return NULL;
	c->fn = fn;
	sem_init(&c->done, 0, 0);
	atomic_init(&c->refs, 1);
	return c;
}

void admin_call_put(struct admin_call *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	sem_destroy(&c->done);
	free(c);
}

static void call_run(struct sock_env *env, void *p)
{
	struct admin_call *c = p;

	c->fn(env, c->arg);
	sem_post(&c->done);
	admin_call_put(c);
}

bool admin_call_wait(struct worker *w, struct admin_call *c)
{
	const struct sock_mail m = { .type = SOCK_MAIL_CALL, .p = c, .fn = call_run };
	struct timespec until;
	int r;

	atomic_fetch_add(&c->refs, 1);
	if (!worker_mail(w, &m)) {
		atomic_fetch_sub(&c->refs, 1);
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CALL_WAIT_S;
	while ((r = sem_timedwait(&c->done, &until)) < 0 && errno == EINTR)
		;
	return r == 0;
}

void admin_each_portion(struct worker *w, const struct admin_table *t, void *ctx)
{
	struct admin_call *c = admin_call_new(t->fill, t->size);
	const struct admin_portion *p = c ? (const struct admin_portion *)c->arg : NULL;
	bool more = c != NULL;

	while (more) {
		more = admin_call_wait(w, c);
		if (more) {
			t->print(c->arg, ctx);
			more = p->n == t->max;
		}
	}
	if (c)
		admin_call_put(c);
}
