/* Starting an engine: what the program may and may not notice. The engine is a shell script here
 * that writes down what it was given. */
// SPDX-License-Identifier: MIT
#include "stack/chan/start.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/unit/unit.h"

static char dir[64], engine[96], report[96], sock_path[96];
static volatile sig_atomic_t children;

static void on_child(int sig) { children++; }

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/fastnet-start-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(engine, sizeof(engine), "%s/fastnetd", dir);
	snprintf(report, sizeof(report), "%s/report", dir);
	snprintf(sock_path, sizeof(sock_path), "%s/sock", dir);
	children = 0;
	signal(SIGCHLD, on_child);
}

static void teardown(void)
{
	unlink(engine);
	unlink(report);
	unlink(sock_path);
	rmdir(dir);
}

/* body runs with the report open on descriptor 9 and the ready pipe on 3. */
static void make_engine(const char *body)
{
	FILE *f = fopen(engine, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "#!/bin/sh\nexec 9>%s\n%s\n", report, body);
	fclose(f);
	ck_assert_int_eq(chmod(engine, 0755), 0);
}

static int start_with(char *const *envp, uint32_t timeout_ms, char *err)
{
	const struct chan_start s = { .engine = engine, .socket = sock_path, .envp = envp,
				      .timeout_ms = timeout_ms };

	return chan_engine_start(&s, err);
}

static const char *read_report(void)
{
	static char text[8192];
	FILE *f = fopen(report, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	return text;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void assert_unnoticed(int fds_before)
{
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(children, 0);
	ck_assert_int_eq(count_fds(), fds_before);
}

START_TEST(a_started_engine_is_not_noticed)
{
	char err[CHAN_START_ERR_MAX];
	int fds = count_fds();
	sigset_t before, after;

	make_engine("echo ok >&3; sleep 0.2");
	sigprocmask(SIG_SETMASK, NULL, &before);
	ck_assert_int_eq(start_with(NULL, 5000, err), 0);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(memcmp(&before, &after, sizeof(long)), 0);
	assert_unnoticed(fds);
	usleep(300000); /* its end neither */
	assert_unnoticed(fds);
}
END_TEST

START_TEST(nor_by_a_subreaper)
{
	char err[CHAN_START_ERR_MAX];
	int fds = count_fds();

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	make_engine("echo ok >&3; sleep 0.1");
	ck_assert_int_eq(start_with(NULL, 5000, err), 0);
	assert_unnoticed(fds);
	usleep(250000);
	assert_unnoticed(fds);
}
END_TEST

START_TEST(the_engine_inherits_no_descriptor)
{
	char err[CHAN_START_ERR_MAX];
	int p[2];

	ck_assert_int_eq(pipe(p), 0); /* without CLOEXEC, as a shell's $(...) is */
	make_engine("ls /proc/self/fd | tr '\\n' ' ' >&9\n"
		    "for i in 0 1 2; do [ /dev/fd/$i -ef /dev/null ] && echo null$i >&9; done\n"
		    "echo ok >&3; exec sleep 1");
	ck_assert_int_eq(start_with(NULL, 5000, err), 0);
	/* 4 is what ls itself has open, 9 the report */
	ck_assert_str_eq(read_report(), "0 1 2 3 4 9 null0\nnull1\nnull2\n");
	close(p[1]);
	char c;
	ck_assert_int_eq(read(p[0], &c, 1), 0); /* end of file at once */
	close(p[0]);
}
END_TEST

START_TEST(the_engine_gets_only_our_variables)
{
	char err[CHAN_START_ERR_MAX];
	char *const envp[] = { "LD_PRELOAD=/nowhere.so", "FASTNET_PORT=none", "HOME=/x",
			       "FASTNET_EXPLAIN_FD=7", "FASTNET_ADDR=10.0.0.2/24", NULL };

	make_engine("env >&9; echo ok >&3");
	ck_assert_int_eq(start_with(envp, 5000, err), 0);
	const char *r = read_report();
	ck_assert_ptr_nonnull(strstr(r, "FASTNET_PORT=none\n"));
	ck_assert_ptr_nonnull(strstr(r, "FASTNET_ADDR=10.0.0.2/24\n"));
	ck_assert_ptr_null(strstr(r, "LD_PRELOAD"));
	ck_assert_ptr_null(strstr(r, "EXPLAIN"));
	ck_assert_ptr_null(strstr(r, "HOME"));
}
END_TEST

START_TEST(signals_and_limits_are_reset)
{
	char err[CHAN_START_ERR_MAX];
	sigset_t all;

	make_engine(
		"grep -E 'SigBlk|SigIgn' /proc/self/status >&9; pwd >&9; ulimit -t >&9; echo ok >&3");
	signal(SIGHUP, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	ck_assert_int_eq(start_with(NULL, 5000, err), 0);
	const char *r = read_report();
	ck_assert_msg(strstr(r, "SigBlk:\t0000000000000000"), "%s", r);
	ck_assert_ptr_nonnull(strstr(r, "SigIgn:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(r, "\n/\n"));
	ck_assert_ptr_nonnull(strstr(r, "unlimited"));
}
END_TEST

static const struct {
	const char *body;
	int err;
	const char *says;
} failures[] = {
	{ "echo 'error: port x: no such device' >&3; exit 1", ECONNREFUSED,
	  "port x: no such device" },
	{ "exit 1", ECONNREFUSED, "without a word" },
	{ "kill -9 $$", ECONNREFUSED, "without a word" },
	{ "exec 3>&-; exec sleep 1", ECONNREFUSED, "without a word" },
	{ "exec sleep 1", ETIMEDOUT, "did not become ready" },
	{ "echo busy >&3", ETIMEDOUT, "another engine" },
};

START_TEST(a_failed_start_says_why_and_leaves_nothing)
{
	char err[CHAN_START_ERR_MAX];
	int fds = count_fds();

	make_engine(failures[_i].body);
	ck_assert_int_eq(start_with(NULL, 500, err), -failures[_i].err);
	ck_assert_msg(strstr(err, failures[_i].says), "%s", err);
	assert_unnoticed(fds);
}
END_TEST

START_TEST(an_engine_that_can_not_be_run_is_named)
{
	char err[CHAN_START_ERR_MAX];

	ck_assert_int_eq(start_with(NULL, 500, err), -ENOENT); /* no such file */
	ck_assert_ptr_nonnull(strstr(err, "FASTNET_ENGINE"));
	FILE *f = fopen(engine, "w");
	fputs("not a program", f);
	fclose(f);
	chmod(engine, 0755);
	ck_assert_int_eq(start_with(NULL, 500, err), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(err, engine));
}
END_TEST

START_TEST(the_loser_of_the_race_waits_for_the_winner)
{
	char err[CHAN_START_ERR_MAX];
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fds = count_fds();

	make_engine("echo busy >&3");
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", sock_path);
	pid_t winner = fork();
	if (winner == 0) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		usleep(150000);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 5) < 0)
			_exit(1);
		usleep(500000);
		_exit(0);
	}
	ck_assert_int_eq(start_with(NULL, 5000, err), 0);
	ck_assert_str_eq(err, "");
	ck_assert_int_eq(waitpid(winner, NULL, 0), winner);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(paths_carry_the_namespace_and_the_configured_one_stands_alone)
{
	struct chan_paths p;
	struct stat st;
	char want[64];

	ck_assert_int_eq(stat("/proc/self/ns/net", &st), 0);
	snprintf(want, sizeof(want), "/run/fastnet/%lu.sock", (unsigned long)st.st_ino);
	chan_engine_paths(&p, NULL);
	ck_assert_uint_ge(p.n, 1);
	ck_assert_str_eq(p.path[0], want);
	chan_engine_paths(&p, "/some/where");
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.path[0], "/some/where");
	ck_assert_int_eq(chan_engine_answers(&p), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("start");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_started_engine_is_not_noticed);
	tcase_add_test(tc, nor_by_a_subreaper);
	tcase_add_test(tc, the_engine_inherits_no_descriptor);
	tcase_add_test(tc, the_engine_gets_only_our_variables);
	tcase_add_test(tc, signals_and_limits_are_reset);
	tcase_add_loop_test(tc, a_failed_start_says_why_and_leaves_nothing, 0, 6);
	tcase_add_test(tc, an_engine_that_can_not_be_run_is_named);
	tcase_add_test(tc, the_loser_of_the_race_waits_for_the_winner);
	tcase_add_test(tc, paths_carry_the_namespace_and_the_configured_one_stands_alone);
	return unit_run("chan/start", tc);
}
