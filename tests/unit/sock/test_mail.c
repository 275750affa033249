/* Mail between data threads: when mailboxes are full, and when it comes late. */
// SPDX-License-Identifier: MIT
#include <sys/socket.h>
#include "pair.h"
#include "../unit.h"

enum { CONNS = 8 };

static uint16_t local_port(struct end e) { return end_a(e)->local.port; }

/* Half of the handshakes are another thread's than the listener's. */
START_TEST(connections_wait_for_room_in_a_mailbox)
{
	struct end c[CONNS], s[CONNS];
	uint16_t port;

	pair_up(2);
	struct end l = rig_listen(&srv, 0, CONNS, &port);
	atomic_store(&rig->full, true);
	for (int i = 0; i < CONNS; i++) {
		c[i] = rig_connect(&cli, port, NULL);
		rig_connected(c[i]);
	}
	atomic_store(&rig->full, false);
	for (int i = 0; i < CONNS; i++)
		s[i] = rig_accept(l);
	/* s[i] need not be the other end of c[i]: nobody writes to what is closed. */
	for (int i = 0; i < CONNS; i++)
		rig_write(c[i], "x", 1);
	for (int i = 0; i < CONNS; i++) {
		rig_close(c[i]);
		rig_close(s[i]);
	}
	rig_close(l);
	pair_down();
}
END_TEST

/* ... and of the thread that ends meanwhile nothing is left over. */
START_TEST(client_ends_while_mail_waits)
{
	struct end c[CONNS];
	uint16_t port;

	pair_up(2);
	struct end l = rig_listen(&srv, 0, CONNS, &port);
	atomic_store(&rig->full, true);
	for (int i = 0; i < CONNS; i++) {
		c[i] = rig_connect(&cli, port, NULL);
		rig_connected(c[i]);
	}
	rig_client_end(rig, csrv, &srv);
	for (int i = 0; i < CONNS; i++) {
		RIG_WAIT(end_a(c[i])->state == CHAN_ST_CLOSED);
		rig_close(c[i]);
	}
	(void)l;
	rig_client_end(rig, ccli, &cli);
	rig_free(rig);
}
END_TEST

static int call(uint32_t op, struct end l)
{
	const struct chan_req req = { .op = op, .sock = l.id, .gen = l.gen, .arg = { CONNS } };

	return chan_call(l.app, end_a(l)->worker, &req, NULL);
}

static void *listens(void *arg)
{
	struct end *l = arg;

	ck_assert_int_eq(call(CHAN_OP_LISTEN, *l), 0);
	return NULL;
}

/* A connection that the other thread does not have. */
static struct end connect_on(uint16_t port, uint32_t worker)
{
	struct end c = rig_connect(&cli, port, NULL);

	if (end_a(c)->worker != worker) {
		struct end other = rig_connect(&cli, port, NULL);

		ck_assert_uint_eq(end_a(other)->worker, worker);
		rig_close(c);
		c = other;
	}
	rig_connected(c);
	return c;
}

/* Linux: the end of listening resets what nobody has accepted; who listens again begins with nothing. */
START_TEST(connection_of_a_former_listen_is_not_accepted)
{
	pthread_t t;
	uint16_t port;
	uint32_t id, gen;

	pair_up(2);
	struct end l = rig_listen(&srv, 0, CONNS, &port);
	uint32_t home = end_a(l)->worker;
	atomic_store(&rig->full, true);
	struct end old = connect_on(port, 1 - home);
	atomic_fetch_or(&end_b(l)->flags, CHAN_B_SHUT_RD);
	chan_mark(&srv, l.id);
	ck_assert_int_eq(call(CHAN_OP_INFO, l), 0);
	while (chan_accept_pop(&srv, l.id, &id, &gen) == 0) /* of this thread */
		chan_unhold(&srv, id);
	ck_assert_int_eq(chan_accept_settle(&srv, l.id), 0);
	atomic_fetch_and(&end_b(l)->flags, ~(uint32_t)CHAN_B_SHUT_RD);
	ck_assert_int_eq(pthread_create(&t, NULL, listens, &l), 0);
	RIG_WAIT(end_a(l)->state == CHAN_ST_LISTENING);
	atomic_store(&rig->full, false);
	pthread_join(t, NULL);
	RIG_WAIT(end_a(old)->state == CHAN_ST_CLOSED);
	struct end fresh = connect_on(port, 1 - home), s = rig_accept(l);
	if (end_a(s)->remote.port != local_port(fresh)) { /* connect_on()'s first try */
		rig_close(s);
		s = rig_accept(l);
	}
	ck_assert_uint_eq(end_a(s)->remote.port, local_port(fresh));
	rig_close(old);
	rig_close(fresh);
	rig_close(s);
	rig_close(l);
	pair_down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mail");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, connections_wait_for_room_in_a_mailbox);
	tcase_add_test(tc, client_ends_while_mail_waits);
	tcase_add_test(tc, connection_of_a_former_listen_is_not_accepted);
	return unit_run("mail", tc);
}
