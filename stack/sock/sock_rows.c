/* The sockets of a data thread and their groups as rows of a table, for `fastnet ss`. */
// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include "stack/base/util.h"
#include "stack/sock/sock.h"
#include "stack/sock/sock_int.h"
#include "stack/tcp/tcp_state.h"

/* Connections that wait for accept(), also those whose taking we have not looked at yet. */
static uint32_t accept_waiting(const struct sock *s)
{
	uint32_t known = s->l->tail - s->l->head;
	uint32_t now = s->l->tail - atomic_load_explicit(&s->b->rx_head, memory_order_relaxed);

	return min_u32(known, now);
}

/* As ss(8) shows it. */
static uint32_t dgram_state(const struct sock *s)
{
	return s->state == CHAN_ST_CONNECTED ? TCPS_ESTABLISHED : TCPS_CLOSED;
}

static uint32_t row_of(struct sock *s, struct sock_row *row)
{
	bool live = s->started || s->l || (s->dgram && s->hold);

	if (s->dgram)
		sock_take_rx(s);
	if (s->lane)
		sock_lane_look(s);
	*row = (struct sock_row){
		.local = s->a->local,
		.remote = s->a->remote,
		.type = s->a->type,
		.state = s->l ? TCPS_LISTEN : s->dgram ? dgram_state(s) : s->conn.state,
		.pid = s->cw->client->conf.pid,
		.rx_queue = s->l ? accept_waiting(s) : s->dgram ? s->dg.rmem : s->rx_tail - s->rx_head,
		.tx_queue = s->l ? s->l->tl.backlog : s->tx_tail - s->tx_una,
		.backlog = s->l ? s->l->tl.backlog : 0,
		.client = s->cw->client->conf.number,
		.sock = s->id,
		.v6 = s->v6,
		.v6only = s->l ? s->l->tl.v6only : s->dgram && s->dg.udp.v6only,
	};
	return live ? 1 : 0;
}

/* The cursor counts sockets in list order; a socket closed in between shifts it by one, no worse. */
uint32_t sock_rows(struct sock_env *env, uint64_t *cursor, struct sock_row *rows, uint32_t n)
{
	const struct list *heads[] = { &env->clients, &env->closing };
	uint64_t at = 0;
	uint32_t got = 0;

	for (unsigned h = 0; h < ARRAY_LEN(heads); h++) {
		list_for_each(it, heads[h]) {
			struct client_worker *cw = container_of(it, struct client_worker, link);

			list_for_each(is, &cw->socks) {
				if (at++ < *cursor)
					continue;
				if (got == n)
					return got;
				got += row_of(container_of(is, struct sock, link), &rows[got]);
				*cursor = at;
			}
		}
	}
	return got;
}

static struct sock_group_row group_row(const struct sock *s, const struct udp_group *g)
{
	return (struct sock_group_row){
		.group = g->group, .ifindex = g->ifindex, .include = g->include,
		.n_sources = g->n_sources, .local = s->a->local, .pid = s->cw->client->conf.pid,
		.v6 = s->v6, .v6only = s->dg.udp.v6only,
	};
}

/* The same of memberships. */
uint32_t sock_group_rows(struct sock_env *env, uint64_t *cursor, struct sock_group_row *rows, uint32_t n)
{
	uint64_t at = 0;
	uint32_t got = 0;

	list_for_each(it, &env->clients) {
		struct client_worker *cw = container_of(it, struct client_worker, link);

		list_for_each(is, &cw->socks) {
			const struct sock *s = container_of(is, struct sock, link);

			if (!s->dgram)
				continue;
			list_for_each(ig, &s->dg.udp.groups) {
				if (at++ < *cursor)
					continue;
				if (got == n)
					return got;
				rows[got++] = group_row(s, container_of(ig, struct udp_group, link));
				*cursor = at;
			}
		}
	}
	return got;
}
