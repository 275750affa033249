/* Call slots of processes that are killed while the engine has not yet carried their call out. */
// SPDX-License-Identifier: MIT
#include <sys/socket.h>
#include "tests/unit/sock/rig.h"
#include "../unit.h"
#include "stack/base/util.h"
#include "stack/chan/dirty.h"

enum { TRIES = 1000 }; /* fewer than there are numbers */

/* As chan_call() leaves it behind when its process is killed before the answer: slot 0. */
static void half_a_call(struct chan_app *app, uint32_t proc)
{
	struct chan_call_b *b = &app->call_b[0];

	atomic_fetch_or(&app->b->call_free[0], 1);
	b->op = CHAN_OP_BIND;
	b->type = SOCK_STREAM;
	b->sock = CHAN_SOCK_NEW;
	b->proc = proc;
	b->local = (struct endpoint){ .addr = RIG_ADDR };
	atomic_store(&b->seq, atomic_load(&app->call_a[0].seq) + 1);
	chan_dirty_call(&app->b->dirty[0], 0);
}

static bool is_taken(struct chan_app *app) { return atomic_load(&app->b->call_free[0]) & 1; }

/* Else the next taker would write its request while the engine reads the dead one's. */
START_TEST(a_dead_process_slot_is_taken_until_its_call_is_done)
{
	struct rig *rig = rig_new(2);
	struct chan_app app;
	struct client *c = rig_client(rig, &app, NULL);
	uint32_t child = (uint32_t)client_add_proc(c);

	rig_stop(rig);
	half_a_call(&app, child);
	client_proc_gone(c, child);
	ck_assert(is_taken(&app));
	rig_go(rig);
	RIG_WAIT(!is_taken(&app));
	ck_assert_uint_eq(atomic_load(&app.call_a[0].seq), atomic_load(&app.call_b[0].seq));
	RIG_WAIT(atomic_load(&c->n_socks) == 0); /* what it made has nobody */
	rig_client_end(rig, c, &app);
	rig_free(rig);
}
END_TEST

/* The number's next owner may be in the middle of a call. */
START_TEST(a_number_is_not_given_out_before_its_slots_are_free)
{
	struct rig *rig = rig_new(2);
	struct chan_app app;
	struct client *c = rig_client(rig, &app, NULL);
	uint32_t child = (uint32_t)client_add_proc(c);

	rig_stop(rig);
	half_a_call(&app, child);
	client_proc_gone(c, child);
	ck_assert_int_ne(client_add_proc(c), (int)child);
	rig_go(rig);
	for (int i = 0; i < TRIES && client_add_proc(c) != (int)child; i++)
		rig_pause();
	ck_assert_uint_eq(c->proc_state[child], CLIENT_PROC_LIVE);
	ck_assert(!is_taken(&app));
	rig_client_end(rig, c, &app);
	rig_free(rig);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("slots");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_dead_process_slot_is_taken_until_its_call_is_done);
	tcase_add_test(tc, a_number_is_not_given_out_before_its_slots_are_free);
	return unit_run("slots", tc);
}
