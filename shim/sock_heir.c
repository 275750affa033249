/* The table of heirs in the shared memory of the new engine: see sock_heir.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_heir.h"
#include "shim/sock_conn.h"

static struct chan_heir *entry_of(struct chan_heirs *t, uint64_t number)
{
	for (uint32_t i = 0; i < CHAN_HEIRS; i++)
		if (t->heir[i].number == number)
			return &t->heir[i];
	return NULL;
}

/* Whoever made it may have ended: once the engine has answered a question about it with our bit set, it
 * stays. */
static bool take(const struct sock *s, struct chan_app *app, const struct chan_heir *h)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = h->sock, .gen = h->gen };
	uint16_t port = s->a->local.port;

	if (h->sock >= CHAN_MAX_SOCKS)
		return false;
	bool had = chan_holds(app, h->sock);
	chan_hold(app, h->sock);
	/* The port, because numbers come from process ids, and those come back. */
	if (chan_call(app, chan_sock_a(app, h->sock)->worker, &req, NULL) == 0 &&
	    chan_sock_a(app, h->sock)->local.port == port)
		return true;
	if (!had)
		chan_unhold(app, h->sock);
	return false;
}

int heir_find(struct sock *s, struct chan_app *app)
{
	struct chan_heir *h;
	int r = chan_lock(&app->heirs->lock);

	if (r < 0)
		return r;
	h = entry_of(app->heirs, s->number);
	if (!h)
		return -ENOENT;
	if (!take(s, app, h)) {
		h->number = 0;
		return -ENOENT;
	}
	sock_attach(s, app, h->sock, h->gen);
	chan_unlock(&app->heirs->lock);
	return 0;
}

void heir_made(struct sock *s, struct chan_app *app)
{
	struct chan_heirs *t = app->heirs;
	struct chan_heir *h = NULL;

	for (uint32_t i = 0; i < CHAN_HEIRS && !h; i++)
		if (!t->heir[i].number)
			h = &t->heir[i];
	if (!h)
		h = &t->heir[t->next++ % CHAN_HEIRS];
	h->sock = s->id;
	h->gen = s->gen;
	h->number = s->number;
}

void heir_done(struct chan_app *app) { chan_unlock(&app->heirs->lock); }
