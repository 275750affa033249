/* Records of datagram sockets both ways: what fits, what is dropped or refused, errors, coalescing, a flood,
 * and nonsense. */
// SPDX-License-Identifier: MIT
#include "dgram.h"
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <linux/errqueue.h>

/* 212992 bytes of sk_rcvbuf, counted as Linux 6.18 counts on loopback. */
static const struct {
	uint32_t len, rcvbuf, n;
} limits[] = { { 1, 0, 256 }, { 129, 0, 256 }, { 200, 0, 166 }, { 1472, 0, 92 }, { 9000, 0, 12 },
	       { 20000, 0, 10 }, { 65507, 0, 3 }, { 65507, 1, 1 }, { 1, 8320, 20 } };

START_TEST(a_full_receive_buffer_drops)
{
	static uint8_t buf[65536];
	struct chan_dgram h;

	up(1);
	struct chan_req req = { .sock = CHAN_SOCK_NEW, .local = { .addr = ANY, .port = 5000 },
				.opts = { .rcvbuf = limits[_i].rcvbuf } };
	struct end s, c = rig_udp(&cli, ANY, 0, 0);
	ck_assert_int_eq(bind_result(&srv, 0, req, &s), 0);
	uint32_t sent = limits[_i].n + 5;
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < sent;) {
			uint32_t seen = atomic_load(&end_a(c)->evseq);
			int err = rig_sendto(c, 5000, buf, limits[_i].len);

			if (err == -EAGAIN)
				chan_sock_wait(&cli, c.id, seen, chan_now_ns() + NSEC_PER_SEC, NULL,
					       0);
			else
				i++;
		}
		RIG_WAIT(end_a(s)->rx_drops == 5 * ((uint32_t)round + 1));
		for (uint32_t i = 0; i < limits[_i].n; i++)
			ck_assert_uint_eq(rig_recvfrom(s, &h, buf, sizeof(buf)), limits[_i].len);
		ck_assert_int_eq(chan_dgram_next_len(&srv, s.id), -EAGAIN);
	}
	uint32_t *v = (uint32_t[64]){ 0 };
	struct chan_rep rep;
	req = (struct chan_req){ .op = CHAN_OP_INFO, .sock = s.id, .gen = s.gen };
	ck_assert_int_eq(chan_call(&srv, 0, &req, &rep), 0);
	memcpy(v, rep.payload, rep.len);
	ck_assert_uint_eq(rep.len, 9 * 4);
	ck_assert_uint_eq(v[SK_MEMINFO_RMEM_ALLOC], 0);
	ck_assert_uint_eq(v[SK_MEMINFO_RCVBUF], limits[_i].rcvbuf == 0 ? 212992 :
						limits[_i].rcvbuf == 1 ? 2304 : 2 * limits[_i].rcvbuf);
	ck_assert_uint_eq(v[SK_MEMINFO_DROPS], 15);
	down();
}
END_TEST

START_TEST(a_full_send_buffer_asks_for_one_event)
{
	static uint8_t buf[CHAN_DGRAM_MAX];
	struct chan_req req = { .op = CHAN_OP_BIND, .type = 2, .sock = CHAN_SOCK_NEW,
				.local = { .addr = ANY }, .opts = { .sndbuf = 20000 } };
	struct end c;

	up(1);
	ck_assert_int_eq(bind_result(&cli, 0, req, &c), 0);
	/* The worker at work on a long queue: the ring fills meanwhile, sooner or later. */
	bool full = false;
	for (int i = 0; i < 200000 && !full; i++) {
		uint32_t seen = atomic_load(&end_a(c)->evseq);
		int err = rig_sendto(c, 9, buf, (size_t)(i % 7 ? 9000 : CHAN_DGRAM_MAX));

		ck_assert(err == 0 || err == -EAGAIN);
		full = err == -EAGAIN;
		if (full)
			ck_assert_int_eq(chan_sock_wait(&cli, c.id, seen,
							chan_now_ns() + 5 * NSEC_PER_SEC, NULL, 0), 0);
	}
	ck_assert(full);
	RIG_WAIT(chan_dgram_writable(end_a(c), end_b(c)));
	down();
}
END_TEST

START_TEST(a_port_that_is_behind_loses_nothing)
{
	struct chan_dgram h;
	uint32_t got;

	up(1);
	struct end s = rig_udp(&srv, ANY, 5000, 0), c = rig_udp(&cli, ANY, 0, 0);
	atomic_store(&rig->busy, 1000);
	for (uint32_t i = 0; i < 20; i++)
		ck_assert_int_eq(rig_sendto(c, 5000, &i, sizeof(i)), 0);
	for (uint32_t i = 0; i < 20; i++) {
		ck_assert_uint_eq(rig_recvfrom(s, &h, &got, sizeof(got)), sizeof(got));
		ck_assert_uint_eq(got, i);
	}
	ck_assert_uint_eq(rig->busy, 0);
	ck_assert(!chan_has_error(end_a(c), end_b(c)));
	/* Who closes does not wait. */
	atomic_store(&rig->busy, UINT32_MAX);
	uint32_t before = rig->dgrams;
	ck_assert_int_eq(rig_sendto(c, 5000, "x", 1), 0);
	rig_close(c);
	RIG_WAIT(rig->dgrams == before + 1);
	down();
}
END_TEST

START_TEST(errors_reach_connected_sockets_only)
{
	struct chan_dgram h;
	uint8_t buf[16];
	struct iovec iov = { buf, sizeof(buf) };

	up((uint32_t)_i);
	struct end u = rig_udp(&cli, ANY, 0, 0), c = fresh(&cli), q = rig_udp(&cli, ANY, 0, CHAN_O_RECVERR);
	ck_assert_int_eq(rig_udp_connect(&c, RIG_ADDR, 4444), 0);
	ck_assert_int_eq(rig_sendto(u, 4444, "u", 1), 0);
	ck_assert_int_eq(rig_sendto(c, 0, "c", 1), 0);
	RIG_WAIT(chan_has_error(end_a(c), end_b(c)));
	ck_assert_uint_eq(end_ready(c), EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLERR);
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), ECONNREFUSED);
	ck_assert_uint_eq(end_a(c)->errq.size, 0);
	/* With IP_RECVERR an unconnected one hears, too, and of each datagram. */
	ck_assert_int_eq(rig_sendto(q, 4444, "one", 3), 0);
	ck_assert_int_eq(rig_sendto(q, 4446, "fourth", 6), 0);
	RIG_WAIT(end_a(q)->errq_tail == 112 * 2);
	ck_assert_int_eq(chan_dgram_recv(&cli, q.id, &h, &iov, 1, CHAN_DG_ERRQ, -1), 3);
	ck_assert_mem_eq(buf, "one", 3);
	ck_assert_uint_eq(h.err, ECONNREFUSED);
	ck_assert_uint_eq(h.origin, SO_EE_ORIGIN_ICMP);
	ck_assert_uint_eq(h.type, ICMP_DEST_UNREACH);
	ck_assert_uint_eq(h.code, ICMP_PORT_UNREACH);
	ck_assert_uint_eq(h.to.port, 4444);
	ck_assert_uint_eq(ipaddr_get_v4(&h.from.addr), 0x0a000099);
	ck_assert(chan_has_error(end_a(q), end_b(q)));
	ck_assert_int_eq(chan_dgram_recv(&cli, q.id, &h, &iov, 1, CHAN_DG_ERRQ, -1), 6);
	ck_assert(!chan_has_error(end_a(q), end_b(q)));
	ck_assert(!chan_has_error(end_a(u), end_b(u)));
	/* The queue is of limited size; what finds no room is dropped. */
	for (uint32_t i = 0; i < 700; i++) {
		while (rig_sendto(q, 4444, buf, 16) == -EAGAIN)
			rig_pause();
	}
	RIG_WAIT(end_a(q)->tx_una == end_b(q)->tx_tail && rig->dgrams == 704);
	settle(q);
	uint32_t n = 0;
	for (int idle = 0; idle < 20;) {
		if (chan_dgram_recv(&cli, q.id, &h, &iov, 1, CHAN_DG_ERRQ, -1) == 16) {
			n++;
			continue;
		}
		idle++;
		rig_pause();
	}
	ck_assert_uint_ge(n, 65536 / 112);
	ck_assert_uint_le(n, 700);
	down();
}
END_TEST

START_TEST(what_could_not_be_sent_is_told)
{
	struct chan_dgram h = { .to = { .addr = ipaddr_v4(0xc0000201), .port = 9 } };
	uint8_t buf[3000] = { 0 };
	struct iovec iov = { buf, 1 };

	up(1);
	struct end c = rig_udp(&cli, ANY, 0, CHAN_O_RECVERR);
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	RIG_WAIT(chan_has_error(end_a(c), end_b(c)));
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), ENETUNREACH);
	h.to.addr = ipaddr_v4(0x0affffff);
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	RIG_WAIT(chan_has_error(end_a(c), end_b(c)));
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), EACCES);
	ck_assert(!chan_errq_pending(end_a(c), end_b(c)));
	h.to.addr = RIG_ADDR;
	h.flags = CHAN_DG_DONT_FRAG;
	iov.iov_len = sizeof(buf);
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	RIG_WAIT(chan_has_error(end_a(c), end_b(c)));
	ck_assert_int_eq(chan_take_error(end_a(c), end_b(c)), EMSGSIZE);
	ck_assert_int_eq(chan_dgram_recv(&cli, c.id, &h, &iov, 1, CHAN_DG_ERRQ, -1), 0);
	ck_assert_uint_eq(h.origin, SO_EE_ORIGIN_LOCAL);
	ck_assert_uint_eq(h.err, EMSGSIZE);
	ck_assert_uint_eq(h.info, 1500);
	down();
}
END_TEST

START_TEST(equal_datagrams_of_a_burst_become_one)
{
	static uint8_t buf[65536], out[65536];
	struct chan_dgram h = { .to = { .addr = RIG_ADDR, .port = 5000 }, .gso = 1000 };
	struct iovec iov = { out, 7500 };

	up(1);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 >> 3);
	struct end s = rig_udp(&srv, ANY, 5000, CHAN_O_UDP_GRO), c = rig_udp(&cli, ANY, 0, 0);
	for (int i = 0; i < 40; i++) { /* often enough to wrap and to grow */
		ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
		ck_assert_uint_eq(rig_recvfrom(s, &h, buf, sizeof(buf)), 7500);
		ck_assert_uint_eq(h.gso, 1000);
		ck_assert_uint_eq(h.len, 7500);
		ck_assert_mem_eq(buf, out, 7500);
		h = (struct chan_dgram){ .to = { .addr = RIG_ADDR, .port = 5000 }, .gso = 1000 };
	}
	/* No more than 128, and what follows is another one. */
	h.gso = 10;
	iov.iov_len = 1290; /* the rig's wire takes any number */
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	for (size_t at = 0; at < 1290; at += 1280) {
		size_t want = at + 1280 <= 1290 ? 1280 : 1290 - at;

		ck_assert_uint_eq(rig_recvfrom(s, &h, buf, sizeof(buf)), want);
		ck_assert_uint_eq(h.gso, want > 10 ? 10 : 0);
		ck_assert_mem_eq(buf, out + at, want);
	}
	/* Nothing that has been read is charged any more. */
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s.id, .gen = s.gen };
	struct chan_rep rep;
	ck_assert_int_eq(chan_call(&srv, 0, &req, &rep), 0);
	uint32_t rmem;
	memcpy(&rmem, rep.payload, sizeof(rmem));
	ck_assert_uint_eq(rmem, 0);
	/* Other senders and sizes stay apart; without the option all do. */
	struct end plain = rig_udp(&srv, ANY, 5001, 0);
	h = (struct chan_dgram){ .to = { .addr = RIG_ADDR, .port = 5001 }, .gso = 1000 };
	iov.iov_len = 2500;
	ck_assert_int_eq(chan_dgram_send(&cli, c.id, &h, &iov, 1), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(rig_recvfrom(plain, &h, buf, sizeof(buf)), i < 2 ? 1000 : 500);
		ck_assert_uint_eq(h.gso, 0);
	}
	down();
}
END_TEST

struct flood {
	struct end s;
	uint16_t port;
	uint32_t n;
};

static uint32_t flood_len(uint32_t i)
{
	return i % 50 == 0 ? CHAN_DGRAM_MAX - i % 1000 : 4 + (i * 2654435761u >> 8) % 3000;
}

static void *flood_send(void *arg)
{
	struct flood *f = arg;
	static uint8_t buf[65536];

	for (uint32_t i = 0; i < f->n;) {
		uint32_t seen = atomic_load(&end_a(f->s)->evseq), len = flood_len(i);

		memcpy(buf, &i, 4);
		memset(buf + 4, (int)(i & 255), len - 4);
		int err = rig_sendto(f->s, f->port, buf, len);
		ck_assert(err == 0 || err == -EAGAIN);
		if (err == 0)
			i++;
		else
			chan_sock_wait(f->s.app, f->s.id, seen, chan_now_ns() + NSEC_PER_SEC, NULL, 0);
	}
	return NULL;
}

/* Many more than the rings hold: they wrap, grow and are given back; what arrives is whole and in order. */
START_TEST(a_flood_arrives_whole_and_in_order)
{
	static uint8_t buf[65536];
	struct chan_dgram h;
	pthread_t t;
	uint32_t last = UINT32_MAX, got = 0;

	up((uint32_t)_i);
	struct end s = rig_udp(&srv, ANY, 5000, 0);
	struct flood f = { rig_udp(&cli, ANY, 5001, 0), 5000, 20000 };
	pthread_create(&t, NULL, flood_send, &f);
	for (;;) {
		size_t n = rig_recvfrom(s, &h, buf, sizeof(buf));
		uint32_t i;

		memcpy(&i, buf, 4);
		ck_assert_uint_lt(i, f.n);
		ck_assert(last == UINT32_MAX || i > last);
		ck_assert_uint_eq(n, flood_len(i));
		for (size_t at = 4; at < n; at += 97)
			ck_assert_uint_eq(buf[at], i & 255);
		if (n > 4)
			ck_assert_uint_eq(buf[n - 1], i & 255);
		last = i;
		got++;
		/* The last ones may be among the dropped: then all is accounted for. */
		if (chan_dgram_next_len(&srv, s.id) == -EAGAIN && rig->dgrams == f.n &&
		    got + end_a(s)->rx_drops == f.n)
			break;
	}
	pthread_join(t, NULL);
	ck_assert_uint_gt(end_a(f.s)->tx_nseg, 1);
	ck_assert_uint_gt(end_a(s)->rx_nseg, 1);
	down();
}
END_TEST

/* ---- a hostile application ---- */
enum { H_SIZE, H_LEN, H_GSO_LEN, H_FLAGS, H_SHORT, H_ALIGN, H_HEAD, H_HEAD_MIDDLE, H_ERRQ, H_CASES };

START_TEST(nonsense_in_a_record_is_a_violation)
{
	struct chan_dgram h = { .size = 112, .len = 16, .to = { .addr = RIG_ADDR, .port = 5002 } };
	struct chan_app bad;
	struct sock_mail m;

	up(1);
	struct client *cbad = rig_client(rig, &bad, NULL);
	struct end s = rig_udp(&bad, ANY, 5000, CHAN_O_RECVERR), c = rig_udp(&cli, ANY, 5002, 0);
	/* A good one first, both ways: now there are rings. */
	ck_assert_int_eq(rig_sendto(s, 5000, "x", 1), 0);
	RIG_WAIT(chan_rx_avail(end_a(s), end_b(s)) == 112);
	uint8_t *ring = (uint8_t *)bad.ext[end_a(s)->tx_seg[0].extent] + end_a(s)->tx_seg[0].off;
	uint32_t advance = 112;
	switch (_i) {
	case H_SIZE:
		h.size = 128;
		advance = 128;
		break;
	case H_LEN:
		h.len = CHAN_DGRAM_MAX + 1;
		h.size = advance = chan_dgram_size(h.len);
		break;
	case H_GSO_LEN:
		h.gso = 1;
		h.len = CHAN_DGRAM_MAX + 1;
		h.size = advance = chan_dgram_size(h.len);
		break;
	case H_FLAGS:
		h.flags = CHAN_DG_MULTICAST;
		break;
	case H_SHORT:
		advance = 48;
		break;
	case H_ALIGN:
		h.size = advance = 104;
		h.len = 8;
		break;
	case H_HEAD:
		advance = 0;
		end_b(s)->rx_head = 4096;
		break;
	case H_HEAD_MIDDLE:
		advance = 0;
		end_b(s)->rx_head = 16;
		break;
	case H_ERRQ:
		advance = 0;
		end_b(s)->errq_head = 112;
		ck_assert_int_eq(rig_sendto(s, 4000, "x", 1), 0);
		break;
	}
	if (advance)
		memcpy(ring + 112, &h, sizeof(h));
	atomic_fetch_add(&end_b(s)->tx_tail, advance);
	chan_mark(&bad, s.id);
	ck_assert(rig_control_mail(rig, SOCK_MAIL_VIOLATION, &m, 5000));
	ck_assert_ptr_eq(m.p, cbad);
	ck_assert_int_eq(chan_dgram_next_len(&cli, c.id), -EAGAIN);
	rig_client_end(rig, cbad, &bad);
	down();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("records");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_full_receive_buffer_drops, 0, ARRAY_LEN(limits));
	tcase_add_test(tc, a_full_send_buffer_asks_for_one_event);
	tcase_add_test(tc, a_port_that_is_behind_loses_nothing);
	tcase_add_loop_test(tc, errors_reach_connected_sockets_only, 1, 3);
	tcase_add_test(tc, what_could_not_be_sent_is_told);
	tcase_add_test(tc, equal_datagrams_of_a_burst_become_one);
	tcase_add_loop_test(tc, a_flood_arrives_whole_and_in_order, 1, 3);
	tcase_add_loop_test(tc, nonsense_in_a_record_is_a_violation, 0, H_CASES);
	return unit_run("records", tc);
}
