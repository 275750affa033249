/* Passive open: LISTEN, SYN-RECEIVED in records, backlog, which listener is meant. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/rig.h"

/* SYN and final ACK of a client at rport; the SYN-ACK is checked. */
static void handshake(struct rig *r, uint16_t rport)
{
	IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = rport);
	ck_assert_uint_eq(rig_drain(r), 1);
}

START_TEST(passive_open_reaches_established) /* RFC 9293 3.5 figure 6, 3.10.7.2 */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 0, .flags = S, .mss = 1200);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .mss = 1460, .ws = ZERO, .no_ts = true,
	    .wnd = 65535);
	ck_assert_uint_eq(r->env.n_synq, 1);
	ck_assert_uint_eq(r->env.n_conns, 0); /* no connection yet */
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	ck_assert(rig_sock_of(r->c)->accepted);
	ck_assert_ptr_eq(r->c->listener, &r->listener);
	ck_assert_uint_eq(r->env.n_synq, 0);
	ck_assert_uint_eq(r->c->mss, 1200);
	COUNT(r, tcp_passive_open, 1);
	rig_send(r, 3);
	OUT(r, .seq = 1, .ack = 1, .flags = A | P, .len = 3);
	rig_free(r);
}
END_TEST

START_TEST(data_in_the_final_ack_is_taken)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A | P, .len = 100);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 101, .flags = A);
	rig_read_n(r, 100);
	rig_free(r);
}
END_TEST

START_TEST(lost_final_ack_is_made_up_by_data)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 11, .ack = 1, .flags = A, .len = 10); /* even out of order */
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 10);
	OUT(r, .seq = 1, .ack = 21, .flags = A);
	rig_read_n(r, 20);
	rig_free(r);
}
END_TEST

START_TEST(fin_in_the_final_ack_goes_to_close_wait) /* RFC 9293 3.10.7.4 eighth */
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 1, .ack = 1, .flags = A | F, .len = 5);
	STATE(r, CLOSE_WAIT);
	OUT(r, .seq = 1, .ack = 7, .flags = A);
	rig_read_n(r, 5);
	rig_free(r);
}
END_TEST

START_TEST(listen_ignores_reset_and_resets_ack) /* RFC 9293 3.10.7.2 first, second */
{
	struct rig *r = rig_listening();
	IN(r, .seq = 5, .flags = R);
	QUIET(r);
	IN(r, .seq = 5, .ack = 9, .flags = A);
	OUT(r, .seq = 9, .flags = R);
	IN(r, .seq = 5, .ack = 9, .flags = S | A);
	OUT(r, .seq = 9, .flags = R);
	IN(r, .seq = 5, .flags = F);
	QUIET(r);
	IN(r, .seq = 5, .flags = S | F);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(no_listener_draws_reset) /* RFC 9293 3.10.7.1 CLOSED */
{
	struct rig *r = rig_new();
	IN(r, .seq = 0, .flags = S, .len = 4);
	OUT(r, .seq = 0, .ack = 5, .flags = R | A);
	IN(r, .seq = 0, .ack = 33, .flags = A);
	OUT(r, .seq = 33, .flags = R);
	IN(r, .seq = 0, .ack = 33, .flags = R | A);
	QUIET(r);
	COUNT(r, tcp_drop_noconn, 3);
	rig_free(r);
}
END_TEST

START_TEST(syn_ack_is_repeated_five_times_then_forgotten)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	for (int i = 0; i < 5; i++) {
		rig_after_ms(r, (1000u << i) - 1);
		QUIET(r);
		rig_after_ms(r, 1);
		OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	}
	rig_after_ms(r, 31999);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_after_ms(r, 1);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(repeated_syn_draws_the_same_syn_ack)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	QUIET(r); /* not twice within half a second */
	rig_after_ms(r, 600);
	IN(r, .seq = 0, .flags = S, .mss = 1460);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_free(r);
}
END_TEST

START_TEST(reset_in_syn_received_returns_to_listen) /* RFC 9293 3.10.7.4 second, RFC 5961 3.2 */
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 100, .flags = R); /* in the window, not exact */
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 100000, .flags = R); /* outside */
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 1);
	IN(r, .seq = 1, .flags = R);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(syn_in_window_in_syn_received_is_challenged) /* RFC 5961 4.2 */
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 50, .flags = S);
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	IN(r, .seq = 90000, .flags = S); /* a new incarnation of the client */
	OUT(r, .seq = 1, .ack = 1, .flags = A);
	rig_free(r);
}
END_TEST

START_TEST(wrong_ack_in_syn_received_draws_reset) /* RFC 9293 3.10.7.4 fifth */
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	IN(r, .seq = 1, .ack = 0, .flags = A);
	OUT(r, .seq = 0, .flags = R);
	IN(r, .seq = 1, .ack = 2, .flags = A);
	OUT(r, .seq = 2, .flags = R);
	IN(r, .seq = 1, .flags = 0);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 1);
	rig_free(r);
}
END_TEST

START_TEST(exhausted_record_pool_drops_syns)
{
	struct rig *r = rig_listening(.max_synq = 2);
	handshake(r, 1);
	handshake(r, 2);
	IN(r, .seq = 0, .flags = S, .rport = 3);
	QUIET(r);
	COUNT(r, tcp_drop_nomem, 1);
	rig_free(r);
}
END_TEST

START_TEST(no_memory_for_the_connection_keeps_the_record)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	r->conn_fail = 1;
	IN(r, .seq = 1, .ack = 1, .flags = A);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 1);
	IN(r, .seq = 1, .ack = 1, .flags = A);
	STATE(r, ESTABLISHED);
	rig_free(r);
}
END_TEST

START_TEST(unlisten_forgets_half_open_connections)
{
	struct rig *r = rig_listening();
	handshake(r, 1);
	handshake(r, 2);
	tcp_unlisten(&r->env, &r->listener);
	r->listening = false;
	ck_assert_uint_eq(r->env.n_synq, 0);
	ck_assert(!tcp_has_listener(&r->env, &r->flow.local));
	rig_free(r);
}
END_TEST

START_TEST(exact_address_wins_then_wildcard_then_v6_wildcard)
{
	struct rig *r = rig_new();
	struct tcp_sockopts o = { .rcvbuf = 65535 };
	struct tcp_listener exact = { .local = r->flow.local, .reuseport = true, .opts = &o };
	struct tcp_listener any4 = exact, any6 = exact;
	any4.local.addr = ipaddr_v4(0);
	any6.local.addr = (struct ipaddr){ 0 };
	struct endpoint at = r->flow.local;
	const struct tcp_listener *any = rig_is_v6(r) ? &any6 : &any4;

	ck_assert_int_eq(tcp_listen(&r->env, &any6), 0);
	ck_assert_ptr_eq(tcp_find_listener(&r->env, &at, 0), &any6);
	ck_assert_int_eq(tcp_listen(&r->env, &any4), 0);
	ck_assert_ptr_eq(tcp_find_listener(&r->env, &at, 0), any);
	ck_assert_int_eq(tcp_listen(&r->env, &exact), 0);
	ck_assert_ptr_eq(tcp_find_listener(&r->env, &at, 0), &exact);
	at.addr = rig_addr(r, 9);
	ck_assert_ptr_eq(tcp_find_listener(&r->env, &at, 0), any);
	at.addr = (struct ipaddr){ .b = { 0xfd, [15] = 1 } };
	ck_assert_ptr_eq(tcp_find_listener(&r->env, &at, 0), &any6);
	tcp_unlisten(&r->env, &any4);
	any6.v6only = true;
	at.addr = ipaddr_v4(0x0a000009);
	ck_assert_ptr_null(tcp_find_listener(&r->env, &at, 0));
	at.port = 81;
	ck_assert(!tcp_has_listener(&r->env, &at));
	tcp_unlisten(&r->env, &any6);
	tcp_unlisten(&r->env, &exact);
	rig_free(r);
}
END_TEST

START_TEST(listeners_that_overlap_are_refused)
{
	struct rig *r = rig_listening();
	struct tcp_listener l = { .local = r->flow.local };
	ck_assert_int_eq(tcp_listen(&r->env, &l), -EADDRINUSE);
	l.local.addr = rig_is_v6(r) ? (struct ipaddr){ 0 } : ipaddr_v4(0);
	ck_assert_int_eq(tcp_listen(&r->env, &l), -EADDRINUSE);
	l.local.addr = (struct ipaddr){ 0 };
	ck_assert_int_eq(tcp_listen(&r->env, &l), -EADDRINUSE);
	l.v6only = true; /* or its counterpart */
	if (rig_is_v6(r))
		l.local.addr = ipaddr_v4(0);
	ck_assert_int_eq(tcp_listen(&r->env, &l), 0);
	tcp_unlisten(&r->env, &l);
	rig_free(r);
}
END_TEST

START_TEST(reuseport_group_shares_by_flow_hash)
{
	struct rig *r = rig_new();
	struct tcp_listener l[3];
	int n[3] = { 0 };
	for (int i = 0; i < 3; i++) {
		l[i] = (struct tcp_listener){ .local = r->flow.local, .reuseport = true };
		ck_assert_int_eq(tcp_listen(&r->env, &l[i]), 0);
	}
	struct tcp_flow f = r->flow;
	for (uint16_t p = 1; p <= 3000; p++) {
		f.remote.port = p;
		n[tcp_find_listener(&r->env, &f.local, tcp_flow_hash(&r->env, &f)) - l]++;
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_gt(n[i], 800);
		tcp_unlisten(&r->env, &l[i]);
	}
	rig_free(r);
}
END_TEST

enum { CLIENTS = 20 };

/* Clients from..to begin, and each remembers our sequence number. */
static void begin(struct rig *r, uint32_t *iss, uint16_t from, uint16_t to)
{
	for (uint16_t p = from; p <= to; p++) {
		IN(r, .seq = 0, .flags = S, .mss = 1460, .rport = p);
		iss[p] = r->out[r->n_out - 1].seg.seq.v;
		ck_assert_uint_eq(rig_drain(r), 1);
	}
}

static void complete(struct rig *r, const uint32_t *iss, const struct tcp_listener *by)
{
	for (uint16_t p = 1; p <= CLIENTS; p++) {
		r->iss = iss[p];
		IN(r, .seq = 1, .ack = 1, .flags = A, .rport = p);
		ck_assert_ptr_eq(r->c->listener, by);
	}
	QUIET(r);
	ck_assert_uint_eq(by->n_acceptq, CLIENTS);
}

START_TEST(half_open_connections_go_to_another_of_the_group)
{
	struct rig *r = rig_listening(.max_synq = 32);
	r->listener.reuseport = true;
	r->listener.backlog = 64;
	struct tcp_listener other = r->listener;
	uint32_t iss[CLIENTS + 1];
	ck_assert_int_eq(tcp_listen(&r->env, &other), 0);
	begin(r, iss, 1, CLIENTS);
	uint32_t had = r->listener.n_synq;
	ck_assert_uint_gt(had, 0);
	ck_assert_uint_lt(had, CLIENTS);
	tcp_unlisten(&r->env, &r->listener);
	r->listening = false;
	COUNT(r, tcp_listener_moved, had);
	ck_assert_uint_eq(other.n_synq, CLIENTS);
	ck_assert_uint_eq(other.n_young, CLIENTS);
	complete(r, iss, &other);
	ck_assert_uint_eq(r->env.n_synq, 0);
	tcp_unlisten(&r->env, &other);
	rig_free(r);
}
END_TEST

/* The application has closed the first one, and the core is to hear of it later. */
START_TEST(closed_listener_takes_no_more)
{
	struct rig *r = rig_listening(.max_synq = 32);
	r->listener.reuseport = true;
	r->listener.backlog = 64;
	struct tcp_listener other = r->listener;
	uint32_t iss[CLIENTS + 1];
	ck_assert_int_eq(tcp_listen(&r->env, &other), 0);
	begin(r, iss, 1, CLIENTS / 2);
	r->closed = &r->listener;
	begin(r, iss, CLIENTS / 2 + 1, CLIENTS);
	complete(r, iss, &other);
	ck_assert_uint_eq(r->listener.n_acceptq, 0);
	tcp_unlisten(&r->env, &r->listener);
	r->listening = false;
	tcp_unlisten(&r->env, &other);
	rig_free(r);
}
END_TEST

START_TEST(icmp_error_ends_a_half_open_connection)
{
	struct rig *r = rig_listening();
	handshake(r, 0);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss + 1), EHOSTUNREACH, true, 0, r->now_ns);
	ck_assert_uint_eq(r->env.n_synq, 1);
	tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss), EHOSTUNREACH, true, 0, r->now_ns);
	if (rig_is_v6(r)) { /* not fatal there, as on Linux: tests/pkt/scripts/icmp/syn-rcvd-six.pkt */
		ck_assert_uint_eq(r->env.n_synq, 1);
		tcp_icmp_error(&r->env, &r->flow, seq_of(r->iss), ECONNREFUSED, true, 0, r->now_ns);
	}
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(syn_from_where_no_route_leads_is_dropped)
{
	struct rig *r = rig_listening();
	r->opt.path_mss = UINT16_MAX;
	IN(r, .seq = 0, .flags = S);
	QUIET(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

START_TEST(zero_window_listener_takes_only_the_next_byte)
{
	struct rig *r = rig_listening();
	r->listen_opts.rcvbuf = 0;
	IN(r, .seq = 0, .flags = S);
	OUT(r, .seq = 0, .ack = 1, .flags = S | A, .wnd = ZERO);
	IN(r, .seq = 1, .ack = 1, .flags = A, .len = 5);
	STATE(r, ESTABLISHED);
	OUT(r, .seq = 1, .ack = 1, .flags = A, .wnd = ZERO);
	rig_free(r);
}
END_TEST

START_TEST(syn_flood_leaves_nothing_behind)
{
	struct rig *r = rig_listening(.max_synq = 8);
	for (uint16_t p = 1; p < 2000; p++)
		IN(r, .seq = p * 7u, .flags = S, .rport = p);
	ck_assert_uint_le(r->env.n_synq, 8);
	rig_after_ms(r, 70000);
	rig_drain(r);
	ck_assert_uint_eq(r->env.n_synq, 0);
	rig_free(r);
}
END_TEST

RIG_MAIN("tcp_listen", { passive_open_reaches_established }, { data_in_the_final_ack_is_taken },
	 { lost_final_ack_is_made_up_by_data }, { fin_in_the_final_ack_goes_to_close_wait },
	 { listen_ignores_reset_and_resets_ack }, { no_listener_draws_reset },
	 { syn_ack_is_repeated_five_times_then_forgotten }, { repeated_syn_draws_the_same_syn_ack },
	 { reset_in_syn_received_returns_to_listen },
	 { syn_in_window_in_syn_received_is_challenged }, { wrong_ack_in_syn_received_draws_reset },
	 { exhausted_record_pool_drops_syns },
	 { no_memory_for_the_connection_keeps_the_record },
	 { unlisten_forgets_half_open_connections },
	 { exact_address_wins_then_wildcard_then_v6_wildcard },
	 { listeners_that_overlap_are_refused }, { reuseport_group_shares_by_flow_hash },
	 { half_open_connections_go_to_another_of_the_group }, { closed_listener_takes_no_more },
	 { icmp_error_ends_a_half_open_connection }, { syn_from_where_no_route_leads_is_dropped },
	 { zero_window_listener_takes_only_the_next_byte }, { syn_flood_leaves_nothing_behind })
