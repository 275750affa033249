/* Datagrams in the rings against a hand-made engine's half: readiness as Linux's udp_poll(), records across
 * the wrap and across segments, peeking, the error queue, room, and two threads at once. Growth of
 * the send ring is tested with an engine behind it in tests/unit/sock. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include "stack/chan/dgram.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"

enum {
	IN = EPOLLIN | EPOLLRDNORM,
	OUT = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND,
	WR = CHAN_B_SHUT_WR,
	RD = CHAN_B_SHUT_RD,
	SNDBUF = 8192, /* half of sk_sndbuf */
};
static const struct {
	const char *name;
	uint32_t fb, unread, used, err, errq, zc, want;
} ready[] = {
	{ "idle", 0, 0, 0, 0, 0, 0, OUT },
	{ "datagram", 0, 96, 0, 0, 0, 0, IN | OUT },
	{ "below half", 0, 0, SNDBUF - 1, 0, 0, 0, OUT },
	{ "half", 0, 0, SNDBUF, 0, 0, 0, 0 },
	{ "full", 0, 0, 2 * SNDBUF, 0, 0, 0, 0 },
	{ "shut rd", RD, 0, 0, 0, 0, 0, IN | OUT | EPOLLRDHUP },
	{ "shut wr", WR, 0, 0, 0, 0, 0, OUT },
	{ "both shut", RD | WR, 0, SNDBUF, 0, 0, 0, IN | EPOLLRDHUP | EPOLLHUP },
	{ "error", 0, 0, 0, ECONNREFUSED, 0, 0, OUT | EPOLLERR },
	{ "error queue", 0, 0, 0, 0, 96, 0, OUT | EPOLLERR },
	{ "completion", 0, 0, 0, 0, 0, 1, OUT | EPOLLERR },
};

START_TEST(readiness_is_linux_s)
{
	struct chan_sock_a a = { .sndbuf = SNDBUF, .flags = CHAN_A_DGRAM };
	struct chan_sock_b b = { .rcvlowat = 1 << 20 }; /* of no consequence */

	a.rx_tail = 0xfffffff0u + ready[_i].unread;
	b.rx_head = 0xfffffff0u;
	a.tx_una = 0xfffffff0u;
	b.tx_tail = 0xfffffff0u + ready[_i].used;
	a.errq_tail = ready[_i].errq;
	b.flags = ready[_i].fb;
	b.zc_next = ready[_i].zc;
	a.err = ready[_i].err;
	a.err_seq = ready[_i].err != 0;
	for (uint32_t state = CHAN_ST_OPEN; state <= CHAN_ST_CONNECTED; state += 2) {
		a.state = state;
		ck_assert_msg(chan_readiness(&a, &b) == ready[_i].want, "%s: %#x, not %#x",
			      ready[_i].name, chan_readiness(&a, &b), ready[_i].want);
	}
}
END_TEST

/* What a stream shows of its error queue and its completions. */
START_TEST(streams_show_the_error_queue)
{
	struct chan_sock_a a = { .sndbuf = SNDBUF, .state = CHAN_ST_CONNECTED };
	struct chan_sock_b b = { 0 };

	ck_assert_uint_eq(chan_readiness(&a, &b), EPOLLOUT | EPOLLWRNORM);
	b.zc_next = 1;
	ck_assert_uint_eq(chan_readiness(&a, &b), EPOLLOUT | EPOLLWRNORM | EPOLLERR);
	b.zc_told = 1;
	a.flags = CHAN_A_ERRQ;
	ck_assert_uint_eq(chan_readiness(&a, &b), EPOLLOUT | EPOLLWRNORM);
	a.errq_tail = 96;
	ck_assert_uint_eq(chan_readiness(&a, &b), EPOLLOUT | EPOLLWRNORM | EPOLLERR);
}
END_TEST

/* ---- one socket and one extent, by hand ---- */
enum { TX_SIZE = 16384, ERRQ_SIZE = 4096, RX_OFF = 32768, EXT = 131072 };
static struct chan_engine eng;
static struct chan_a ca;
static struct chan_sock_a a;
static struct chan_sock_b b;
static _Alignas(16) uint8_t ext[EXT];
static union {
	struct chan_b b;
	uint8_t room[sizeof(struct chan_b) + sizeof(struct chan_dirty)];
} up;
static struct chan_app app = { .e = &eng, .a = &ca, .sock_a = &a, .sock_b = &b, .b = &up.b,
			       .n_workers = 1 };

static void setup(void)
{
	memset((void *)&a, 0, sizeof(a));
	memset((void *)&b, 0, sizeof(b));
	app.ext[0] = ext;
	a.sndbuf = SNDBUF;
	a.flags = CHAN_A_DGRAM;
	a.tx_seg[0] = (struct chan_seg){ 0, TX_SIZE, 0, 0 };
	a.tx_nseg = 1;
}

static void fill(uint8_t *p, size_t n, uint32_t salt)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + salt);
}
static bool is_filled(const uint8_t *p, size_t n, uint32_t salt)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != (uint8_t)(i * 7 + salt))
			return false;
	}
	return true;
}

/* The engine's side of the receive ring: byte by byte, so that it can't share a mistake. */
static uint8_t *rx_byte(uint32_t pos)
{
	for (uint32_t i = a.rx_nseg; i-- > 0;) {
		const struct chan_seg *s = &a.rx_seg[i % CHAN_SEGS];

		if ((int32_t)(pos - s->start) >= 0)
			return ext + s->off + ((pos - s->start) & (s->size - 1));
	}
	return NULL;
}
static void rx_bytes(uint32_t pos, const void *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		*rx_byte(pos + i) = ((const uint8_t *)p)[i];
}
static uint32_t rx_record(uint32_t pos, uint32_t len, uint32_t salt)
{
	struct chan_dgram h = { .size = chan_dgram_size(len), .len = len, .info = salt };
	uint8_t data[4096];

	fill(data, len, salt);
	rx_bytes(pos, &h, sizeof(h));
	rx_bytes(pos + (uint32_t)sizeof(h), data, len);
	return pos + h.size;
}

START_TEST(records_cross_segments_and_the_wrap)
{
	uint32_t at = 0xffffff00u, second = 0x100; /* positions wrap in the third record */
	uint8_t x[30], y[1000];
	struct iovec iov[2] = { { x, sizeof(x) }, { y, sizeof(y) } };
	struct chan_dgram h;

	setup();
	/* The first ring ends in the middle of a record that goes on in the second, as a coalesced one's. */
	a.rx_seg[0] = (struct chan_seg){ at - 4096 + 64, 1024, 0, RX_OFF };
	a.rx_seg[1] = (struct chan_seg){ second, 4096, 0, RX_OFF + 8192 };
	a.rx_nseg = 2;
	b.rx_head = at;
	uint32_t end = rx_record(at, 17, 1);
	end = rx_record(end, 0, 2);
	end = rx_record(end, 900, 3);
	end = rx_record(end, 200, 4);
	a.rx_tail = end;
	ck_assert_int_eq(chan_dgram_next_len(&app, 0), 17);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 2, CHAN_DG_PEEK, -1), 17);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 2, CHAN_DG_PEEK, 5), 12);
	ck_assert(is_filled(x, 12, 1 + 5 * 7));
	/* Past the first and the empty one into the third. */
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 1, CHAN_DG_PEEK, 117), 30);
	ck_assert_uint_eq(h.info, 3);
	ck_assert(is_filled(x, 30, 3 + 100 * 7));
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 1, CHAN_DG_PEEK, 1117), -EAGAIN);
	ck_assert_uint_eq(b.rx_head, at);

	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 2, 0, -1), 17);
	ck_assert(is_filled(x, 17, 1));
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 2, 0, -1), 0);
	ck_assert_uint_eq(h.info, 2);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 2, 0, -1), 900);
	ck_assert(is_filled(x, 30, 3));
	ck_assert(is_filled(y, 870, 3 + 30 * 7));
	/* Too small a buffer: the rest is lost, its length is told. */
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 1, 0, -1), 30);
	ck_assert_uint_eq(h.len, 200);
	ck_assert_uint_eq(b.rx_head, end);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, iov, 1, 0, -1), -EAGAIN);
	ck_assert_int_eq(chan_dgram_next_len(&app, 0), -EAGAIN);
}
END_TEST

START_TEST(impossible_headers_are_not_followed)
{
	static const struct {
		uint32_t size, len;
	} bad[] = { { 0, 0 }, { 80, 0 }, { 112, 17 }, { 4096, 10 }, { UINT32_MAX - 15, 4 },
		    { 112, UINT32_MAX } };
	uint8_t x[64];
	struct iovec iov = { x, sizeof(x) };
	struct chan_dgram h;

	setup();
	a.rx_seg[0] = (struct chan_seg){ 0, 4096, 0, RX_OFF };
	a.rx_nseg = 1;
	a.rx_tail = 256;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		h = (struct chan_dgram){ .size = bad[i].size, .len = bad[i].len };
		rx_bytes(0, &h, sizeof(h));
		ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, 0, -1), -ENOBUFS);
		ck_assert_int_eq(chan_dgram_next_len(&app, 0), -ENOBUFS);
	}
	a.rx_nseg = 0;
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, 0, -1), -ENOBUFS);
	ck_assert_uint_eq(b.rx_head, 0);
}
END_TEST

static void errq_put(uint8_t origin, int err, uint32_t len)
{
	struct chan_dgram h = { .size = chan_dgram_size(len), .len = len, .origin = origin,
				.err = (uint32_t)err };

	memcpy(ext + RX_OFF + a.errq_tail % ERRQ_SIZE, &h, sizeof(h));
	a.errq_tail += h.size;
	if (origin == SO_EE_ORIGIN_ICMP) {
		a.err = (uint32_t)err;
		a.err_seq++;
	}
}

START_TEST(the_last_icmp_error_read_clears_the_pending_one)
{
	struct iovec iov = { NULL, 0 };
	struct chan_dgram h;

	setup();
	a.errq = (struct chan_seg){ 0, ERRQ_SIZE, 0, RX_OFF };
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, CHAN_DG_ERRQ, -1), -EAGAIN);
	errq_put(SO_EE_ORIGIN_ICMP, ECONNREFUSED, 4);
	errq_put(SO_EE_ORIGIN_ICMP, EHOSTUNREACH, 0);
	errq_put(SO_EE_ORIGIN_LOCAL, EMSGSIZE, 0);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, CHAN_DG_ERRQ, -1), 0);
	ck_assert_uint_eq(h.err, ECONNREFUSED);
	ck_assert_uint_eq(h.len, 4);
	ck_assert(chan_has_error(&a, &b));
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, CHAN_DG_ERRQ, -1), 0);
	ck_assert_uint_eq(h.err, EHOSTUNREACH);
	ck_assert(!chan_has_error(&a, &b));
	ck_assert_uint_eq(chan_readiness(&a, &b) & EPOLLERR, EPOLLERR);
	ck_assert_int_eq(chan_dgram_recv(&app, 0, &h, &iov, 1, CHAN_DG_ERRQ, -1), 0);
	ck_assert_uint_eq(h.err, EMSGSIZE);
	ck_assert_uint_eq(chan_readiness(&a, &b) & EPOLLERR, 0);
}
END_TEST

START_TEST(a_datagram_is_queued_whole_or_not_at_all)
{
	static uint8_t data[2 * CHAN_DGRAM_MAX];
	struct iovec iov[2] = { { data, 1000 }, { data + 1000, 3000 } };
	struct chan_dgram h = { .ttl = 7 }, got;

	setup();
	ca.detached = 1; /* no engine to grow the ring */
	fill(data, sizeof(data), 0);
	a.tx_una = b.tx_tail = 8192; /* the third record wraps */
	for (int i = 0; i < 3; i++) {
		uint32_t at = b.tx_tail;

		ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 2), 0);
		ck_assert_uint_eq(b.tx_tail, at + 4096);
		memcpy(&got, ext + at % TX_SIZE, sizeof(got));
		ck_assert_uint_eq(got.size, 4096);
		ck_assert_uint_eq(got.len, 4000);
		ck_assert_uint_eq(got.ttl, 7);
		for (uint32_t j = 0; j < 4000; j++)
			ck_assert_uint_eq(ext[(at + 96 + j) % TX_SIZE], data[j]);
	}
	ck_assert_uint_eq(up.b.dirty[0].low[0], 1);
	/* 12288 under way: the next one goes while it fits, and then none. */
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 2), 0);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), -EAGAIN);
	ck_assert_uint_eq(b.flags, CHAN_B_TX_WAIT);
	a.tx_una = b.tx_tail;
	/* Larger than the ring, which can't grow. */
	iov[0].iov_len = TX_SIZE;
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), -ENOTCONN);
	iov[0].iov_len = 0;
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), 0);
	ck_assert_uint_eq(b.tx_tail - a.tx_una, 96);
	ca.detached = 0;
}
END_TEST

START_TEST(too_long_and_nonsense_are_refused)
{
	static uint8_t data[65536];
	struct iovec iov[3] = { { data, CHAN_DGRAM_MAX }, { data, 1 }, { data, SIZE_MAX } };
	struct chan_dgram h = { 0 };

	setup();
	a.sndbuf = 1 << 17;
	a.tx_seg[0].size = EXT;
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 2), -EMSGSIZE);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 3), -EMSGSIZE);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, -1), -EINVAL);
	ck_assert_uint_eq(b.tx_tail, 0);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), 0);
	/* No more with segmentation. */
	a.tx_una = b.tx_tail;
	h.gso = 1000;
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 2), -EMSGSIZE);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), 0);
	chan_lock(&b.tx_lock);
	ck_assert_int_eq(chan_dgram_send(&app, 0, &h, iov, 1), -EDEADLK);
	chan_unlock(&b.tx_lock);
}
END_TEST

/* ---- two threads: what one sends a relay moves into the receive ring, which changes its segment ---- */
enum { STRESS = 60000, RX_SIZE = 8192 };

static uint32_t stress_len(uint32_t i) { return (i * 2654435761u >> 16) % 1400; }

static void *relay(void *arg)
{
	uint32_t una = 0, tail = 0, seg = 1;
	uint8_t rec[2048];

	for (uint32_t done = 0; done < STRESS;) {
		struct chan_dgram h;

		if (atomic_load_explicit(&b.tx_tail, memory_order_acquire) == una) {
			sched_yield();
			continue;
		}
		for (uint32_t i = 0; i < sizeof(h); i++)
			((uint8_t *)&h)[i] = ext[(una + i) % TX_SIZE];
		ck_assert_uint_le(h.size, sizeof(rec));
		for (uint32_t i = 0; i < h.size; i++)
			rec[i] = ext[(una + i) % TX_SIZE];
		/* Both rings lie in the reader's past: wait until it has read on. */
		while (tail + h.size - atomic_load_explicit(&b.rx_head, memory_order_acquire) > RX_SIZE)
			sched_yield();
		if (done % 97 == 0 &&
		    (int32_t)(b.rx_head - a.rx_seg[(seg - 1) % CHAN_SEGS].start) >= 0) {
			a.rx_seg[seg % CHAN_SEGS] = (struct chan_seg){
				tail, RX_SIZE, 0, RX_OFF + (seg % CHAN_SEGS) * RX_SIZE };
			atomic_store_explicit(&a.rx_nseg, ++seg, memory_order_release);
		}
		rx_bytes(tail, rec, h.size);
		tail += h.size;
		una += h.size;
		atomic_store_explicit(&a.rx_tail, tail, memory_order_release);
		atomic_store_explicit(&a.tx_una, una, memory_order_release);
		done++;
	}
	return NULL;
}

static void *sender(void *arg)
{
	uint8_t data[1400];

	for (uint32_t i = 0; i < STRESS;) {
		uint32_t len = stress_len(i);
		struct iovec iov[2] = { { data, len / 3 }, { data + len / 3, len - len / 3 } };
		struct chan_dgram h = { .info = i };

		fill(data, len, i);
		int err = chan_dgram_send(&app, 0, &h, iov, 2);
		ck_assert(err == 0 || err == -EAGAIN);
		if (err)
			sched_yield();
		else
			i++;
	}
	return NULL;
}

START_TEST(two_threads_and_the_wrap)
{
	uint8_t data[1400];
	struct iovec iov = { data, sizeof(data) };
	struct chan_dgram h;
	pthread_t t[2];

	setup();
	a.sndbuf = TX_SIZE / 2 - 1024; /* less than the ring, so that a full one never asks to grow */
	a.rx_seg[0] = (struct chan_seg){ 0, RX_SIZE, 0, RX_OFF };
	a.rx_nseg = 1;
	pthread_create(&t[0], NULL, relay, NULL);
	pthread_create(&t[1], NULL, sender, NULL);
	for (uint32_t i = 0; i < STRESS;) {
		ssize_t n = chan_dgram_recv(&app, 0, &h, &iov, 1, i % 5 == 0 ? CHAN_DG_PEEK : 0, -1);

		if (n >= 0 && i % 5 == 0)
			n = chan_dgram_recv(&app, 0, &h, &iov, 1, 0, -1);
		if (n == -EAGAIN) {
			sched_yield();
			continue;
		}
		ck_assert_int_eq(n, stress_len(i));
		ck_assert_uint_eq(h.info, i);
		ck_assert(is_filled(data, (size_t)n, i));
		i++;
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dgram");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, readiness_is_linux_s, 0, ARRAY_LEN(ready));
	tcase_add_test(tc, streams_show_the_error_queue);
	tcase_add_test(tc, records_cross_segments_and_the_wrap);
	tcase_add_test(tc, impossible_headers_are_not_followed);
	tcase_add_test(tc, the_last_icmp_error_read_clears_the_pending_one);
	tcase_add_test(tc, a_datagram_is_queued_whole_or_not_at_all);
	tcase_add_test(tc, too_long_and_nonsense_are_refused);
	tcase_add_test(tc, two_threads_and_the_wrap);
	return unit_run("dgram", tc);
}
