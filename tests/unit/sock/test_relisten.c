/* A listener ends and begins again under a thread that is in accept(). */
// SPDX-License-Identifier: MIT
#include <sys/socket.h>
#include "pair.h"
#include "../unit.h"
#include "stack/base/util.h"

enum { ROUNDS = 5000, PAUSES = 1000 };

struct taker {
	pthread_t thread;
	uint32_t listener;
	_Atomic bool over;
	_Atomic uint32_t n, strange;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	uint32_t id, gen;

	while (!atomic_load(&t->over)) {
		if (chan_accept_pop(&srv, t->listener, &id, &gen) != 0)
			continue;
		atomic_fetch_add(&t->n, 1);
		if (id == t->listener || !gen || srv.sock_a[id].gen != gen)
			atomic_fetch_add(&t->strange, 1);
		chan_unhold(&srv, id);
	}
	return NULL;
}

static int call(uint32_t op, uint32_t id)
{
	const struct chan_req req = { .op = op, .sock = id, .gen = srv.sock_a[id].gen, .arg = { 8 } };

	return chan_call(&srv, 0, &req, NULL);
}

/* shutdown() and listen(), as the shim does them. */
static void again(uint32_t id)
{
	atomic_fetch_or(&srv.sock_b[id].flags, CHAN_B_SHUT_RD);
	chan_mark(&srv, id);
	ck_assert_int_eq(call(CHAN_OP_INFO, id), 0);
	ck_assert_int_eq(chan_accept_settle(&srv, id), 0);
	atomic_fetch_and(&srv.sock_b[id].flags, ~(uint32_t)CHAN_B_SHUT_RD);
	ck_assert_int_eq(call(CHAN_OP_LISTEN, id), 0);
}

/* One or two workers, by the loop index. */
START_TEST(nothing_is_taken_that_is_not_there)
{
	struct taker t = { 0 };
	uint16_t port;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 8, &port);
	t.listener = l.id;
	ck_assert_int_eq(pthread_create(&t.thread, NULL, take, &t), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct end c = rig_connect(&cli, port, NULL);

		for (uint32_t k = 0; k < i % PAUSES; k += 20)
			__builtin_ia32_pause();
		again(l.id);
		ck_assert_uint_eq(srv.a->detached, 0);
		rig_close(c);
	}
	atomic_store(&t.over, true);
	pthread_join(t.thread, NULL);
	ck_assert_uint_le(t.n, ROUNDS);
	ck_assert_uint_eq(t.strange, 0);
	pair_down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("relisten");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, nothing_is_taken_that_is_not_there, 1, 3);
	return unit_run("relisten", tc);
}
