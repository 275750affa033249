/* Calls wait for what was before them: the end of a process, a close() on another data thread. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "tests/unit/sock/rig.h"
#include "../unit.h"
#include "stack/base/util.h"

struct asker {
	struct chan_app *app;
	uint16_t port;
	uint32_t op, worker;
	int result;
	_Atomic bool done;
};

static int ask(struct asker *a)
{
	struct chan_req req = { .op = a->op, .sock = CHAN_SOCK_NEW, .type = 1 /* SOCK_STREAM */ };
	struct chan_rep rep;

	if (a->op == CHAN_OP_CONNECT)
		req.remote = (struct endpoint){ .addr = RIG_ADDR, .port = a->port };
	else
		req.local = (struct endpoint){ .addr = RIG_ADDR, .port = a->port };
	int r = chan_call(a->app, a->worker, &req, &rep);
	if (r == 0 || r == -EINPROGRESS) {
		struct end s = { a->app, rep.sock, rep.gen };

		chan_hold(a->app, s.id);
		RIG_WAIT(r == 0 || end_a(s)->state != CHAN_ST_CONNECTING);
		if (r == -EINPROGRESS)
			r = -(int)chan_take_error(end_a(s), end_b(s));
		rig_close(s);
	}
	return r;
}

static void *asks(void *arg)
{
	struct asker *a = arg;

	a->result = ask(a);
	atomic_store(&a->done, true);
	return NULL;
}

/* A listener that a second process has alone, and that process is dead; but nobody has said so yet. */
static void after_an_end(uint32_t op, int expected)
{
	struct chan_app srv, cli;
	struct rig *rig = rig_new(1);
	struct client *csrv = rig_client(rig, &srv, NULL), *ccli = rig_client(rig, &cli, NULL);
	struct asker a = { .app = &cli, .op = op };
	struct end l = rig_listen(&srv, 0, 8, &a.port);
	uint32_t proc = (uint32_t)client_add_proc(csrv);
	pthread_t t;

	chan_hold_as(&srv, proc, l.id);
	rig_close(l);
	atomic_store(&rig->unknown, 1);
	pthread_create(&t, NULL, asks, &a);
	RIG_WAIT(sock_next_ns(&rig->w[0].env) != UINT64_MAX); /* it waits */
	ck_assert(!atomic_load(&a.done));
	client_proc_gone(csrv, proc);
	atomic_store(&rig->unknown, 0);
	pthread_join(t, NULL);
	ck_assert_int_eq(a.result, expected);
	ck_assert_uint_eq(sock_next_ns(&rig->w[0].env), UINT64_MAX);
	rig_client_end(rig, ccli, &cli);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}

START_TEST(connect_after_an_end) { after_an_end(CHAN_OP_CONNECT, -ECONNREFUSED); }
END_TEST

START_TEST(bind_after_an_end) { after_an_end(CHAN_OP_BIND, 0); }
END_TEST

/* Nobody ever hears of it: the call is not kept for ever. */
START_TEST(not_for_ever)
{
	struct chan_app srv;
	struct rig *rig = rig_new(1);
	struct client *csrv = rig_client(rig, &srv, NULL);
	struct asker a = { .app = &srv, .op = CHAN_OP_BIND };
	struct end l = rig_listen(&srv, 0, 8, &a.port);

	atomic_store(&rig->unknown, 1);
	ck_assert_int_eq(ask(&a), -EADDRINUSE);
	atomic_store(&rig->unknown, 0);
	rig_close(l);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}
END_TEST

/* The client that asks is thrown out while it waits. */
START_TEST(thrown_out)
{
	struct chan_app cli;
	struct rig *rig = rig_new(2);
	struct client *ccli = rig_client(rig, &cli, NULL);
	struct asker a = { .app = &cli, .op = CHAN_OP_BIND, .port = 4711 };
	pthread_t t;

	atomic_store(&rig->unknown, 1);
	pthread_create(&t, NULL, asks, &a);
	RIG_WAIT(sock_next_ns(&rig->w[0].env) != UINT64_MAX);
	client_del(ccli);
	pthread_join(t, NULL);
	ck_assert_int_eq(a.result, -ENOTCONN);
	ck_assert_uint_eq(sock_next_ns(&rig->w[0].env), UINT64_MAX);
	rig_client_wait(rig, ccli, &cli);
	rig_free(rig);
}
END_TEST

/* close() of a listener on one data thread, and at once a call for its port on any. */
static void call_after_a_close(uint32_t op, int expected)
{
	struct chan_app one, two;
	struct rig *rig = rig_new(3);
	struct client *c1 = rig_client(rig, &one, NULL), *c2 = rig_client(rig, &two, NULL);

	for (uint32_t i = 0; i < 200; i++) {
		struct asker a = { .app = &two, .op = op, .worker = i % 3 };
		struct end l = rig_listen(&one, 0, 8, &a.port);

		rig_close(l);
		ck_assert_int_eq(ask(&a), expected);
	}
	rig_client_end(rig, c1, &one);
	rig_client_end(rig, c2, &two);
	rig_free(rig);
}

START_TEST(bind_after_a_close_elsewhere)
{
	call_after_a_close(CHAN_OP_BIND, 0);
}
END_TEST

/* A connection that begins after close() of a listener meets nobody, whichever thread it comes to. */
START_TEST(connect_after_a_close)
{
	call_after_a_close(CHAN_OP_CONNECT, -ECONNREFUSED);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("late");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, connect_after_an_end);
	tcase_add_test(tc, bind_after_an_end);
	tcase_add_test(tc, not_for_ever);
	tcase_add_test(tc, thrown_out);
	tcase_add_test(tc, bind_after_a_close_elsewhere);
	tcase_add_test(tc, connect_after_a_close);
	return unit_run("late", tc);
}
