/* What open sockets know of their paths when the MTU of their link changes (RFC 4861 6.3.4). */
// SPDX-License-Identifier: MIT
#include "pair.h"
#include <linux/tcp.h>
#include <string.h>
#include "../unit.h"

static void link_takes(uint32_t mtu)
{
	rig_stop(rig); /* as the barrier does */
	atomic_store(&rig->mtu, mtu);
	for (uint32_t i = 0; i < rig->n_workers; i++)
		sock_paths_changed(&rig->w[i].env);
	rig_go(rig);
}

static struct tcp_info info_of(struct end s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s.id, .gen = s.gen };
	struct tcp_info ti = { 0 };
	struct chan_rep rep;

	ck_assert_int_eq(chan_call(s.app, end_a(s)->worker, &req, &rep), 0);
	memcpy(&ti, rep.payload, rep.len < sizeof(ti) ? rep.len : sizeof(ti));
	return ti;
}

START_TEST(open_sockets_follow_the_link)
{
	static const uint32_t mtus[] = { 1280, 1500, 1300 };
	uint16_t port;

	pair_up((uint32_t)_i);
	struct end l = rig_listen(&srv, 0, 8, &port), c = rig_connect(&cli, port, NULL);
	struct end d = rig_udp(&srv, ipaddr_v4(0), 5000, 0), u = { &cli, CHAN_SOCK_NEW, 0 };
	struct end idle = rig_udp(&srv, ipaddr_v4(0), 5001, 0);
	rig_connected(c);
	struct end s = rig_accept(l);
	ck_assert_int_eq(rig_udp_connect(&u, RIG_ADDR, 5000), 0);
	uint32_t options = 1460 - info_of(c).tcpi_snd_mss;

	ck_assert_uint_eq(end_a(u)->path_mtu, 1500);
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		link_takes(mtus[i]);
		ck_assert_uint_eq(info_of(c).tcpi_snd_mss, mtus[i] - 40 - options);
		ck_assert_uint_eq(info_of(s).tcpi_snd_mss, mtus[i] - 40 - options);
		ck_assert_uint_eq(end_a(u)->path_mtu, mtus[i]);
		ck_assert_uint_eq(end_a(idle)->path_mtu, 0); /* it has none */
	}
	rig_write(c, "x", 1);
	char b;
	ck_assert_uint_eq(rig_read(s, &b, 1), 1);
	rig_close(c);
	rig_close(s);
	rig_close(l);
	rig_close(d);
	rig_close(u);
	rig_close(idle);
	pair_down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("path");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, open_sockets_follow_the_link, 1, 3);
	return unit_run("sock_path", tc);
}
