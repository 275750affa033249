/* Messages reach a worker that sleeps; a full mailbox and a wrong configuration say so. */
// SPDX-License-Identifier: MIT
#include "tests/unit/worker/worker_rig.h"
#include <errno.h>
#include <pthread.h>

static _Atomic uint32_t called;
static void on_call(struct sock_env *env, void *p) { atomic_fetch_add(&called, 1); }
static void *thread(void *arg)
{
	worker_run(arg);
	return NULL;
}

/* The worker is asleep, about to sleep or awake; each message must be taken within a second. */
START_TEST(no_message_is_missed_by_a_sleeper)
{
	struct sock_mail call = { .type = SOCK_MAIL_CALL, .fn = on_call };
	struct rng rng;
	pthread_t th;

	rng_seed(&rng, unit_seed());
	w[0].conf.poll = _i ? WORKER_POLL_SLEEP : WORKER_POLL_ADAPTIVE;
	pthread_create(&th, NULL, thread, &w[0]);
	for (uint32_t i = 1; i <= 5000; i++) {
		uint64_t until = worker_clock_ns() + rng_below(&rng, 100000), limit;

		while (worker_clock_ns() < until)
			cpu_relax();
		ck_assert(worker_mail(&w[0], &call));
		for (limit = worker_clock_ns() + NSEC_PER_SEC; atomic_load(&called) < i;)
			ck_assert_msg(worker_clock_ns() < limit, "message %u was missed", i);
	}
	worker_stop(&w[0]);
	pthread_join(th, NULL);
	ck_assert_uint_gt(COUNT(0, worker_sleeps), 0);
	/* It has announced itself at the start. */
	ck_assert_uint_eq(rig.n_sent, 1);
}
END_TEST

START_TEST(a_full_mailbox_says_so)
{
	struct sock_mail call = { .type = SOCK_MAIL_CALL, .fn = on_call };
	uint32_t n = 0;

	while (n < 100000 && worker_mail(&w[0], &call))
		n++;
	ck_assert_uint_ge(n, MAIL_SLOTS - 1);
	ck_assert_uint_le(n, MAIL_SLOTS);
	wrig_run();
	ck_assert_uint_eq(called, n);
}
END_TEST

START_TEST(a_wrong_configuration_is_refused)
{
	struct worker_conf conf = w[0].conf;
	struct worker other;

	conf.number = 1;
	ck_assert_int_eq(worker_init(&other, &conf), -EINVAL);
	conf.number = 0;
	rig.nif.index = 3;
	ck_assert_int_eq(worker_init(&other, &conf), -EINVAL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("idle");

	rig_eal();
	tcase_add_checked_fixture(tc, wrig_setup, wrig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_message_is_missed_by_a_sleeper, 0, 2);
	tcase_add_test(tc, a_full_mailbox_says_so);
	tcase_add_test(tc, a_wrong_configuration_is_refused);
	return unit_run("idle", tc);
}
