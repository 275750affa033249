/* Event sets of mTCP's interface: level, edge, one shot, what may be registered, waking and waiting. */
// SPDX-License-Identifier: MIT
#include "tests/mtcp/api.h"
#include "tests/unit/unit.h"

static int ep;

static void setup(void)
{
	api_setup();
	ep = mtcp_epoll_create(api_ctx, 16);
	ck_assert_int_ge(ep, 0);
}

static int control(int op, int id, uint32_t events)
{
	struct mtcp_epoll_event ev = { .events = events, .data.sockid = id };

	return mtcp_epoll_ctl(api_ctx, ep, op, id, &ev);
}

/* The events of one wait, of whichever descriptor is first; 0: none in time. */
static uint32_t wait_ms(int ms)
{
	struct mtcp_epoll_event ev[4];
	int n = mtcp_epoll_wait(api_ctx, ep, ev, 4, ms);

	ck_assert_int_ge(n, 0);
	return n ? ev[0].events : 0;
}
enum { LONG = 20000, MOMENT = 30 };

START_TEST(level_is_told_while_it_lasts)
{
	int a, b;
	char c[2];

	api_pair(&a, &b);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, b, MTCP_EPOLLIN), 0);
	ck_assert_uint_eq(wait_ms(0), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "xy", 2), 2);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	ck_assert_uint_eq(wait_ms(0), MTCP_EPOLLIN);
	ck_assert_int_eq(mtcp_read(api_ctx, b, c, 1), 1);
	ck_assert_uint_eq(wait_ms(0), MTCP_EPOLLIN);
	ck_assert_int_eq(api_read(api_ctx, b, c, 1), 1);
	ck_assert_uint_eq(wait_ms(0), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, a), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN); /* the end is read as 0 bytes */
	ck_assert_int_eq(mtcp_read(api_ctx, b, c, 1), 0);
}
END_TEST

START_TEST(edge_is_told_once)
{
	int a, b;
	char c[4];

	api_pair(&a, &b);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, b, MTCP_EPOLLIN | (uint32_t)MTCP_EPOLLET), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	ck_assert_uint_eq(wait_ms(MOMENT), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "y", 1), 1);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	ck_assert_int_eq(api_read(api_ctx, b, c, 2), 2);
	ck_assert_uint_eq(wait_ms(0), 0);
	/* What is there when it is registered, or registered anew, is news. */
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_MOD, b, MTCP_EPOLLOUT | (uint32_t)MTCP_EPOLLET), 0);
	ck_assert_uint_eq(wait_ms(0), MTCP_EPOLLOUT);
	ck_assert_uint_eq(wait_ms(MOMENT), 0);
}
END_TEST

START_TEST(one_shot_is_told_once_until_modified)
{
	int a, b;

	api_pair(&a, &b);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "x", 1), 1);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, b, MTCP_EPOLLIN | MTCP_EPOLLONESHOT), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	ck_assert_uint_eq(wait_ms(0), 0);
	ck_assert_int_eq(mtcp_write(api_ctx, a, "y", 1), 1);
	ck_assert_uint_eq(wait_ms(MOMENT), 0);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_MOD, b, MTCP_EPOLLIN | MTCP_EPOLLONESHOT), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
}
END_TEST

/* Nothing of a socket that is not connected; then room; of a listener who comes. */
START_TEST(connecting_shows_as_room_to_write)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at), id = mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0), v = 0;
	struct mtcp_epoll_event ev[4];
	socklen_t len = sizeof(v);

	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, id, MTCP_EPOLLIN | MTCP_EPOLLOUT), 0);
	ck_assert_uint_eq(wait_ms(0), 0);
	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&at, sizeof(at)), EINPROGRESS);
	ck_assert_int_eq(mtcp_epoll_wait(api_ctx, ep, ev, 4, LONG), 1);
	ck_assert_uint_eq(ev[0].events, MTCP_EPOLLOUT);
	ck_assert_int_eq(ev[0].data.sockid, id);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, id, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, 0);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_DEL, id, 0), 0);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, l, MTCP_EPOLLIN), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	ck_assert_int_ge(mtcp_accept(api_ctx, l, NULL, NULL), 0);
	ck_assert_uint_eq(wait_ms(0), 0);
}
END_TEST

START_TEST(a_failure_shows_as_an_error)
{
	struct sockaddr_in closed = api_addr(1);
	int id = mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0), a, b, v = 0;
	socklen_t len = sizeof(v);

	API_FAILS(mtcp_connect(api_ctx, id, (struct sockaddr *)&closed, sizeof(closed)), EINPROGRESS);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, id, MTCP_EPOLLOUT), 0);
	ck_assert_uint_ne(wait_ms(LONG) & MTCP_EPOLLERR, 0);
	ck_assert_int_eq(mtcp_getsockopt(api_ctx, id, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, ECONNREFUSED);
	ck_assert_int_eq(mtcp_close(api_ctx, id), 0);
	api_pair(&a, &b);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, b, MTCP_EPOLLIN), 0);
	ck_assert_int_eq(mtcp_abort(api_ctx, a), 0);
	ck_assert_uint_ne(wait_ms(LONG) & MTCP_EPOLLERR, 0);
}
END_TEST

/* The buffer is full, the other side reads: an event, with level as with edge. */
static void room_again(uint32_t how)
{
	static char buf[1 << 16];
	int a, b, small = 8192, tries = 20;
	size_t sent = 0, got = 0;

	api_pair(&a, &b);
	mtcp_setsockopt(api_ctx, a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	mtcp_setsockopt(api_ctx, b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, a, MTCP_EPOLLOUT | how), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLOUT);
	/* A probe of the closed window may make room once more. */
	do {
		sent += api_fill(api_ctx, a);
		ck_assert_int_gt(--tries, 0);
	} while (wait_ms(MOMENT));
	while (got < sent) {
		ssize_t r = api_read(api_ctx, b, buf, sent - got < sizeof(buf) ? sent - got : sizeof(buf));

		ck_assert_int_gt(r, 0);
		got += (size_t)r;
	}
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLOUT);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_DEL, a, 0), 0);
}

START_TEST(room_shows_again)
{
	room_again(0);
	room_again((uint32_t)MTCP_EPOLLET);
}
END_TEST

START_TEST(control_refuses_what_mtcp_refuses)
{
	struct mtcp_epoll_event ev = { .events = MTCP_EPOLLIN };
	int a, b, second = mtcp_epoll_create1(api_ctx, 0);

	api_pair(&a, &b);
	API_FAILS(mtcp_epoll_create(api_ctx, 0), EINVAL);
	API_FAILS(control(MTCP_EPOLL_CTL_MOD, a, MTCP_EPOLLIN), ENOENT);
	API_FAILS(control(MTCP_EPOLL_CTL_DEL, a, 0), ENOENT);
	API_FAILS(mtcp_epoll_ctl(api_ctx, ep, MTCP_EPOLL_CTL_ADD, a, NULL), EINVAL);
	API_FAILS(mtcp_epoll_ctl(api_ctx, a, MTCP_EPOLL_CTL_ADD, b, &ev), EINVAL);
	API_FAILS(mtcp_epoll_ctl(api_ctx, 99, MTCP_EPOLL_CTL_ADD, b, &ev), EBADF);
	API_FAILS(control(MTCP_EPOLL_CTL_ADD, 99, MTCP_EPOLLIN), EBADF);
	API_FAILS(control(MTCP_EPOLL_CTL_ADD, second, MTCP_EPOLLIN), EINVAL);
	API_FAILS(control(9, a, MTCP_EPOLLIN), EINVAL);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, a, MTCP_EPOLLIN), 0);
	API_FAILS(control(MTCP_EPOLL_CTL_ADD, a, MTCP_EPOLLIN), EEXIST);
	/* One set at a time. */
	API_FAILS(mtcp_epoll_ctl(api_ctx, second, MTCP_EPOLL_CTL_ADD, a, &ev), EEXIST);
	API_FAILS(mtcp_epoll_wait(api_ctx, a, &ev, 1, 0), EINVAL);
	API_FAILS(mtcp_epoll_wait(api_ctx, 99, &ev, 1, 0), EBADF);
	API_FAILS(mtcp_epoll_wait(api_ctx, ep, NULL, 1, 0), EINVAL);
	API_FAILS(mtcp_epoll_wait(api_ctx, ep, &ev, 0, 0), EINVAL);
}
END_TEST

START_TEST(what_is_closed_is_not_told)
{
	int a, b, c, d;

	api_pair(&a, &b);
	api_pair(&c, &d);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, i ? d : b, MTCP_EPOLLOUT), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, b), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLOUT);
	ck_assert_int_eq(mtcp_close(api_ctx, d), 0);
	ck_assert_uint_eq(wait_ms(0), 0);
	ck_assert_int_eq(mtcp_close(api_ctx, ep), 0);
	API_FAILS(mtcp_epoll_wait(api_ctx, ep, &(struct mtcp_epoll_event){ 0 }, 1, 0), EBADF);
}
END_TEST

START_TEST(every_event_of_many_is_told)
{
	enum { PAIRS = 100 };
	struct mtcp_epoll_event ev[16];
	int a[PAIRS], b[PAIRS], seen[PAIRS] = { 0 }, left = PAIRS;

	for (int i = 0; i < PAIRS; i++) {
		api_pair(&a[i], &b[i]);
		ev[0] = (struct mtcp_epoll_event){ .events = MTCP_EPOLLIN, .data.u32 = (uint32_t)i };
		ck_assert_int_eq(mtcp_epoll_ctl(api_ctx, ep, MTCP_EPOLL_CTL_ADD, b[i], ev), 0);
		ck_assert_int_eq(mtcp_write(api_ctx, a[i], "x", 1), 1);
	}
	while (left > 0) {
		int n = mtcp_epoll_wait(api_ctx, ep, ev, 16, LONG);

		ck_assert_int_gt(n, 0); /* level: those of the first round do not starve the others */
		for (int i = 0; i < n; i++)
			left -= !seen[ev[i].data.u32]++;
	}
}
END_TEST

START_TEST(a_wait_ends_in_time)
{
	uint64_t start = api_now_ms();

	ck_assert_uint_eq(wait_ms(50), 0);
	ck_assert_uint_ge(api_now_ms() - start, 50);
}
END_TEST

static void *write_later(void *arg)
{
	usleep(20000);
	ck_assert_int_eq(mtcp_write(api_ctx, *(int *)arg, "!", 1), 1);
	return NULL;
}

START_TEST(a_pipe_wakes_who_waits)
{
	pthread_t t;
	char c;
	int p[2];

	ck_assert_int_eq(mtcp_pipe(api_ctx, p), 0);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, p[0], MTCP_EPOLLIN), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, write_later, &p[1]), 0);
	ck_assert_uint_eq(wait_ms(LONG), MTCP_EPOLLIN);
	pthread_join(t, NULL);
	ck_assert_int_eq(mtcp_read(api_ctx, p[0], &c, 1), 1);
	ck_assert_uint_eq(wait_ms(0), 0);
	ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, p[1], MTCP_EPOLLOUT), 0);
	ck_assert_uint_eq(wait_ms(0), MTCP_EPOLLOUT);
	ck_assert_int_eq(mtcp_close(api_ctx, p[1]), 0);
	ck_assert_uint_eq(wait_ms(0), MTCP_EPOLLHUP);
}
END_TEST

enum { SPEAKERS = 4, WORDS = 5000 };
static void *speak(void *arg)
{
	for (int i = 0; i < WORDS; i++) {
		while (mtcp_write(api_ctx, *(int *)arg, "w", 1) != 1)
			sched_yield();
		if (i % 64 == 0)
			usleep(50); /* the other side goes to sleep now and then */
	}
	return NULL;
}

/* What there is, by a call that would wait or by one that may not. */
static ssize_t read_now(int id, char *buf, size_t len, bool blocking)
{
	ssize_t r;

	if (!blocking)
		return mtcp_read(api_ctx, id, buf, len);
	ck_assert_int_eq(mtcp_socket_ioctl(api_ctx, id, FIONBIO, &(int){ 0 }), 0);
	r = mtcp_recv(api_ctx, id, buf, len, MSG_DONTWAIT);
	ck_assert_int_eq(mtcp_setsock_nonblock(api_ctx, id), 0);
	return r;
}

/* No wake-up is lost, by level nor by edge, and none while the reader changes its end. */
START_TEST(threads_wake_who_waits)
{
	uint32_t how = _i & 1 ? (uint32_t)MTCP_EPOLLET : 0;
	struct mtcp_epoll_event ev[SPEAKERS];
	pthread_t t[SPEAKERS];
	int p[SPEAKERS][2];
	char buf[256];
	long got = 0;

	for (int i = 0; i < SPEAKERS; i++) {
		ck_assert_int_eq(mtcp_pipe(api_ctx, p[i]), 0);
		ck_assert_int_eq(control(MTCP_EPOLL_CTL_ADD, p[i][0], MTCP_EPOLLIN | how), 0);
	}
	for (int i = 0; i < SPEAKERS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, speak, &p[i][1]), 0);
	while (got < (long)SPEAKERS * WORDS) {
		int n = mtcp_epoll_wait(api_ctx, ep, ev, SPEAKERS, LONG);
		ssize_t r;

		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++)
			while ((r = read_now(ev[i].data.sockid, buf, sizeof(buf), _i & 2)) > 0)
				got += r;
	}
	for (int i = 0; i < SPEAKERS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(got, (long)SPEAKERS * WORDS);
	ck_assert_uint_eq(wait_ms(0), 0);
}
END_TEST

START_TEST(events_have_names)
{
	ck_assert_str_eq(EventToString(MTCP_EPOLLIN), "IN");
	ck_assert_str_eq(EventToString(MTCP_EPOLLRDHUP), "RDHUP");
	ck_assert_str_eq(EventToString(MTCP_EPOLLNONE), "NONE");
	ck_assert_str_eq(EventToString(0x12345), "?");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("epoll");

	tcase_add_checked_fixture(t, setup, api_teardown);
	tcase_add_test(t, level_is_told_while_it_lasts);
	tcase_add_test(t, edge_is_told_once);
	tcase_add_test(t, one_shot_is_told_once_until_modified);
	tcase_add_test(t, connecting_shows_as_room_to_write);
	tcase_add_test(t, a_failure_shows_as_an_error);
	tcase_add_test(t, room_shows_again);
	tcase_add_test(t, control_refuses_what_mtcp_refuses);
	tcase_add_test(t, what_is_closed_is_not_told);
	tcase_add_test(t, every_event_of_many_is_told);
	tcase_add_test(t, a_wait_ends_in_time);
	tcase_add_test(t, a_pipe_wakes_who_waits);
	tcase_add_test(t, events_have_names);
	tcase_add_loop_test(t, threads_wake_who_waits, 0, 4);
	return unit_run("mtcp_epoll", t);
}
