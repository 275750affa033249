/* Who holds a socket: bits that processes pass on while the engine looks. */
// SPDX-License-Identifier: MIT
#include "tests/unit/sock/rig.h"
#include "../unit.h"
#include "stack/base/util.h"

enum { PROCS = 3, MOVES = 300000 };

static void let_go(struct chan_app *app, uint32_t proc, uint32_t id)
{
	atomic_fetch_and(&app->held[proc].word[id / 64], ~(1ull << (id % 64)));
}

/* Process by process, each of which has it before the last one closes it, as in a server that forks for every
 * connection. The engine looks at any time. */
START_TEST(a_socket_that_is_passed_on_is_always_held)
{
	struct chan_app srv, cli;
	struct rig *rig = rig_new(1);
	struct client *csrv = rig_client(rig, &srv, NULL), *ccli = rig_client(rig, &cli, NULL);
	uint32_t proc[PROCS], at = 0;
	uint16_t port;

	struct end l = rig_listen(&srv, 0, 8, &port), c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	for (int i = 0; i < PROCS; i++)
		proc[i] = (uint32_t)client_add_proc(csrv);
	chan_hold_as(&srv, proc[0], s.id);
	rig_close(s);
	for (int i = 0; i < MOVES; i++) {
		uint32_t next = (at + PROCS - 1) % PROCS;

		chan_hold_as(&srv, proc[next], s.id);
		let_go(&srv, proc[at], s.id);
		atomic_fetch_add(&srv.sock_b[s.id].close_seq, 1);
		chan_mark(&srv, s.id);
		at = next;
		ck_assert_uint_eq(cli.sock_a[c.id].flags & CHAN_A_RX_FIN, 0);
	}
	/* The last one is killed when it has let go and has not told of it yet. */
	let_go(&srv, proc[at], s.id);
	for (int i = 0; i < PROCS; i++)
		client_proc_gone(csrv, proc[i]);
	RIG_WAIT(cli.sock_a[c.id].flags & CHAN_A_RX_FIN);
	rig_client_end(rig, ccli, &cli);
	rig_client_end(rig, csrv, &srv);
	rig_free(rig);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("held");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_socket_that_is_passed_on_is_always_held);
	return unit_run("held", tc);
}
