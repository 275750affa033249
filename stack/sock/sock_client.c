/* A client as a data thread sees it come, lose processes and go. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include "stack/base/log.h"
#include "stack/base/trace.h"
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

#define DRAIN_LOOK_NS (10 * NSEC_PER_MSEC)

struct client_worker *client_worker_new(struct client *c)
{
	struct client_worker *cw = calloc(1, sizeof(*cw));

	if (!cw)
		return NULL;
	cw->client = c;
	list_init(&cw->link);
	list_init(&cw->ring_link);
	list_init(&cw->socks);
	list_init(&cw->listeners);
	list_init(&cw->proxies);
	list_init(&cw->lanes);
	return cw;
}

void client_worker_free(struct client_worker *cw)
{
	if (!cw)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(cw->block); i++)
		free(cw->block[i]);
	for (unsigned kind = 0; kind < ARRAY_LEN(cw->payload); kind++) {
		for (uint32_t i = 0; i < cw->payload[kind].n; i++)
			buddy_fini(&cw->payload[kind].ext[i].buddy);
	}
	sock_lane_forget(cw);
	free(cw->free_ids);
	free(cw);
}

static void client_add(struct sock_env *env, struct client_worker *cw)
{
	cw->env = env;
	list_push(&env->clients, &cw->link);
	TRACE(CLIENT, 0, env->now_ns, cw->client->conf.number, 1, 0);
}

static struct sock *listener_sock(struct list *it)
{
	return container_of(it, struct listener, link)->home;
}

/* Closes as Linux closes the sockets of a process that ends: reset with unread data, else a FIN and an
 * orphan, which keeps the client's memory alive until it has drained. */
static void client_delete(struct sock_env *env, struct client_worker *cw)
{
	uint64_t limit_ns = cw->client->conf.drain_ns;

	if (cw->deleting)
		return;
	cw->deleting = true;
	sock_late_drop(cw);
	TRACE(CLIENT, 0, env->now_ns, cw->client->conf.number, 2, cw->n_socks);
	/* Listeners first: with them go their queues, and what is left closes one by one. */
	while (!list_empty(&cw->listeners))
		sock_close(listener_sock(cw->listeners.next));
	sock_proxies_close(cw);
	list_for_each_safe(it, next, &cw->socks)
		sock_close(container_of(it, struct sock, link));
	sock_wake_client(cw);
	cw->drain_until_ns = env->now_ns + (limit_ns ? limit_ns : CLIENT_DRAIN_NS);
	list_del(&cw->link);
	list_push(&env->closing, &cw->link);
	env->priv->drain_look_ns = 0;
}

/* All sockets, not only those that it has a bit of: its last act may have been to clear one. */
static void proc_gone(struct client_worker *cw)
{
	sock_proxies_check(cw);
	list_for_each_safe(it, next, &cw->listeners) {
		sock_accept_taken(listener_sock(it));
		sock_check_held(listener_sock(it));
	}
	list_for_each_safe(it, next, &cw->socks) {
		struct sock *s = container_of(it, struct sock, link);

		if (!s->l && !s->queued &&
		    (s->started ? !s->passive || s->established : true))
			sock_check_held(s);
	}
}

void client_mail(struct sock_env *env, const struct sock_mail *msg)
{
	struct client *c = msg->p;
	struct client_worker *cw = c->cw[env->worker];

	switch (msg->type) {
	case SOCK_MAIL_CLIENT_ADD:
		client_add(env, cw);
		break;
	case SOCK_MAIL_CLIENT_DEL:
		client_delete(env, cw);
		break;
	case SOCK_MAIL_PROC_GONE:
		/* A call that it has left behind is carried out before its slot is another's. */
		sock_poll_client(env, cw);
		sock_late_drop_of(cw, (uint32_t)msg->a);
		if (!cw->deleting)
			proc_gone(cw);
		break;
	default:
		break;
	}
}

static void report_gone(struct sock_env *env, struct client_worker *cw)
{
	struct sock_mail m = { .type = SOCK_MAIL_CLIENT_GONE, .from = env->worker,
			       .p = cw->client };

	/* From here on this worker never names the client again, so leave the list first: the control
	 * thread may free it as soon as the mail is out. */
	list_del(&cw->link);
	list_del(&cw->ring_link);
	sock_post_forget(env, cw->client);
	sock_lane_forget(cw); /* the other ends are on this thread, too */
	cw->gone = true;
	if (!env->host->mail(env->host_arg, UINT32_MAX, &m)) {
		cw->gone = false;
		list_push(&env->closing, &cw->link);
	}
}

void client_drain(struct sock_env *env)
{
	if (env->now_ns < env->priv->drain_look_ns)
		return;
	env->priv->drain_look_ns = env->now_ns + DRAIN_LOOK_NS;
	list_for_each_safe(it, next, &env->closing) {
		struct client_worker *cw = container_of(it, struct client_worker, link);

		if (cw->n_socks && env->now_ns >= cw->drain_until_ns) {
			list_for_each_safe(is, inext, &cw->socks)
				sock_abort(container_of(is, struct sock, link));
		}
		if (cw->n_socks == 0)
			report_gone(env, cw);
	}
}
