/* Mail from a data thread to the others. A mailbox has room for so many; what finds it full waits here,
 * in its order, until there is room again: a connection that the home of its listener never hears of
 * would wait in no queue for ever. Both sides go on with their own mail meanwhile, so that nobody waits for
 * somebody who waits for him. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

struct later {
	struct list link; /* priv->later */
	uint32_t to;
	struct sock_mail m;
};

bool sock_post(struct sock_env *env, uint32_t to, const struct sock_mail *m)
{
	struct list *all = &env->priv->later;
	struct later *x;

	if (likely(list_empty(all)) && likely(env->host->mail(env->host_arg, to, m)))
		return true;
	x = malloc(sizeof(*x));
	if (!x)
		return false;
	STAT_INC(mail_late);
	x->to = to;
	x->m = *m;
	list_push(all, &x->link);
	return true;
}

void sock_post_rest(struct sock_env *env)
{
	struct list *all = &env->priv->later;

	while (!list_empty(all)) {
		struct later *x = container_of(all->next, struct later, link);

		if (!env->host->mail(env->host_arg, x->to, &x->m))
			return;
		list_del(&x->link);
		free(x);
	}
}

static bool is_listen(const struct sock_mail *m)
{
	return m->type == SOCK_MAIL_LISTEN || m->type == SOCK_MAIL_LISTEN_OPTS;
}

static const struct client *client_of(const struct sock_mail *m)
{
	return is_listen(m) ? ((const struct listener *)m->p)->client : m->p;
}

void sock_post_forget(struct sock_env *env, const struct client *c)
{
	list_for_each_safe(it, next, &env->priv->later) {
		struct later *x = container_of(it, struct later, link);

		if (c && client_of(&x->m) != c)
			continue;
		if (is_listen(&x->m))
			sock_listen_unsent(env, x->m.p);
		list_del(&x->link);
		free(x);
	}
}
