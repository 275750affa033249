/* Which clients may share lanes, and what their programs know each other's memory by: control thread. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "stack/sock/client.h"
#include "stack/sock/sock_int.h"

struct client_peer {
	uint32_t number, ext;
};

/* The D of `other` as an extent of c; UINT32_MAX: no room. */
static uint32_t peer_extent(struct client *c, const struct client *other)
{
	struct client_peer *p;
	int fd;

	for (uint32_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].number == other->conf.number)
			return c->peers[i].ext;
	p = realloc(c->peers, (c->n_peers + 1) * sizeof(*p));
	if (!p)
		return UINT32_MAX;
	c->peers = p;
	/* Payload goes first. */
	if (c->n_ext >= CHAN_MAX_EXTENTS - 2 * SOCK_PAYLOADS ||
	    (fd = fcntl(other->rd.fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return UINT32_MAX;
	c->ext[c->n_ext].r = (struct region){ .size = other->rd.size, .fd = fd, .kind = REGION_UP };
	c->peers[c->n_peers++] = (struct client_peer){ other->conf.number, c->n_ext };
	return c->n_ext++;
}

static bool may_share(const struct client *c, const struct client *other)
{
	const struct client_realm *a = &c->conf.realm, *b = &other->conf.realm;

	if (c == other)
		return true;
	return a->user_ns && a->user_ns == b->user_ns && a->pid_ns == b->pid_ns && a->ids == b->ids &&
	       !c->conf.sealed && !other->conf.sealed;
}

struct new_peer {
	struct client_worker *cw;
	uint32_t number, ext;
};

static void add_peer(struct sock_env *env, void *p)
{
	struct new_peer *x = p;

	(void)env;
	sock_lane_peer(x->cw, x->number, x->ext);
	free(x);
}

static void answer_peer(struct client *c, uint32_t number, uint32_t ext, uint32_t worker)
{
	struct new_peer *x = c->deleting ? NULL : malloc(sizeof(*x));

	if (!x)
		return;
	*x = (struct new_peer){ c->cw[worker], number, ext };
	client_mail_to(c, worker, &(struct sock_mail){ .type = SOCK_MAIL_CALL, .from = UINT32_MAX, .p = x,
						.fn = add_peer });
}

void client_peer_wanted(struct client *c, struct client *other, uint32_t number, uint32_t worker)
{
	uint32_t mine = UINT32_MAX, theirs = UINT32_MAX;

	if (worker >= c->conf.n_workers)
		return;
	if (other && may_share(c, other)) {
		mine = peer_extent(c, other);
		theirs = c == other ? mine : peer_extent(other, c);
	}
	if (mine == UINT32_MAX || theirs == UINT32_MAX)
		mine = theirs = UINT32_MAX;
	answer_peer(c, number, mine, worker);
	if (other && other != c)
		answer_peer(other, c->conf.number, theirs, worker);
}

uint32_t client_peer_number(const struct client *c, uint32_t ext)
{
	for (uint32_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].ext == ext)
			return c->peers[i].number;
	return UINT32_MAX;
}
