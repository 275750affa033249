/* Calls that must not overtake what has happened before them elsewhere.
 *
 * The end of a process: whoever has seen one - its parent, by wait() - finds its sockets closed on Linux:
 * connect() is refused, the port can be bound. Here the kernel tells the control thread of the end, which
 * tells the data threads; a call that could see the difference waits for that.
 *
 * A close() by another process, or of a socket on another data thread: its mark may not have been looked at
 * when a bind() comes that needs the port. So EADDRINUSE is said only when all data threads have looked at
 * all marks, and, because a listener's port is free when the last proxy has gone, have heard of that. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

/* Until the next look, and the longest that a control thread without a processor delays a call. */
#define LATE_LOOK_NS (50 * NSEC_PER_USEC)
#define LATE_MAX_NS (2 * NSEC_PER_SEC)

/* Can its result depend on what another process had open? */
static bool could_see(struct sock_env *env, const struct chan_call_b *req)
{
	const struct endpoint remote = req->remote;

	switch (req->op) {
	case CHAN_OP_BIND:
		return req->local.port != 0;
	case CHAN_OP_LISTEN:
		return true;
	case CHAN_OP_CONNECT:
		return env->host->is_local(env->host_arg, &remote);
	default:
		return false;
	}
}

static bool is_late(const struct client_worker *cw, uint32_t slot)
{
	return cw->late.slots[slot / 64] >> (slot % 64) & 1;
}

static void forget(struct client_worker *cw, uint32_t slot)
{
	struct call_late *late = &cw->late;

	late->slots[slot / 64] &= ~(1ull << (slot % 64));
	if (--late->n == 0)
		cw->env->priv->n_late--;
}

static void remember(struct client_worker *cw, uint32_t slot)
{
	struct call_late *late = &cw->late;

	STAT_INC(chan_late);
	if (late->n++ == 0)
		cw->env->priv->n_late++;
	late->slots[slot / 64] |= 1ull << (slot % 64);
	late->slot[slot].since_ns = cw->env->now_ns;
}

bool sock_call_waits(struct client_worker *cw, uint32_t slot, const struct chan_call_b *req)
{
	struct sock_env *env = cw->env;
	uint32_t mark = env->host->ends_unknown && could_see(env, req) ?
				env->host->ends_unknown(env->host_arg) : 0;

	/* The slot's last user has died, and this is another's call. */
	if (is_late(cw, slot))
		forget(cw, slot);
	if (!mark)
		return false;
	remember(cw, slot);
	cw->late.slot[slot].settles = false;
	cw->late.slot[slot].mark = mark;
	return true;
}

/* ---- rounds ---- */
static void begin_round(struct client_worker *cw, uint32_t slot)
{
	struct sock_env *env = cw->env;
	struct sock_mail m = { .type = SOCK_MAIL_SETTLE, .from = env->worker, .p = cw->client,
			       .a = slot, .b = ++cw->late.last_round };

	cw->late.slot[slot].mark = cw->late.last_round;
	cw->late.slot[slot].rounds--;
	cw->late.slot[slot].left = 0;
	for (uint32_t w = 0; w < env->n_workers; w++)
		cw->late.slot[slot].left += sock_post(env, w, &m);
}

void sock_call_settles(struct client_worker *cw, uint32_t slot)
{
	remember(cw, slot);
	cw->late.slot[slot].settles = true;
	cw->late.slot[slot].rounds = cw->env->n_workers > 1 ? 2 : 1;
	begin_round(cw, slot);
}

/* A client that goes has no calls any more, and soon no memory. */
void sock_late_mail(struct sock_env *env, const struct sock_mail *msg)
{
	struct client *c = msg->p;
	struct client_worker *cw = c->cw[env->worker];
	uint32_t slot = (uint32_t)msg->a;

	if (!cw->env || cw->deleting)
		return;
	if (msg->type == SOCK_MAIL_SETTLE) {
		struct sock_mail answer = *msg;

		sock_settle(env);
		answer.type = SOCK_MAIL_SETTLED;
		answer.from = env->worker;
		sock_post(env, msg->from, &answer);
		return;
	}
	if (is_late(cw, slot) && cw->late.slot[slot].settles && cw->late.slot[slot].mark == msg->b &&
	    --cw->late.slot[slot].left == 0 && cw->late.slot[slot].rounds)
		begin_round(cw, slot);
}

/* ---- going on ---- */
static bool is_over(const struct client_worker *cw, uint32_t slot)
{
	struct sock_env *env = cw->env;

	if (env->now_ns - cw->late.slot[slot].since_ns > LATE_MAX_NS)
		return true;
	if (cw->late.slot[slot].settles)
		return cw->late.slot[slot].left == 0 && cw->late.slot[slot].rounds == 0;
	return env->host->ends_known(env->host_arg, cw->late.slot[slot].mark);
}

/* Those of a client that need not wait any more. */
static bool resume(struct client_worker *cw)
{
	bool any = false;

	for (uint32_t i = 0; i < CHAN_MAX_CALLS / 64; i++) {
		for (uint64_t slots = cw->late.slots[i]; slots; slots &= slots - 1) {
			uint32_t slot = i * 64 + (uint32_t)__builtin_ctzll(slots);

			if (!is_over(cw, slot))
				continue;
			forget(cw, slot);
			sock_call_again(cw, slot, cw->late.slot[slot].settles ? CALL_SETTLED :
									       CALL_ENDS_KNOWN);
			any = true;
		}
	}
	return any;
}

bool sock_late_poll(struct sock_env *env)
{
	bool any = false;

	list_for_each_safe(it, next, &env->clients) {
		struct client_worker *cw = container_of(it, struct client_worker, link);

		if (cw->late.n && !cw->violated)
			any |= resume(cw);
	}
	return any;
}

/* Nobody waits for them any more, and their slots are about to be others'. */
void sock_late_drop_of(struct client_worker *cw, uint32_t proc)
{
	for (uint32_t slot = 0; slot < CHAN_MAX_CALLS && cw->late.n; slot++)
		if (is_late(cw, slot) && *(volatile uint32_t *)&cw->client->call_b[slot].proc == proc)
			forget(cw, slot);
}

void sock_late_drop(struct client_worker *cw)
{
	for (uint32_t slot = 0; slot < CHAN_MAX_CALLS && cw->late.n; slot++)
		if (is_late(cw, slot))
			forget(cw, slot);
}

uint64_t sock_next_ns(const struct sock_env *env)
{
	return env->priv->n_late ? env->now_ns + LATE_LOOK_NS : UINT64_MAX;
}
