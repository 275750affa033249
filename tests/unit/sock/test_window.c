/* What the receive window promises, and what reading opens. */
// SPDX-License-Identifier: MIT
#include "pair.h"
#include <string.h>
#include "../unit.h"

/* With the window closed a small read opens too little for an update. The next reads must be told, too,
 * else the window stays closed until the peer's probe. */
START_TEST(small_reads_of_a_closed_window_are_all_told)
{
	static uint8_t buf[16 << 20];
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	struct iovec iov = { buf, sizeof(buf) };
	for (int quiet = 0; quiet < 50; quiet++) {
		if (chan_tx_write(&cli, c.id, &iov, 1) > 0)
			quiet = 0;
		rig_pause();
	}
	ck_assert(end_a(s)->flags & CHAN_A_WANT_HEAD);
	for (int i = 0; i < 20; i++) {
		ck_assert_uint_eq(rig_read(s, buf, 100), 100);
		rig_pause();
		ck_assert(end_a(s)->flags & CHAN_A_WANT_HEAD);
	}
	rig_close(s); /* resets: else what is queued drains for a minute */
	pair_down();
}
END_TEST

/* RFC 9293 3.8.6: what the window has promised is kept, whatever SO_RCVBUF becomes later. */
START_TEST(a_smaller_buffer_keeps_the_promised_window)
{
	static uint8_t buf[500000], got[sizeof(buf)];
	uint16_t port;

	pair_up(1);
	struct end l = rig_listen(&srv, 0, 8, &port);
	struct end c = rig_connect(&cli, port, NULL);
	rig_connected(c);
	struct end s = rig_accept(l);
	rig_write(c, "a", 1);
	ck_assert_uint_eq(rig_read(s, got, 1), 1);
	rig_write(s, "b", 1); /* tells the window, 1 MB */
	ck_assert_uint_eq(rig_read(c, got, 1), 1);
	end_b(s)->opts.rcvbuf = 5000;
	end_b(s)->opts.sndbuf = 40000;
	end_opts_changed(s);
	RIG_WAIT(end_a(s)->sndbuf == 40000);
	pair_pattern(buf, sizeof(buf), 1);
	rig_write(c, buf, sizeof(buf));
	RIG_WAIT(end_a(s)->rx_tail == 1 + sizeof(buf)); /* before anything is read */
	ck_assert_uint_eq(rig_read(s, got, sizeof(got)), sizeof(got));
	ck_assert_mem_eq(got, buf, sizeof(buf));
	rig_close(c);
	rig_close(s);
	pair_down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("window");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, small_reads_of_a_closed_window_are_all_told);
	tcase_add_test(tc, a_smaller_buffer_keeps_the_promised_window);
	return unit_run("sock_window", tc);
}
