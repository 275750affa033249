/* Messages with descriptors, and attaching to an engine that speaks well or badly. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "stack/chan/app.h"
#include "stack/chan/layout_d.h"

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(message_carries_text_descriptors_and_sender)
{
	struct chan_msg m = { .type = CHAN_MSG_REFUSED, .err = EPERM, .len = 5, .text = "hello" };
	struct chan_msg got;
	struct chan_creds cr;
	int sv[2], p[2], fds[2], one = 1;
	unsigned n = 2;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(chan_msg_send(sv[0], &m, p, 2), 0);
	memset(&got, 0xaa, sizeof(got));
	ck_assert_int_eq(chan_msg_recv(sv[1], &got, fds, &n, &cr), 1);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(got.err, EPERM);
	ck_assert_str_eq(got.text, "hello");
	ck_assert_int_eq(cr.pid, getpid());
	ck_assert(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	/* room for one only: the other is closed, not leaked */
	ck_assert_int_eq(chan_msg_send(sv[0], &m, p, 2), 0);
	close(fds[0]);
	close(fds[1]);
	n = 1;
	int before = open_fds();
	ck_assert_int_eq(chan_msg_recv(sv[1], &got, fds, &n, NULL), 1);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(open_fds(), before + 1);
	close(sv[0]);
	ck_assert_int_eq(chan_msg_recv(sv[1], &got, NULL, NULL, NULL), 0);
}
END_TEST

START_TEST(short_and_lying_messages_are_refused)
{
	struct chan_msg m = { .type = CHAN_MSG_HELLO, .len = 100 };
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ck_assert_int_eq(write(sv[0], "x", 1), 1);
	ck_assert_int_eq(chan_msg_recv(sv[1], &m, NULL, NULL, NULL), -EPROTO);
	m.len = 100;
	ck_assert_int_eq(write(sv[0], &m, offsetof(struct chan_msg, text) + 50),
			 (ssize_t)offsetof(struct chan_msg, text) + 50);
	ck_assert_int_eq(chan_msg_recv(sv[1], &m, NULL, NULL, NULL), -EPROTO);
}
END_TEST

START_TEST(high_descriptor_is_just_below_the_limit)
{
	struct rlimit rl = { 256, 256 };

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	int fd = chan_fd_high(dup(0));
	ck_assert_int_ge(fd, 224);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

/* ---- a tiny engine ---- */
enum answer { ANSWER_GOOD, ANSWER_REFUSE, ANSWER_VERSION, ANSWER_HANG_UP, ANSWERS };
static struct {
	int listen_fd;
	enum answer answer;
	struct region e, a, b, d, p;
	char path[108];
} eng;

static void engine_open(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/test-hello-%d.sock", getpid());
	strcpy(eng.path, sa.sun_path);
	unlink(eng.path);
	eng.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(eng.listen_fd, (void *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(eng.listen_fd, 1), 0);
	region_create(&eng.e, "e", 1 << 16, REGION_DOWN);
	region_create(&eng.a, "a", 1 << 20, REGION_DOWN);
	region_create(&eng.b, "b", (chan_b_size(1) + 4095) & ~4095ull, REGION_UP);
	region_create(&eng.d, "d", CHAN_D_SIZE, REGION_UP);
	region_create(&eng.p, "p", 1 << 20, REGION_DOWN);
	struct chan_engine *e = eng.e.base;
	struct chan_a *a = eng.a.base;
	*e = (struct chan_engine){ .magic = CHAN_MAGIC, .version = CHAN_VERSION, .n_workers = 1 };
	*a = (struct chan_a){ .magic = CHAN_MAGIC, .version = CHAN_VERSION, .n_workers = 1,
			      .off_call = 4096, .off_sock = 8192, .off_evq = 16384,
			      .size = 1 << 20 };
}

static void *engine_main(void *arg)
{
	struct chan_msg m;
	int fd = accept(eng.listen_fd, NULL, NULL);
	int fds[5] = { eng.e.fd, eng.a.fd, eng.b.fd, eng.d.fd, eventfd(0, 0) };

	ck_assert_int_eq(chan_msg_recv(fd, &m, NULL, NULL, NULL), 1);
	ck_assert_uint_eq(m.type, CHAN_MSG_HELLO);
	ck_assert_uint_eq(m.netns, chan_netns());
	struct chan_msg re = { .type = CHAN_MSG_WELCOME, .version = CHAN_VERSION, .number = 3 };
	if (eng.answer == ANSWER_REFUSE)
		re = (struct chan_msg){ .type = CHAN_MSG_REFUSED, .err = EACCES, .len = 4,
					.text = "nope" };
	if (eng.answer == ANSWER_VERSION)
		re.version = 99;
	if (eng.answer != ANSWER_HANG_UP)
		chan_msg_send(fd, &re, fds, eng.answer == ANSWER_REFUSE ? 0 : 5);
	while (eng.answer == ANSWER_GOOD && chan_msg_recv(fd, &m, NULL, NULL, NULL) == 1) {
		m.kind = 0;
		m.err = m.number == 5 ? 0 : EINVAL;
		chan_msg_send(fd, &m, &eng.p.fd, m.err == 0);
	}
	close(fds[4]);
	close(fd);
	return NULL;
}

START_TEST(attach_takes_a_good_engine_and_no_other)
{
	static const int want[ANSWERS] = { 0, -EACCES, -EPROTO, -ECONNREFUSED };
	static struct chan_app app;
	char text[32];
	pthread_t t;

	engine_open();
	int before = open_fds();
	eng.answer = (enum answer)_i;
	pthread_create(&t, NULL, engine_main, NULL);
	int err = chan_app_attach(&app, eng.path, text, sizeof(text));
	ck_assert_int_eq(err, want[_i]);
	ck_assert_str_eq(text, _i == ANSWER_REFUSE ? "nope" : "");
	if (err == 0) {
		ck_assert_uint_eq(app.proc, 3);
		ck_assert(chan_alive(&app));
		strcpy(eng.p.base, "payload");
		ck_assert_str_eq(chan_extent(&app, 5), "payload");
		ck_assert_ptr_eq(chan_extent(&app, 5), chan_extent(&app, 5));
		ck_assert_ptr_null(chan_extent(&app, 6));
		ck_assert_ptr_null(chan_extent(&app, CHAN_MAX_EXTENTS));
		chan_hold(&app, 77);
		ck_assert(chan_holds(&app, 77));
		ck_assert(!chan_holds(&app, 78));
		chan_app_detach(&app);
	}
	pthread_join(t, NULL);
	ck_assert_int_eq(open_fds(), before); /* nothing leaked */
	unlink(eng.path);
}
END_TEST

START_TEST(no_engine_is_said_as_the_kernel_says_it)
{
	static struct chan_app app;

	ck_assert_int_eq(chan_app_attach(&app, "/tmp/no/such/socket", NULL, 0), -ENOENT);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("hello");

	tcase_add_test(tc, message_carries_text_descriptors_and_sender);
	tcase_add_test(tc, short_and_lying_messages_are_refused);
	tcase_add_test(tc, high_descriptor_is_just_below_the_limit);
	tcase_add_loop_test(tc, attach_takes_a_good_engine_and_no_other, 0, ANSWERS);
	tcase_add_test(tc, no_engine_is_said_as_the_kernel_says_it);
	return unit_run("hello", tc);
}
