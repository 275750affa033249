/* See duo.h. */
// SPDX-License-Identifier: MIT
#include "duo.h"
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/lock.h"

enum { TURNS = 40, LONGEST = 256 << 10 };

static const struct client_conf ours = {
	.low_ports = true, .realm = { .ids = 1000ull << 32 | 1000, .user_ns = 1, .pid_ns = 2 },
};

/* A larger send ring is the engine's to give; a write must not have to wait for it. */
static void grow_ring(struct end e)
{
	struct chan_req req = { .op = CHAN_OP_TX_GROW, .sock = e.id, .gen = e.gen,
				.arg = { end_a(e)->sndbuf, end_b(e)->tx_tail } };

	ck_assert_int_eq(chan_call(e.app, 0, &req, NULL), 0);
}

struct duo duo_open_as(uint32_t after, const struct client_conf *of_srv, const struct client_conf *of_cli)
{
	struct duo d = { 0 };
	uint16_t port;

	pair_up_as(1, of_srv, of_cli);
	d.l = rig_listen(&srv, 0, 8, &port);
	d.c = rig_connect(&cli, port, NULL);
	rig_connected(d.c);
	d.s = rig_accept(d.l);
	grow_ring(d.c);
	grow_ring(d.s);
	rig_stop(rig);
	rig->w[0].env.lane_after = after;
	duo_settle();
	return d;
}

struct duo duo_open(uint32_t after)
{
	struct duo d = duo_open_as(after, &ours, &ours);

	duo_introduce();
	return d;
}

void duo_introduce(void)
{
	client_peer_wanted(csrv, ccli, ccli->conf.number, 0);
	rig_map_extents(csrv, &srv);
	rig_map_extents(ccli, &cli);
	duo_settle();
}

void duo_shut(struct end *e)
{
	if (e->app)
		rig_close(*e);
	e->app = NULL;
}

void duo_close(struct duo *d)
{
	rig_go(rig);
	duo_shut(&d->c);
	duo_shut(&d->s);
	duo_shut(&d->l);
	pair_down();
}

void duo_settle(void)
{
	for (int i = 0; i < TURNS && rig_turn(rig); i++)
		;
}

bool duo_marked(const struct chan_app *app) { return chan_dirty_any(&app->b->dirty[0]); }

static void fill(uint8_t *p, size_t n, uint64_t pos, enum duo_way w)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((uint32_t)(pos + i + 77 * (w + 1u)) * 2654435761u >> 21);
}

ssize_t duo_put(struct duo *d, enum duo_way w, size_t n)
{
	static uint8_t buf[LONGEST];
	struct end e = duo_from(d, w);
	struct iovec iov = { buf, n };
	ssize_t put;

	ck_assert_uint_le(n, sizeof(buf));
	fill(buf, n, d->sent[w], w);
	put = chan_tx_write(e.app, e.id, &iov, 1);
	ck_assert_int_ge(put, 0);
	ck_assert_int_le(put, (ssize_t)n);
	d->sent[w] += (uint64_t)put;
	return put;
}

ssize_t duo_chunk_open(struct duo *d, enum duo_way w, uint32_t n)
{
	struct end e = duo_from(d, w);
	ssize_t room;
	void *p;

	ck_assert_int_eq(chan_lock(&end_b(e)->tx_lock), 0);
	room = chan_tx_chunk(e.app, e.id, n, &p);
	ck_assert_int_ge(room, 0);
	ck_assert_int_le(room, n);
	if (n <= LONGEST)
		fill(p, (size_t)room, d->sent[w], w);
	return room;
}

void duo_chunk_send(struct duo *d, enum duo_way w, ssize_t room)
{
	struct end e = duo_from(d, w);

	if (room > 0)
		chan_tx_commit(e.app, e.id, (uint32_t)room);
	chan_unlock(&end_b(e)->tx_lock);
	d->sent[w] += (uint64_t)room;
}

ssize_t duo_send_chunk(struct duo *d, enum duo_way w, uint32_t n)
{
	ssize_t room = duo_chunk_open(d, w, n);

	duo_chunk_send(d, w, room);
	return room;
}

size_t duo_take(struct duo *d, enum duo_way w, size_t n)
{
	static uint8_t buf[LONGEST], want[LONGEST];
	struct end e = duo_to(d, w);
	struct iovec iov = { buf, min_u64(n, sizeof(buf)) };
	ssize_t got = chan_rx_read(e.app, e.id, &iov, 1, 0, 0);

	ck_assert_int_ge(got, 0);
	fill(want, (size_t)got, d->got[w], w);
	ck_assert_msg(memcmp(buf, want, (size_t)got) == 0, "not the bytes from %llu on, %zd of them",
		      (unsigned long long)d->got[w], got);
	d->got[w] += (uint64_t)got;
	ck_assert_uint_le(d->got[w], d->sent[w]);
	return (size_t)got;
}

size_t duo_skip(struct duo *d, enum duo_way w, size_t n)
{
	struct end e = duo_to(d, w);
	struct iovec iov = { NULL, n };
	ssize_t got = chan_rx_read(e.app, e.id, &iov, 1, CHAN_RX_DISCARD, 0);

	ck_assert_int_ge(got, 0);
	d->got[w] += (uint64_t)got;
	return (size_t)got;
}

void duo_pass(struct duo *d, enum duo_way w, size_t n)
{
	uint64_t end = d->sent[w] + n;

	for (int i = 0; d->got[w] < end; i++) {
		ck_assert_int_lt(i, 1000);
		if (d->sent[w] < end)
			duo_put(d, w, (size_t)(end - d->sent[w]));
		if (!duo_take(d, w, n))
			duo_settle();
	}
	duo_settle();
}

void duo_grow(struct duo *d, enum duo_way w, uint32_t size)
{
	for (int i = 0; i < 1000; i++) {
		struct end e = duo_from(d, w);
		uint32_t now = end_a(e)->lane.tx_size;

		if (duo_direct(d, w) && now >= size)
			break;
		duo_pass(d, w, duo_direct(d, w) ? now - now / 8 : 1);
	}
	ck_assert(duo_direct(d, w));
	ck_assert_uint_eq(end_a(duo_from(d, w))->lane.tx_size, size);
}

struct tcp_info duo_info(struct end s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s.id, .gen = s.gen };
	struct tcp_info ti = { 0 };
	struct chan_rep rep;

	rig_go(rig);
	ck_assert_int_eq(chan_call(s.app, end_a(s)->worker, &req, &rep), 0);
	rig_stop(rig);
	memcpy(&ti, rep.payload, min_u64(rep.len, sizeof(ti)));
	return ti;
}

void duo_check_counts(const struct duo *d)
{
	struct tcp_info c = duo_info(d->c), s = duo_info(d->s);

	ck_assert_uint_eq(c.tcpi_bytes_sent, d->sent[TO_S]);
	ck_assert_uint_eq(c.tcpi_bytes_acked, d->sent[TO_S] + 1); /* and the SYN */
	ck_assert_uint_eq(s.tcpi_bytes_received, d->sent[TO_S]);
	ck_assert_uint_eq(s.tcpi_bytes_sent, d->sent[TO_C]);
	ck_assert_uint_eq(s.tcpi_bytes_acked, d->sent[TO_C]);
	ck_assert_uint_eq(c.tcpi_bytes_received, d->sent[TO_C]);
	ck_assert_uint_eq(c.tcpi_total_retrans + s.tcpi_total_retrans, 0);
	ck_assert_uint_eq(c.tcpi_notsent_bytes + s.tcpi_notsent_bytes, 0);
}
