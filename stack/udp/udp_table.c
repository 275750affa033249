/* Sockets by local port: in, out, connected. */
// SPDX-License-Identifier: MIT
#include "stack/udp/udp_table.h"
#include <errno.h>
#include <stdlib.h>
#include "stack/base/util.h"

enum { GROUPS_PER_CHUNK = 16 };

int udp_env_init(struct udp_env *env)
{
	struct udp_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < UDP_BUCKETS; i++)
		list_init(&t->bucket[i]);
	for (uint32_t i = 0; i < UDP_GROUP_BUCKETS; i++)
		list_init(&t->group[i]);
	pool_init(&t->groups, sizeof(struct udp_group), GROUPS_PER_CHUNK, UDP_GROUPS_MAX,
		  &pool_mem_libc);
	env->table = t;
	env->births = 0;
	env->n_socks = 0;
	return 0;
}

void udp_env_fini(struct udp_env *env)
{
	if (!env->table)
		return;
	pool_fini(&env->table->groups);
	free(env->table);
	env->table = NULL;
}

void udp_sock_init(struct udp_sock *s)
{
	list_init(&s->link);
	list_init(&s->groups);
}

static void enter(struct udp_env *env, struct udp_sock *s)
{
	s->born = ++env->births;
	list_push_front(udp_bucket(env, s->local.port), &s->link);
}

void udp_bind(struct udp_env *env, struct udp_sock *s)
{
	if (list_empty(&s->link))
		env->n_socks++;
	list_del(&s->link);
	enter(env, s);
}

void udp_detach(struct udp_env *env, struct udp_sock *s)
{
	if (list_empty(&s->link))
		return;
	list_del(&s->link);
	env->n_socks--;
}

void udp_unbind(struct udp_env *env, struct udp_sock *s)
{
	udp_leave_all(env, s);
	udp_detach(env, s);
}

void udp_connect(struct udp_env *env, struct udp_sock *s, const struct endpoint *local,
		 const struct endpoint *remote)
{
	/* Linux puts a socket whose address changes in front of the others, as if bound again. */
	bool moved = s->local.port != local->port || !endpoint_same_addr(&s->local, local);

	s->local = *local;
	s->remote = *remote;
	if (moved && !list_empty(&s->link)) {
		list_del(&s->link);
		enter(env, s);
	}
}
