/* Datagram sockets of two applications over one engine: addresses and peers, groups, options, and the end. */
// SPDX-License-Identifier: MIT
#include "dgram.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include "stack/tcp/tcp_state.h"

START_TEST(question_and_answer)
{
	struct chan_dgram h;
	char buf[64];

	up((uint32_t)_i);
	struct end s = rig_udp(&srv, ANY, 5353, 0);
	struct end c = rig_udp(&cli, ANY, 0, 0);
	ck_assert_uint_eq(chan_port_worker(port_of(c), (uint32_t)_i), end_a(c)->worker);
	ck_assert_uint_eq(end_a(c)->type, 2);
	ck_assert_uint_eq(end_a(c)->state, CHAN_ST_OPEN);
	ck_assert_uint_eq(end_ready(c), EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	ck_assert_int_eq(rig_sendto(c, 5353, "who?", 4), 0);
	ck_assert_uint_eq(rig_recvfrom(s, &h, buf, sizeof(buf)), 4);
	ck_assert_mem_eq(buf, "who?", 4);
	ck_assert_uint_eq(h.from.port, port_of(c));
	ck_assert_uint_eq(ipaddr_get_v4(&h.from.addr), 0x0a000001);
	ck_assert_uint_eq(h.to.port, 5353);
	ck_assert_uint_eq(h.ttl, 64);
	ck_assert_uint_eq(h.ifindex, 1);
	ck_assert_uint_gt(h.time_ns, 1000 * NSEC_PER_SEC);
	ck_assert_int_eq(rig_sendto(s, h.from.port, "", 0), 0);
	ck_assert_uint_eq(rig_recvfrom(c, &h, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(h.from.port, 5353);
	rig_close(s);
	rig_close(c);
	RIG_WAIT(atomic_load(&csrv->n_socks) == 0 && atomic_load(&ccli->n_socks) == 0);
	down();
}
END_TEST

START_TEST(bind_refuses_as_linux_does)
{
	struct client_conf conf = { .max_socks = 3 };
	struct chan_app small;
	struct end s, t;

	up(2);
	struct client *c = rig_client(rig, &small, &conf);
	struct chan_req req = { .sock = CHAN_SOCK_NEW, .local = { .addr = ANY, .port = 80 } };
	ck_assert_int_eq(bind_result(&small, 0, req, &s), -EACCES);
	req.local.port = 5001;
	ck_assert_int_eq(bind_result(&small, 0, req, &s), -EINVAL); /* the other worker's */
	ck_assert_int_eq(bind_result(&small, 1, req, &s), 0);
	ck_assert_int_eq(bind_result(&small, 1, req, &t), -EADDRINUSE);
	req.local.addr = ipaddr_v4(0xc0000201); /* not ours */
	ck_assert_int_eq(bind_result(&small, 1, req, &t), -EADDRNOTAVAIL);
	req.opts.flags = CHAN_O_FREEBIND;
	req.local.port = 5003;
	ck_assert_int_eq(bind_result(&small, 1, req, &t), 0);
	ck_assert_uint_eq(end_a(t)->local.port, 5003);
	/* Groups and broadcast addresses may be bound to. */
	req = (struct chan_req){ .sock = CHAN_SOCK_NEW, .local = { .addr = GROUP, .port = 6000 } };
	ck_assert_int_eq(bind_result(&small, 0, req, &t), 0);
	ck_assert_int_eq(bind_result(&small, 0, req, &t), -EADDRINUSE);
	req.local.port = 6002;
	ck_assert_int_eq(bind_result(&small, 0, req, &t), -ENOBUFS); /* quota */
	ck_assert_uint_eq(ports_count(rig->ports), 3);
	/* A stream's call on it. */
	req = (struct chan_req){ .op = CHAN_OP_LISTEN, .sock = s.id, .gen = s.gen, .arg = { 4 } };
	ck_assert_int_eq(chan_call(&small, 1, &req, NULL), -EOPNOTSUPP);
	req.op = CHAN_OP_UNBIND;
	ck_assert_int_eq(chan_call(&small, 1, &req, NULL), 0);
	ck_assert_uint_eq(ports_count(rig->ports), 2);
	rig_client_end(rig, c, &small);
	down();
}
END_TEST

START_TEST(a_socket_without_port_gets_one_later)
{
	struct end s = { 0 }, t;
	struct chan_req req = { .sock = CHAN_SOCK_NEW, .arg = { CHAN_ARG_NO_PORT },
				.local = { .addr = ANY } };

	up(2);
	ck_assert_int_eq(bind_result(&cli, 1, req, &s), 0);
	chan_hold(&cli, s.id);
	ck_assert_uint_eq(port_of(s), 0);
	ck_assert_uint_eq(ports_count(rig->ports), 0);
	/* What it sends has no source: counted, and the next call is told. */
	ck_assert_int_eq(rig_sendto(s, 4000, "x", 1), 0);
	RIG_WAIT(end_a(s)->tx_una == cli.sock_b[s.id].tx_tail);
	ck_assert_int_eq(chan_take_error(end_a(s), end_b(s)), EDESTADDRREQ);
	req = (struct chan_req){ .sock = s.id, .gen = s.gen, .local = { .addr = ANY, .port = 7000 } };
	ck_assert_int_eq(bind_result(&cli, 1, req, &t), -EINVAL);
	req.local.port = 7001;
	ck_assert_int_eq(bind_result(&cli, 1, req, &t), 0);
	ck_assert_uint_eq(t.id, s.id);
	ck_assert_uint_eq(port_of(s), 7001);
	ck_assert_int_eq(bind_result(&cli, 1, req, &t), -EINVAL); /* has one */
	rig_close(s);
	/* Options set in between count. */
	req = (struct chan_req){ .sock = CHAN_SOCK_NEW, .arg = { CHAN_ARG_NO_PORT },
				 .opts = { .flags = CHAN_O_FREEBIND } };
	ck_assert_int_eq(bind_result(&cli, 1, req, &s), 0);
	chan_hold(&cli, s.id);
	req = (struct chan_req){ .sock = s.id, .gen = s.gen,
				 .local = { .addr = ipaddr_v4(0xc0000201), .port = 7003 } };
	ck_assert_int_eq(bind_result(&cli, 1, req, &t), 0);
	rig_close(s);
	RIG_WAIT(atomic_load(&ccli->n_socks) == 0);
	down();
}
END_TEST

/* The port goes with the peer, but what was sent to it before has arrived. */
START_TEST(what_was_sent_arrives_before_a_call)
{
	struct chan_dgram h;
	char buf[8];

	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, 0);
	for (int i = 0; i < 500; i++) {
		struct end c = fresh(&srv);
		ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 5000), 0);
		ck_assert_int_eq(rig_sendto(s, port_of(c), "a", 1), 0);
		ck_assert_int_eq(rig_udp_connect(&c, ANY, 0), 0);
		ck_assert_uint_eq(rig_recvfrom(c, &h, buf, 8), 1);
		rig_close(c);
	}
	rig_close(s);
	down();
}
END_TEST

START_TEST(a_peer_comes_changes_and_goes)
{
	struct chan_dgram h;
	char buf[8];

	up((uint32_t)_i);
	struct end s = rig_udp(&srv, ANY, 5000, 0), other = rig_udp(&srv, ANY, 5002, 0);
	struct end c = fresh(&cli);
	ck_assert_int_eq(rig_udp_connect(&c, ANY, 0), -EINVAL);
	ck_assert_int_eq(rig_udp_connect(&c, ipaddr_v4(0xc0000201), 5000), -ENETUNREACH);
	ck_assert_int_eq(rig_udp_connect(&c, ipaddr_v4(0x0affffff), 5000), -EACCES);
	ck_assert_int_eq(rig_udp_connect(&c, ANY, 5000), -ENETUNREACH); /* 127/8 is not the rig's */
	ck_assert_uint_eq(atomic_load(&ccli->n_socks), 0);
	ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 5000), 0);
	ck_assert_uint_eq(end_a(c)->state, CHAN_ST_CONNECTED);
	ck_assert_uint_eq(ipaddr_get_v4(&end_a(c)->local.addr), 0x0a000001);
	ck_assert_uint_eq(end_a(c)->remote.port, 5000);
	ck_assert_uint_eq(end_a(c)->path_mtu, 1500);
	ck_assert_int_eq(rig_sendto(c, 0, "a", 1), 0);
	ck_assert_uint_eq(rig_recvfrom(s, &h, buf, 8), 1);
	/* Others are not heard, the peer is. */
	ck_assert_int_eq(rig_sendto(other, port_of(c), "x", 1), 0);
	settle(other);
	ck_assert_int_eq(rig_sendto(s, port_of(c), "b", 1), 0);
	ck_assert_uint_eq(rig_recvfrom(c, &h, buf, 8), 1);
	ck_assert_int_eq(buf[0], 'b');
	/* What was sent before goes to the old peer. */
	ck_assert_int_eq(rig_sendto(c, 0, "c", 1), 0);
	uint16_t port = port_of(c);
	ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 5002), 0);
	ck_assert_uint_eq(port_of(c), port);
	ck_assert_int_eq(rig_sendto(c, 0, "d", 1), 0);
	ck_assert_uint_eq(rig_recvfrom(s, &h, buf, 8), 1);
	ck_assert_int_eq(buf[0], 'c');
	ck_assert_uint_eq(rig_recvfrom(other, &h, buf, 8), 1);
	ck_assert_int_eq(buf[0], 'd');
	/* 0.0.0.0 is ourselves. */
	ck_assert_int_eq(rig_udp_connect(&c, ANY, 5000), 0);
	ck_assert_uint_eq(ipaddr_get_v4(&end_a(c)->remote.addr), 0x0a000001);
	/* A port that nobody asked for goes with the peer; one that was bound stays. */
	ck_assert_int_eq(rig_udp_connect(&c, ANY, 0), 0);
	ck_assert_uint_eq(end_a(c)->state, CHAN_ST_OPEN);
	ck_assert_uint_eq(port_of(c), 0);
	ck_assert(ipaddr_is_any(&end_a(c)->local.addr));
	ck_assert_uint_eq(ports_count(rig->ports), 2);
	ck_assert_int_eq(rig_udp_connect(&s, RIG_ADDR, 5002), 0);
	ck_assert_int_eq(rig_udp_connect(&s, ANY, 0), 0);
	ck_assert_uint_eq(port_of(s), 5000);
	ck_assert(ipaddr_is_any(&end_a(s)->local.addr));
	ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 5000), 0);
	ck_assert_int_eq(rig_sendto(c, 0, "e", 1), 0);
	ck_assert_uint_eq(rig_recvfrom(s, &h, buf, 8), 1);
	rig_close(c);
	rig_close(s);
	rig_close(other);
	RIG_WAIT(atomic_load(&csrv->n_socks) == 0 && atomic_load(&ccli->n_socks) == 0);
	down();
}
END_TEST

/* What is read back of the membership: mode and the last parts of the sources' addresses. */
static void filter_is(struct end s, int mode, uint32_t n, ...)
{
	struct chan_req req = { .op = CHAN_OP_MCAST, .sock = s.id, .gen = s.gen,
				.arg = { CHAN_MC_READ }, .remote = { .addr = GROUP } };
	struct chan_rep rep;
	va_list want;

	ck_assert_int_eq(chan_call(s.app, 0, &req, &rep), mode);
	if (mode < 0)
		return;
	ck_assert_uint_eq(rep.len, n * sizeof(struct ipaddr));
	va_start(want, n);
	for (uint32_t i = 0; i < n; i++) {
		struct ipaddr ip;

		memcpy(&ip, rep.payload + i * sizeof(ip), sizeof(ip));
		ck_assert_uint_eq(ipaddr_get_v4(&ip), 0x0a000100 + va_arg(want, uint32_t));
	}
	va_end(want);
}

static int source_op(struct end s, enum chan_mcast op, uint32_t last)
{
	struct chan_req req = { .op = CHAN_OP_MCAST, .sock = s.id, .gen = s.gen, .arg = { op },
				.remote = { .addr = GROUP },
				.local = { .addr = ipaddr_v4(0x0a000100 + last) } };

	return chan_call(s.app, 0, &req, NULL);
}

START_TEST(sources_are_read_back_in_the_order_of_their_coming)
{
	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, 0);
	filter_is(s, -EADDRNOTAVAIL, 0);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_int_eq(source_op(s, CHAN_MC_JOIN_SOURCE, 100 - i), 0);
	ck_assert_int_eq(source_op(s, CHAN_MC_JOIN_SOURCE, 200), -ENOBUFS);
	for (uint32_t i = 4; i < 64; i++)
		ck_assert_int_eq(source_op(s, CHAN_MC_LEAVE_SOURCE, 100 - i), 0);
	filter_is(s, CHAN_FILTER_INCLUDE, 4, 100, 99, 98, 97);
	ck_assert_int_eq(source_op(s, CHAN_MC_LEAVE_SOURCE, 99), 0);
	filter_is(s, CHAN_FILTER_INCLUDE, 3, 100, 98, 97);
	ck_assert_int_eq(source_op(s, CHAN_MC_LEAVE, 0), 0);
	filter_is(s, -EADDRNOTAVAIL, 0);
	ck_assert_int_eq(source_op(s, CHAN_MC_JOIN, 0), 0);
	ck_assert_int_eq(source_op(s, CHAN_MC_BLOCK, 7), 0);
	filter_is(s, CHAN_FILTER_EXCLUDE, 1, 7);
	rig_close(s);
	down();
}
END_TEST

START_TEST(groups_are_joined_and_left)
{
	struct chan_dgram h = { .to = { .addr = GROUP, .port = 5000 } };
	char buf[8];
	struct iovec iov = { buf, 1 };

	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, CHAN_O_MCAST_OWN), c = rig_udp(&cli, ANY, 0, 0);
	struct chan_req req = { .op = CHAN_OP_MCAST, .sock = s.id, .gen = s.gen,
				.arg = { CHAN_MC_JOIN }, .remote = { .addr = GROUP } };
	struct chan_req bad = req;

	bad.remote.addr = RIG_ADDR;
	ck_assert_int_eq(chan_call(&srv, 0, &bad, NULL), -EINVAL);
	bad = req;
	bad.arg[0] = CHAN_MC_READ + 1;
	ck_assert_int_eq(chan_call(&srv, 0, &bad, NULL), -EINVAL);
	bad = req;
	bad.arg[1] = 7;
	ck_assert_int_eq(chan_call(&srv, 0, &bad, NULL), -ENODEV);
	bad.arg[1] = UINT64_MAX;
	ck_assert_int_eq(chan_call(&srv, 0, &bad, NULL), -EINVAL);
	ck_assert_int_eq(chan_call(&srv, 0, &req, NULL), 0);
	ck_assert_int_eq(chan_call(&srv, 0, &req, NULL), -EADDRINUSE);
	ck_assert_uint_ge(rig->group_news, 1);
	filter_is(s, CHAN_FILTER_EXCLUDE, 0);
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	ck_assert_uint_eq(rig_recvfrom(s, &h, buf, 8), 1);
	ck_assert_uint_eq(h.flags, CHAN_DG_MULTICAST);
	req.arg[0] = CHAN_MC_LEAVE;
	ck_assert_int_eq(chan_call(&srv, 0, &req, NULL), 0);
	ck_assert_int_eq(chan_call(&srv, 0, &req, NULL), -EADDRNOTAVAIL);
	req.arg[0] = CHAN_MC_JOIN;
	ck_assert_int_eq(chan_call(&srv, 0, &req, NULL), 0);
	uint32_t news = rig->group_news;
	rig_close(s); /* leaves */
	RIG_WAIT(rig->group_news > news);
	down();
}
END_TEST

/* close() right after the last send: the datagrams are out, however many. */
START_TEST(what_was_sent_before_the_end_is_sent)
{
	uint8_t buf[500] = { 0 };

	up(1);
	for (int how = 0; how < 3; how++) {
		struct chan_app gone;
		struct client *c = rig_client(rig, &gone, NULL);
		struct end s = rig_udp(&gone, ANY, 5000, 0);
		uint32_t before = rig->dgrams, sent = 0;

		while (sent < 300 && rig_sendto(s, 9, buf, sizeof(buf)) == 0)
			sent++;
		if (how == 0) {
			rig_close(s);
		} else if (how == 1) {
			struct chan_req req = { .op = CHAN_OP_UNBIND, .sock = s.id, .gen = s.gen };

			ck_assert_int_eq(chan_call(&gone, 0, &req, NULL), 0);
		}
		rig_client_end(rig, c, &gone);
		ck_assert_uint_eq(rig->dgrams - before, sent);
		ck_assert_uint_eq(ports_count(rig->ports), 0);
	}
	down();
}
END_TEST

START_TEST(options_take_effect_later_too)
{
	struct chan_dgram h = { .to = { .addr = RIG_ADDR, .port = 5000 } };
	uint8_t buf[8];
	struct iovec iov = { buf, 1 };

	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, 0), c = rig_udp(&cli, ANY, 5004, 0);
	struct chan_req req = { .sock = CHAN_SOCK_NEW, .local = { .addr = ANY, .port = 5000 },
				.opts = { .flags = CHAN_O_REUSEADDR } };
	struct end t;
	ck_assert_int_eq(bind_result(&srv, 0, req, &t), -EADDRINUSE);
	end_b(s)->opts.flags = CHAN_O_REUSEADDR | CHAN_O_RECVERR;
	end_b(s)->opts.rcvbuf = 832; /* less than the least */
	end_b(s)->opts.sndbuf = 40000;
	end_opts_changed(s);
	RIG_WAIT(end_a(s)->sndbuf == 40000);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	RIG_WAIT(end_a(s)->rx_drops == 3);
	ck_assert_int_eq(bind_result(&srv, 0, req, &t), 0);
	/* shutdown() is an event, once. */
	atomic_fetch_or(&end_b(s)->flags, CHAN_B_SHUT_RD);
	uint32_t seq = end_a(s)->evseq;
	chan_mark(&srv, s.id);
	RIG_WAIT(end_a(s)->evseq == seq + 1);
	chan_mark(&srv, s.id);
	settle(s);
	ck_assert_uint_eq(end_a(s)->evseq, seq + 1);
	down();
}
END_TEST

struct look {
	struct sock_row row[8];
	struct sock_group_row group[4];
	uint32_t n, n_groups;
	_Atomic uint32_t done;
};
static void look(struct sock_env *env, void *p)
{
	struct look *l = p;
	uint64_t cursor = 0;

	l->n = sock_rows(env, &cursor, l->row, ARRAY_LEN(l->row));
	cursor = 0;
	/* one at a time: the cursor goes on */
	while (sock_group_rows(env, &cursor, &l->group[l->n_groups], 1))
		l->n_groups++;
	atomic_store(&l->done, 1);
}

START_TEST(ss_shows_them)
{
	static struct look l;
	struct sock_mail m = { .type = SOCK_MAIL_CALL, .p = &l, .fn = look };

	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, 0), c = fresh(&cli);
	ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 5000), 0);
	ck_assert_int_eq(rig_sendto(c, 0, "x", 1), 0);
	RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) > 0);
	ck_assert_int_eq(source_op(s, CHAN_MC_JOIN_SOURCE, 1), 0);
	ck_assert_int_eq(source_op(s, CHAN_MC_JOIN_SOURCE, 2), 0);
	memset(&l, 0, sizeof(l));
	csrv->conf.mail(csrv->conf.mail_arg, 0, &m);
	RIG_WAIT(l.done);
	ck_assert_uint_eq(l.n, 2);
	const struct sock_row *rs = &l.row[l.row[0].local.port == 5000 ? 0 : 1];
	const struct sock_row *rc = &l.row[l.row[0].local.port == 5000 ? 1 : 0];
	ck_assert_uint_eq(rs->type, 2);
	ck_assert_uint_eq(rs->state, TCPS_CLOSED);
	ck_assert_uint_eq(rs->rx_queue, 832);
	ck_assert_uint_eq(rc->state, TCPS_ESTABLISHED);
	ck_assert_uint_eq(rc->remote.port, 5000);
	ck_assert(!rs->v6 && !rs->v6only);
	ck_assert_uint_eq(l.n_groups, 1);
	ck_assert_uint_eq(ipaddr_get_v4(&l.group[0].group), 0xef010203);
	ck_assert(l.group[0].include);
	ck_assert_uint_eq(l.group[0].n_sources, 2);
	ck_assert_uint_eq(l.group[0].local.port, 5000);
	down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dgram");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, question_and_answer, 1, 3);
	tcase_add_test(tc, bind_refuses_as_linux_does);
	tcase_add_test(tc, a_socket_without_port_gets_one_later);
	tcase_add_test(tc, what_was_sent_arrives_before_a_call);
	tcase_add_loop_test(tc, a_peer_comes_changes_and_goes, 1, 3);
	tcase_add_test(tc, sources_are_read_back_in_the_order_of_their_coming);
	tcase_add_test(tc, groups_are_joined_and_left);
	tcase_add_test(tc, what_was_sent_before_the_end_is_sent);
	tcase_add_test(tc, options_take_effect_later_too);
	tcase_add_test(tc, ss_shows_them);
	return unit_run("dgram", tc);
}
