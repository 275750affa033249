/* What the options in the shared memory are to the TCP core: clamped, and taken over when they change. */
// SPDX-License-Identifier: MIT
#include "rig.h"
#include <errno.h>
#include "../unit.h"
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"
#include "stack/tcp/tcp_core.h"

START_TEST(window_clamp_bounds_the_receive_buffer)
{
	static const struct {
		uint32_t rcvbuf, clamp, want;
	} t[] = {
		{ 0, 0, SOCK_RCVBUF },		{ 0, 30000, 30000 },
		{ 20000, 30000, 20000 },	{ 20000, 10000, 10000 },
		{ 20000, 1, SOCK_CLAMP_MIN },	{ 1, 0, SOCK_BUF_MIN },
		{ UINT32_MAX, 0, SOCK_BUF_MAX }, { UINT32_MAX, UINT32_MAX, SOCK_BUF_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct chan_opts o = { .rcvbuf = t[i].rcvbuf, .window_clamp = t[i].clamp };

		ck_assert_msg(sock_opts(&o).rcvbuf == t[i].want, "row %zu: %u", i, sock_opts(&o).rcvbuf);
	}
}
END_TEST

START_TEST(df_goes_with_path_mtu_discovery_only)
{
	/* IP_PMTUDISC_ DONT, WANT, DO, PROBE, INTERFACE, OMIT; ip_dont_fragment() of Linux */
	static const bool may_cut[] = { true, false, false, true, true, true };
	struct chan_opts o = { 0 };

	ck_assert(!sock_opts(&o).may_cut);
	for (size_t i = 0; i < ARRAY_LEN(may_cut); i++) {
		o.mtu_disc = (uint8_t)(i + 1);
		ck_assert_uint_eq(sock_opts(&o).may_cut, may_cut[i]);
	}
}
END_TEST

/* An ICMP error about the first byte in flight, as the data thread would report it. */
static void unreachable(struct rig *rig, struct end c)
{
	struct tcp_flow flow = { end_a(c)->local, end_a(c)->remote };
	struct sock_env *env = &rig->w[0].env;
	struct tcp_node *n = tcp_table_find(&env->tcp, &flow, tcp_flow_hash(&env->tcp, &flow));

	ck_assert(n && n->kind == TCPN_CONN);
	tcp_icmp_error(&env->tcp, &flow, container_of(n, struct tcp_conn, node)->snd_una, EHOSTUNREACH,
		       true, 0, env->now_ns);
	sock_publish(env);
}

/* IP_RECVERR on a stream: an ICMP error is SO_ERROR at once, without it a reason for a later timeout. The
 * connection goes on in both cases. (RFC 1122 4.2.3.9, tcp_v4_err() of Linux) */
START_TEST(recverr_tells_icmp_errors_of_a_connection_at_once)
{
	struct rig *rig = rig_new(1);
	struct chan_app app;
	struct client *client = rig_client(rig, &app, NULL);
	uint16_t port;
	struct end l = rig_listen(&app, 0, 8, &port), c = rig_connect(&app, port, NULL);
	struct end s;
	char b[2];

	rig_connected(c);
	s = rig_accept(l);
	atomic_store(&rig->deaf, true); /* what is written stays in flight */
	for (uint32_t on = 0; on < 2; on++) {
		end_b(c)->opts.flags = on ? CHAN_O_NODELAY | CHAN_O_RECVERR : CHAN_O_NODELAY;
		atomic_fetch_add(&end_b(c)->opt_seq, 1);
		rig_write(c, "x", 1);
		RIG_WAIT(atomic_load(&end_a(c)->tx_nxt) == on + 1);
		rig_stop(rig);
		unreachable(rig, c);
		rig_go(rig);
		ck_assert_int_eq(end_a(c)->soft_err, EHOSTUNREACH);
		ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), on ? EHOSTUNREACH : 0);
		ck_assert_uint_eq(end_a(c)->state, CHAN_ST_CONNECTED);
	}
	atomic_store(&rig->deaf, false);
	ck_assert_uint_eq(rig_read(s, b, 2), 2);
	rig_close(c);
	rig_close(s);
	rig_close(l);
	rig_client_end(rig, client, &app);
	rig_free(rig);
}
END_TEST

static struct tcp_conn *conn_at(struct rig_worker *w, struct end s)
{
	struct tcp_flow flow = { end_a(s)->local, end_a(s)->remote };
	struct tcp_node *n = tcp_table_find(&w->env.tcp, &flow, tcp_flow_hash(&w->env.tcp, &flow));

	return n && n->kind == TCPN_CONN ? container_of(n, struct tcp_conn, node) : NULL;
}

/* tcp(7): what is set on a listener is inherited, also by connections of the other data threads. */
START_TEST(options_set_after_listen_reach_every_data_thread)
{
	struct rig *rig = rig_new(2);
	struct chan_app app;
	struct client *client = rig_client(rig, &app, NULL);
	uint16_t port;
	struct end l = rig_listen(&app, 0, 8, &port);
	bool reached[2] = { false, false };

	end_b(l)->opts.ttl = 33;
	end_opts_changed(l);
	for (int tries = 0; tries < 500 && !(reached[0] && reached[1]); tries++) {
		struct end c = rig_connect(&app, port, NULL), s;

		rig_connected(c);
		s = rig_accept(l);
		rig_stop(rig);
		for (int i = 0; i < 2; i++) {
			struct tcp_conn *conn = conn_at(&rig->w[i], s);

			reached[i] |= conn && conn->opts.ttl == 33;
		}
		rig_go(rig);
		rig_close(c);
		rig_close(s);
	}
	ck_assert(reached[0] && reached[1]);
	rig_close(l);
	rig_client_end(rig, client, &app);
	rig_free(rig);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("opts");

	tcase_add_test(tc, window_clamp_bounds_the_receive_buffer);
	tcase_add_test(tc, df_goes_with_path_mtu_discovery_only);
	tcase_add_test(tc, options_set_after_listen_reach_every_data_thread);
	tcase_add_test(tc, recverr_tells_icmp_errors_of_a_connection_at_once);
	return unit_run("opts", tc);
}
