/* An application that writes nonsense into everything it can write: the engine must neither crash nor
 * harm another application; at worst the hostile one is detached. */
// SPDX-License-Identifier: MIT
#include "rig.h"
#include <string.h>
#include "../unit.h"
#include "stack/base/util.h"

enum { ROUNDS = 40, STORES = 4000, HOSTILE_SOCKS = 64 };

static uint64_t value(struct rng *r)
{
	switch (rng_below(r, 5)) {
	case 0:
		return rng_below(r, 8);
	case 1:
		return UINT64_MAX - rng_below(r, 8);
	case 2:
		return 1ull << rng_below(r, 64);
	case 3:
		return (uint64_t)rng_below(r, 1 << 20) << 32 | rng_below(r, 1 << 20);
	default:
		return rng_u64(r);
	}
}

/* A datagram's header in a send ring, nearly right or not at all, and the tail behind it. */
static void vandalise_record(struct chan_app *app, struct rng *r)
{
	uint32_t id = rng_below(r, HOSTILE_SOCKS);
	const struct chan_sock_a *a = &app->sock_a[id];
	struct chan_sock_b *b = &app->sock_b[id];
	const struct chan_seg *seg = &a->tx_seg[(a->tx_nseg - 1) % CHAN_SEGS];
	struct chan_dgram h = { .len = rng_below(r, 2) ? rng_below(r, 3000) : (uint32_t)value(r),
				.to = { .addr = RIG_ADDR, .port = (uint16_t)value(r) } };
	uint32_t words = sizeof(h) / 4, tail = b->tx_tail;

	if (a->type != 2 || !a->tx_nseg || !app->ext[seg->extent])
		return;
	h.size = chan_dgram_size(h.len);
	if (rng_below(r, 4) == 0)
		((uint32_t *)&h)[rng_below(r, words)] = (uint32_t)value(r);
	for (uint32_t i = 0; i < words; i++)
		*(volatile uint32_t *)((char *)app->ext[seg->extent] + seg->off +
				       (((tail - seg->start) & ~15u) + 4 * i) % seg->size) =
			((uint32_t *)&h)[i];
	atomic_store(&b->tx_tail, tail + (rng_below(r, 8) ? h.size : (uint32_t)value(r)));
	chan_dirty_set(&app->b->dirty[0], id);
	chan_ring(app->e, 0, app->event_fd[0]);
}

/* One store somewhere that matters. */
static void vandalise(struct chan_app *app, struct rng *r)
{
	void *p;
	size_t size;

	switch (rng_below(r, 9)) {
	case 8:
		vandalise_record(app, r);
		return;
	case 0:
	case 1:
	case 2:
		p = &app->sock_b[rng_below(r, HOSTILE_SOCKS)];
		size = sizeof(struct chan_sock_b);
		break;
	case 3:
	case 4:
		p = &app->call_b[rng_below(r, 8)];
		size = sizeof(struct chan_call_b);
		break;
	case 5:
		p = &app->evq_b[rng_below(r, 4)];
		size = sizeof(struct chan_evq_b);
		break;
	case 6:
		p = &app->b->dirty[0];
		size = sizeof(struct chan_dirty);
		break;
	default:
		p = &app->held[app->proc];
		size = 64;
		break;
	}
	*(volatile uint64_t *)((char *)p + 8 * (size_t)rng_below(r, (uint32_t)(size / 8))) = value(r);
	chan_dirty_set(&app->b->dirty[0], rng_below(r, HOSTILE_SOCKS));
	chan_dirty_call(&app->b->dirty[0], rng_below(r, 8));
	chan_ring(app->e, 0, app->event_fd[0]);
}

static void raw_call(struct chan_app *app, struct rng *r, uint32_t slot)
{
	struct chan_call_b *b = &app->call_b[slot];

	b->op = rng_below(r, 9);
	b->proc = (uint32_t)value(r);
	b->sock = rng_below(r, 3) ? rng_below(r, HOSTILE_SOCKS) : CHAN_SOCK_NEW;
	b->gen = app->sock_a[b->sock % HOSTILE_SOCKS].gen;
	b->type = 1 + rng_below(r, 2);
	b->local.addr = ipaddr_v4(0);
	b->remote.addr = RIG_ADDR;
	b->remote.port = (uint16_t)(rng_below(r, 2) ? 5000 : rng_below(r, 65536));
	b->local.port = (uint16_t)(rng_below(r, 2) ? 0 : rng_below(r, 65536));
	if (rng_below(r, 8) == 0)
		b->remote.addr = rng_below(r, 2) ? ipaddr_v4(0xef000001) : ipaddr_v4(0);
	if (rng_below(r, 8) == 0)
		b->remote.port = 0;
	b->opts.flags = (uint32_t)value(r);
	b->arg[0] = value(r);
	b->arg[1] = app->sock_b[b->sock % HOSTILE_SOCKS].tx_tail;
	atomic_fetch_add(&b->seq, 1);
	chan_dirty_call(&app->b->dirty[0], slot);
	chan_ring(app->e, 0, app->event_fd[0]);
}

/* A handful of real sockets to play with. */
static void furnish(struct rig *rig, struct client *c, struct chan_app *app, uint16_t port)
{
	struct end l = rig_listen(app, 0, 4, NULL);
	int fd, err;

	for (int i = 0; i < 6; i++) {
		struct end s = rig_connect(app, i & 1 ? port : end_a(l)->local.port, &err);

		if (i < 4)
			rig_connected(s);
		chan_subscribe(app, s.id, 0);
	}
	for (int i = 0; i < 4; i++) {
		struct end s = rig_udp(app, ipaddr_v4(0), 0, i ? CHAN_O_RECVERR | CHAN_O_UDP_GRO : 0);

		if (i & 1)
			rig_udp_connect(&s, RIG_ADDR, port);
		rig_sendto(s, end_a(s)->local.port, "x", 1);
		chan_subscribe(app, s.id, 0);
	}
	ck_assert_int_ge(client_evq_open(c, 0, -1, &fd), 0);
	app->evq_b[0].in_use = 1;
	sys_close(fd);
}

static void exchange(struct end c, struct end s, struct rng *r)
{
	uint8_t out[3000], in[3000];
	size_t n = 1 + rng_below(r, sizeof(out));

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)rng_u64(r);
	rig_write(c, out, n);
	ck_assert_uint_eq(rig_read(s, in, n), n);
	ck_assert_mem_eq(in, out, n);
}

START_TEST(nonsense_in_b_harms_nobody_else)
{
	struct rig *rig = rig_new(1);
	struct chan_app good, bad;
	struct client *cgood = rig_client(rig, &good, NULL);
	/* Options as IP_MINTTL can keep two connections of the vandal from ending by themselves. */
	struct client_conf conf = { .low_ports = true, .max_socks = HOSTILE_SOCKS,
				    .drain_ns = NSEC_PER_SEC };
	struct sock_mail m;
	uint32_t detached = 0;
	uint16_t port;
	struct rng r;

	rng_seed(&r, unit_seed());
	struct end l = rig_listen(&good, 5000, 4096, &port);
	struct end c = rig_connect(&good, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	for (int round = 0; round < ROUNDS; round++) {
		struct client *cbad = rig_client(rig, &bad, &conf);

		furnish(rig, cbad, &bad, port);
		bool calls = rng_below(&r, 2);
		for (int i = 0; i < STORES; i++) {
			if (calls && rng_below(&r, 2))
				raw_call(&bad, &r, rng_below(&r, 8));
			else if (!calls || rng_below(&r, 4) == 0)
				vandalise(&bad, &r);
			if (i % 200 == 0)
				exchange(c, s, &r);
		}
		exchange(c, s, &r);
		detached += bad.a->detached;
		while (rig_control_mail(rig, SOCK_MAIL_VIOLATION, &m, 0))
			ck_assert_ptr_eq(m.p, cbad);
		/* Connections that the vandal left in our queue. */
		struct end x = { &good, 0, 0 };
		while (chan_accept_pop(&good, l.id, &x.id, &x.gen) == 0)
			rig_close(x);
		rig_client_end(rig, cbad, &bad);
	}
	ck_assert_uint_gt(detached, 0);
	rig_client_end(rig, cgood, &good);
	rig_free(rig);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("hostile");

	tcase_set_timeout(tc, 110);
	tcase_add_test(tc, nonsense_in_b_harms_nobody_else);
	return unit_run("hostile", tc);
}
