/* mTCP's configuration file, and what mtcp_init() says about it. */
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include "tests/mtcp/api.h"
#include "tests/unit/unit.h"

static char path[] = "/tmp/mtcp-conf.XXXXXX";
static char said[4096]; /* to stderr by the last init_with() */

static void make(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
}
static void drop(void)
{
	unlink(path);
	strcpy(path + strlen(path) - 6, "XXXXXX");
}

/* mtcp_init() with this text as the file. */
static int init_with(const char *text)
{
	int out = dup(2), p[2], r;
	FILE *f = fopen(path, "w");
	ssize_t n;

	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(pipe(p), 0);
	dup2(p[1], 2);
	r = mtcp_init(path);
	fflush(stderr);
	dup2(out, 2);
	close(p[1]);
	close(out);
	n = read(p[0], said, sizeof(said) - 1);
	close(p[0]);
	said[n > 0 ? n : 0] = 0;
	return r;
}

static int lines(const char *s)
{
	int n = 0;

	while ((s = strchr(s, '\n')))
		s++, n++;
	return n;
}

START_TEST(what_applies_is_taken)
{
	struct mtcp_conf conf;

	ck_assert_int_eq(init_with("# a comment\n\n  num_cores = 2\nmax_concurrency=300 # more\n"
				   "rcvbuf 16384\nsndbuf\t=\t32768\ntcp_timeout = 30\n"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(mtcp_getconf(&conf), 0);
	ck_assert_int_eq(conf.num_cores, 2);
	ck_assert_int_eq(conf.max_concurrency, 300);
	ck_assert_int_eq(conf.rcvbuf_size, 16384);
	ck_assert_int_eq(conf.sndbuf_size, 32768);
	ck_assert_int_eq(conf.tcp_timeout, 30);
	mtcp_destroy();
}
END_TEST

START_TEST(what_is_taken_has_an_effect)
{
	int n = 0, v = 0;
	socklen_t len = sizeof(v);
	mctx_t m;

	ck_assert_int_eq(init_with("max_concurrency = 5\nsndbuf = 8192\ntcp_timeout = 8\n"
				   "num_cores = 1\n"), 0);
	ck_assert_ptr_nonnull(m = mtcp_create_context(0));
	ck_assert_ptr_null(mtcp_create_context(1));
	while (mtcp_socket(m, AF_INET, SOCK_STREAM, 0) >= 0)
		n++;
	ck_assert_int_eq(n, 5);
	mtcp_getsockopt(m, 0, SOL_SOCKET, SO_SNDBUF, &v, &len);
	ck_assert_int_eq(v, 8192);
	mtcp_getsockopt(m, 0, SOL_SOCKET, SO_RCVBUF, &v, &len); /* one stands for both */
	ck_assert_int_eq(v, 8192);
	mtcp_getsockopt(m, 0, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &len);
	ck_assert_int_eq(v, 8000);
	mtcp_destroy();
}
END_TEST

/* One line, and every one of them is in it. */
START_TEST(what_does_not_apply_is_named)
{
	static const char *const names[] = { "io (line 1)",	    "port (line 2)",
					     "num_mem_ch (line 4)", "stat_print (line 5)",
					     "max_num_buffers (line 6)", "tcp_timewait (line 7)",
					     "max_concurency (line 8, unknown)" };
	struct mtcp_conf conf;

	ck_assert_int_eq(init_with("io = dpdk\nport = dpdk0 dpdk1\nnum_cores = 1\nnum_mem_ch = 4\n"
				   "stat_print = dpdk0\nmax_num_buffers = 77\ntcp_timewait = 0\n"
				   "max_concurency = 7\n"), 0);
	ck_assert_int_eq(lines(said), 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(strstr(said, names[i]) != NULL, "%s is not in: %s", names[i], said);
	ck_assert_ptr_null(strstr(said, "num_cores"));
	mtcp_getconf(&conf);
	ck_assert_int_eq(conf.max_num_buffers, 77); /* for who asks */
	mtcp_destroy();
}
END_TEST

static const struct {
	const char *text, *says;
} bad[] = {
	{ "num_cores = 0\n", ":1: num_cores must be 1 to 64, not: 0" },
	{ "\nnum_cores = 65\n", ":2: num_cores must be" },
	{ "num_cores = two\n", "not: two" },
	{ "num_cores = 2x\n", "not: 2x" },
	{ "max_concurrency = -5\n", "max_concurrency must be" },
	{ "max_concurrency = 99999999999999999999\n", "max_concurrency must be" },
	{ "rcvbuf = 63\n", "rcvbuf must be 64 to" },
	{ "sndbuf =\n", ":1: no value: sndbuf" },
	{ "tcp_timeout\n", ":1: no value: tcp_timeout" },
	{ "= 5\n", ":1: no name" },
	{ "tcp_timeout = 1 2\n", "tcp_timeout must be" },
};

START_TEST(a_bad_value_is_one_line_and_a_failure)
{
	struct mtcp_conf before, after;

	mtcp_getconf(&before);
	ck_assert_int_eq(init_with(bad[_i].text), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(lines(said), 1);
	ck_assert_msg(strstr(said, bad[_i].says) != NULL, "'%s' is not in: %s", bad[_i].says, said);
	mtcp_getconf(&after);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	ck_assert_ptr_null(mtcp_create_context(0));
}
END_TEST

START_TEST(no_file_is_a_failure)
{
	API_FAILS(mtcp_init("/nowhere/mtcp.conf"), ENOENT);
}
END_TEST

/* As mTCP's programs do it: asked and set before mtcp_init(). */
START_TEST(programs_may_set_before_init)
{
	struct mtcp_conf conf, got;

	ck_assert_int_eq(mtcp_getconf(&conf), 0);
	ck_assert_int_ge(conf.num_cores, 1);
	conf = (struct mtcp_conf){ .num_cores = 3, .max_concurrency = 0, .rcvbuf_size = -1 };
	ck_assert_int_eq(mtcp_setconf(&conf), 0);
	ck_assert_int_eq(mtcp_getconf(&got), 0);
	ck_assert_int_eq(got.num_cores, 3);
	ck_assert_int_eq(got.max_concurrency, 10000); /* 0 or less changes nothing */
	conf.num_cores = 65;
	API_FAILS(mtcp_setconf(&conf), EINVAL);
	API_FAILS(mtcp_setconf(NULL), EINVAL);
	API_FAILS(mtcp_getconf(NULL), EINVAL);
	ck_assert_int_eq(init_with("num_cores = 1\n"), 0); /* the file is the last word */
	mtcp_getconf(&got);
	ck_assert_int_eq(got.num_cores, 1);
	mtcp_destroy();
}
END_TEST

START_TEST(no_engine_is_one_line_and_a_failure)
{
	setenv("FASTNET_SOCKET", "/nowhere/engine.sock", 1);
	ck_assert_int_eq(init_with(""), -1);
	ck_assert_int_eq(lines(said), 1);
	ck_assert_ptr_nonnull(strstr(said, "mtcp_init: "));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("conf");

	tcase_add_checked_fixture(t, make, drop);
	tcase_add_loop_test(t, a_bad_value_is_one_line_and_a_failure, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, what_applies_is_taken);
	tcase_add_test(t, what_is_taken_has_an_effect);
	tcase_add_test(t, what_does_not_apply_is_named);
	tcase_add_test(t, no_file_is_a_failure);
	tcase_add_test(t, programs_may_set_before_init);
	tcase_add_test(t, no_engine_is_one_line_and_a_failure);
	return unit_run("mtcp_conf", t);
}
