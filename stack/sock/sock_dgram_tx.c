/* The send ring of a datagram socket: records that the application wrote, checked one by one against a copy
 * of our own, and out they go. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <time.h>
#include <linux/errqueue.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"

enum {
	TX_FLAGS = CHAN_DG_DONT_FRAG | CHAN_DG_MCAST_LOOP | CHAN_DG_NO_CSUM | CHAN_DG_BROADCAST |
		   CHAN_DG_DONTROUTE | CHAN_DG_MAY_CUT | CHAN_DG_NO_PMTU | CHAN_DG_HOST_ONLY,
	PIECES = 8,
};

uint32_t sock_dgram_tx_max(const struct sock *s)
{
	return chan_dgram_sndbuf(s->a) + chan_dgram_size(CHAN_DGRAM_MAX);
}

/* The header at pos into *h: loaded once. False: nonsense. */
static bool load(struct sock *s, uint32_t pos, uint32_t avail, struct chan_dgram *h)
{
	struct sock_piece piece[PIECES];
	unsigned n = avail < sizeof(*h) ? 0 : sock_tx_pieces(s, pos, sizeof(*h), piece);
	uint8_t *to = (uint8_t *)h;

	for (unsigned i = 0; i < n; i++) {
		memcpy(to, piece[i].p, piece[i].len);
		to += piece[i].len;
	}
	__asm__ volatile("" ::: "memory");
	return n > 0 && h->len <= CHAN_DGRAM_MAX &&
	       h->size == chan_dgram_size(h->len) && h->size <= avail && !(h->flags & ~TX_FLAGS);
}

/* The program would have heard of it from the send itself: the next call is as near as it gets. Full
 * queues are silent on Linux, too, unless IP_RECVERR asks. */
static void refused(struct sock *s, const struct sock_udp_tx *tx, int err)
{
	bool v4 = ipaddr_is_v4(&tx->remote.addr);
	bool recverr = s->dg.opt_flags & (v4 ? CHAN_O_RECVERR : CHAN_O_RECVERR6);

	STAT_INC(udp_tx_refused);
	if (err == ENOBUFS && !recverr)
		return;
	if (err == EMSGSIZE && recverr) {
		const struct sock_env *env = s->cw->env;
		struct chan_dgram rec = {
			.to = tx->remote, .err = EMSGSIZE, .origin = SO_EE_ORIGIN_LOCAL,
			.info = env->host->path_mtu(env->host_arg, &tx->remote),
			.time_ns = env->host->realtime_ns(env->host_arg),
		};

		sock_errq_put(s, &rec, NULL);
	}
	sock_signal(s, SOCK_SIGNAL_IN);
	sock_set_error(s, err);
}

/* False: the port is behind, later. */
static bool send_one(struct sock *s, const struct chan_dgram *h, uint32_t pos, bool may_wait)
{
	struct sock_env *env = s->cw->env;
	struct sock_udp_tx tx = {
		.local = { .addr = s->dg.saddr, .port = s->dg.udp.local.port },
		.remote = s->dg.udp.remote, .flags = h->flags, .ifindex = h->ifindex,
		.gso = h->gso, .ttl = h->ttl, .tos = h->tos,
		.may_wait = may_wait,
		.src_public = s->dg.opt_flags & CHAN_O_SRC_PUBLIC,
		.no_label = s->dg.opt_flags & CHAN_O_NO_LABEL,
		.label = h->flow & IP6_LABEL_MASK, .frag = h->frag,
	};
	struct sock_piece piece[PIECES];
	unsigned n = 0;
	int err = -EDESTADDRREQ;

	if (h->to.port)
		tx.remote = (struct endpoint){ .addr = h->to.addr, .port = h->to.port,
					       .scope = h->to.scope };
	if (!ipaddr_is_any(&h->from.addr))
		tx.local.addr = h->from.addr;
	if (h->len)
		n = sock_tx_pieces(s, pos + (uint32_t)sizeof(*h), h->len, piece);
	if ((h->to.port || udp_is_connected(&s->dg.udp)) && tx.local.port && (n || !h->len))
		err = env->host->udp_output(env->host_arg, &tx, piece, n);
	if (unlikely(err == -EAGAIN))
		return false;
	if (unlikely(err))
		refused(s, &tx, -err);
	return true;
}

/* True: there is more. Without a limit all of it goes, if need be into a full port. */
static bool send_some(struct sock *s, uint32_t max, uint32_t max_bytes)
{
	uint32_t pos = s->tx_una, first = pos;
	struct chan_dgram h;

	for (uint32_t n = 0; pos != s->tx_tail && n < max && pos - first < max_bytes; n++) {
		if (!load(s, pos, s->tx_tail - pos, &h)) {
			sock_violation(s->cw, "nonsense in a datagram's header");
			return false;
		}
		if (!send_one(s, &h, pos, max != UINT32_MAX))
			break;
		pos += h.size;
	}
	sock_tx_done(s, pos);
	return pos != s->tx_tail;
}

void sock_dgram_send(struct sock *s)
{
	struct client_worker *cw = s->cw;

	if (!sock_take_tx(s) || !send_some(s, DGRAM_ROUND, DGRAM_ROUND_BYTES))
		return;
	/* Others first: as if the application had marked it again. */
	chan_dirty_set(&cw->client->b->dirty[cw->env->worker], s->id);
}

void sock_dgram_flush(struct sock *s)
{
	if (!s->cw->violated && sock_take_tx(s))
		send_some(s, UINT32_MAX, UINT32_MAX);
}
