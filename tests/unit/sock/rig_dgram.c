/* The datagrams of the rig: a wire between the workers that answers for closed ports, and an application's
 * steps. */
// SPDX-License-Identifier: MIT
#include "rig.h"
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/util.h"

struct rig_dgram {
	struct rig_dgram *next;
	bool is_error;
	struct sock_udp_tx tx;
	uint32_t len;
	uint8_t data[];
};

/* ---- the host below sock/ ---- */
bool rig_is_broadcast(void *arg, const struct ipaddr *a)
{
	return ipaddr_is_v4(a) && (ipaddr_get_v4(a) == 0x0affffff || ipaddr_get_v4(a) == 0xffffffff);
}

uint32_t rig_path_mtu(void *arg, const struct endpoint *remote)
{
	struct rig_worker *w = arg;
	uint32_t mtu = atomic_load(&w->rig->mtu);

	bool known = rig_is_local(arg, &remote->addr) || ipaddr_is_multicast(&remote->addr);

	return known ? mtu ? mtu : 1500 : 0;
}

uint32_t rig_find_interface(void *arg, uint32_t ifindex, const struct ipaddr *addr,
			    const struct ipaddr *group)
{
	return ifindex <= 1 ? 1 : 0;
}

uint64_t rig_realtime_ns(void *arg)
{
	struct rig_worker *w = arg;

	return w->env.now_ns + 1000 * NSEC_PER_SEC;
}

void rig_group_changed(void *arg, const struct ipaddr *group, uint32_t ifindex)
{
	struct rig_worker *w = arg;

	ck_assert_uint_eq(ifindex, 1);
	atomic_fetch_add(&w->rig->group_news, 1);
}

static void give(struct rig_worker *w, uint16_t port, struct rig_dgram *d)
{
	struct rig_worker *to = &w->rig->w[chan_port_worker(port, w->rig->n_workers)];

	rig_queue_put(&to->dgrams, d);
	if (to != w)
		rig_wake(to);
}

int rig_udp_output(void *arg, const struct sock_udp_tx *tx, const struct sock_piece *piece, unsigned n)
{
	struct rig_worker *w = arg;
	uint32_t len = 0, at = 0;

	for (unsigned i = 0; i < n; i++)
		len += piece[i].len;
	ck_assert_uint_ne(tx->local.port, 0);
	if (rig_path_mtu(w, &tx->remote) == 0)
		return -ENETUNREACH;
	if (rig_is_broadcast(w, &tx->remote.addr) && !(tx->flags & CHAN_DG_BROADCAST))
		return -EACCES;
	if (!tx->gso && (tx->flags & CHAN_DG_DONT_FRAG) && len + 28 > rig_path_mtu(w, &tx->remote))
		return -EMSGSIZE;
	if (tx->may_wait && atomic_load(&w->rig->busy)) {
		atomic_fetch_sub(&w->rig->busy, 1);
		return -EAGAIN;
	}
	atomic_fetch_add(&w->rig->dgrams, 1);
	if (atomic_load(&w->rig->deaf))
		return 0;
	struct rig_dgram *d = malloc(sizeof(*d) + len);
	*d = (struct rig_dgram){ .tx = *tx, .len = len };
	if (ipaddr_is_any(&d->tx.local.addr))
		d->tx.local.addr = RIG_ADDR;
	for (unsigned i = 0; i < n; i++) {
		memcpy(d->data + at, piece[i].p, piece[i].len);
		at += piece[i].len;
	}
	give(w, tx->remote.port, d);
	return 0;
}

static void take_error(struct rig_worker *w, const struct rig_dgram *d)
{
	struct udp_error e = {
		.local = d->tx.local, .remote = d->tx.remote, .offender = ipaddr_v4(0x0a000099),
		.err = ECONNREFUSED, .hard = true, .type = ICMP_DEST_UNREACH,
		.code = ICMP_PORT_UNREACH, .p = d->data, .len = d->len,
	};

	udp_icmp_error(&w->env.udp, &e);
}

bool rig_take_dgrams(struct rig_worker *w)
{
	struct rig_dgram *d = rig_queue_take_all(&w->dgrams), *next;
	bool any = d != NULL;

	for (; d; d = next) {
		uint32_t step = d->tx.gso ? d->tx.gso : max_u32(d->len, 1), got = 0;

		next = d->next;
		for (uint32_t off = 0; !d->is_error && (off < d->len || off == 0); off += step) {
			struct udp_rx rx = {
				.from = d->tx.local, .to = d->tx.remote, .p = d->data + off,
				.len = min_u32(step, d->len - off), .ifindex = 1,
				.ttl = d->tx.ttl ? d->tx.ttl : 64, .tos = d->tx.tos,
				.multicast = ipaddr_is_multicast(&d->tx.remote.addr),
				.broadcast = rig_is_broadcast(w, &d->tx.remote.addr),
			};

			got += udp_input(&w->env.udp, &rx);
		}
		if (d->is_error) {
			take_error(w, d);
		} else if (!got && rig_is_local(w, &d->tx.remote.addr)) {
			d->is_error = true;
			give(w, d->tx.local.port, d);
			continue;
		}
		free(d);
	}
	return any;
}

void rig_udp_settle(void *arg) { rig_take_dgrams(arg); }

/* ---- an application's steps ---- */
struct end rig_udp(struct chan_app *app, struct ipaddr addr, uint16_t port, uint32_t opt_flags)
{
	struct chan_req req = { .op = CHAN_OP_BIND, .type = 2 /* SOCK_DGRAM */, .sock = CHAN_SOCK_NEW,
				.local = { .addr = addr, .port = port },
				.opts = { .flags = opt_flags } };
	struct chan_rep rep;
	uint32_t w = port ? chan_port_worker(port, app->n_workers) : chan_pick_worker(app);

	ck_assert_int_eq(chan_call(app, w, &req, &rep), 0);
	chan_hold(app, rep.sock);
	return (struct end){ app, rep.sock, rep.gen };
}

int rig_udp_connect(struct end *s, struct ipaddr addr, uint16_t port)
{
	bool fresh = s->id == CHAN_SOCK_NEW;
	struct chan_req req = { .op = CHAN_OP_CONNECT, .type = 2, .sock = s->id, .gen = s->gen,
				.local = { .addr = ipaddr_v4(0) },
				.remote = { .addr = addr, .port = port } };
	struct chan_rep rep = { 0 };
	uint32_t w = fresh ? chan_pick_worker(s->app) : end_a(*s)->worker;
	int err = chan_call(s->app, w, &req, &rep);

	if (fresh && !err) {
		s->id = rep.sock;
		s->gen = rep.gen;
		chan_hold(s->app, s->id);
	}
	return err;
}

int rig_sendto(struct end s, uint16_t port, const void *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct chan_dgram h = { .to = { .addr = RIG_ADDR, .port = port } };

	return chan_dgram_send(s.app, s.id, &h, &iov, 1);
}

size_t rig_recvfrom(struct end s, struct chan_dgram *h, void *p, size_t n)
{
	struct iovec iov = { p, n };

	for (;;) {
		uint32_t seen = atomic_load(&end_a(s)->evseq);
		ssize_t got = chan_dgram_recv(s.app, s.id, h, &iov, 1, 0, -1);

		if (got >= 0)
			return (size_t)got;
		ck_assert_int_eq(got, -EAGAIN);
		int err = chan_sock_wait(s.app, s.id, seen, chan_now_ns() + 5 * NSEC_PER_SEC, NULL, 0);
		ck_assert_msg(err == 0 || err == -EINTR, "wait: %s", strerror(-err));
	}
}
