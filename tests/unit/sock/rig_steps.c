/* What an application does with streams: see rig.h. */
// SPDX-License-Identifier: MIT
#include "rig.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"

struct end rig_listen(struct chan_app *app, uint16_t port, uint32_t backlog, uint16_t *bound)
{
	struct chan_req req = { .op = CHAN_OP_BIND, .type = 1 /* SOCK_STREAM */,
				.local = { .addr = ipaddr_v4(0), .port = port },
				.opts = { .flags = CHAN_O_REUSEADDR } };
	struct chan_rep rep;

	ck_assert_int_eq(chan_call(app, 0, &req, &rep), 0);
	chan_hold(app, rep.sock);
	if (bound)
		*bound = rep.local.port;
	req = (struct chan_req){ .op = CHAN_OP_LISTEN, .sock = rep.sock, .gen = rep.gen,
				 .arg = { backlog } };
	ck_assert_int_eq(chan_call(app, 0, &req, &rep), 0);
	return (struct end){ app, req.sock, req.gen };
}

struct end rig_connect(struct chan_app *app, uint16_t port, int *err)
{
	struct chan_req req = { .op = CHAN_OP_CONNECT, .sock = CHAN_SOCK_NEW, .type = 1,
				.local = { .addr = ipaddr_v4(0) },
				.remote = { .addr = RIG_ADDR, .port = port } };
	struct chan_rep rep = { 0 };
	int res = chan_call(app, chan_pick_worker(app), &req, &rep);

	if (err)
		*err = res;
	else
		ck_assert_int_eq(res, -EINPROGRESS);
	if (res == -EINPROGRESS)
		chan_hold(app, rep.sock);
	return (struct end){ app, rep.sock, rep.gen };
}

static void wait_change(struct end s, uint32_t seen)
{
	int err = chan_sock_wait(s.app, s.id, seen, chan_now_ns() + 5 * NSEC_PER_SEC, NULL, 0);

	ck_assert_msg(err == 0 || err == -EINTR, "wait: %s", strerror(-err));
}

void rig_connected(struct end c)
{
	for (;;) {
		uint32_t seen = chan_sock_seq(end_a(c));

		if (end_a(c)->state != CHAN_ST_CONNECTING)
			break;
		wait_change(c, seen);
	}
	ck_assert_uint_eq(end_a(c)->state, CHAN_ST_CONNECTED);
}

struct end rig_accept(struct end l)
{
	struct end s = { .app = l.app };

	for (;;) {
		uint32_t seen = chan_sock_seq(end_a(l));
		int err = chan_accept_pop(l.app, l.id, &s.id, &s.gen);

		if (err == 0)
			return s;
		ck_assert_int_eq(err, -EAGAIN);
		wait_change(l, seen);
	}
}

void rig_write(struct end s, const void *p, size_t n)
{
	while (n > 0) {
		uint32_t seen = chan_sock_seq(end_a(s));
		struct iovec iov = { (void *)(uintptr_t)p, n };
		ssize_t got = chan_tx_write(s.app, s.id, &iov, 1);

		ck_assert_int_ge(got, 0);
		p = (const char *)p + got;
		n -= (size_t)got;
		ck_assert_uint_eq(end_a(s)->state, CHAN_ST_CONNECTED);
		if (n > 0)
			wait_change(s, seen);
	}
}

size_t rig_read(struct end s, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint32_t seen = chan_sock_seq(end_a(s));
		struct iovec iov = { (char *)p + done, n - done };
		bool eof = chan_rx_eof(end_a(s), end_b(s));
		ssize_t got = chan_rx_read(s.app, s.id, &iov, 1, 0, 0);

		ck_assert_int_ge(got, 0);
		done += (size_t)got;
		if (got == 0 && eof)
			break;
		if (got == 0)
			wait_change(s, seen);
	}
	return done;
}

void rig_close(struct end s)
{
	chan_unhold(s.app, s.id);
}
