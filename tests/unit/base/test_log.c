/* Log lines: what is configured, what a line looks like, how many there may be. */
// SPDX-License-Identifier: MIT
#include "stack/base/log.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static int saved_stderr, capture[2];

/* From here to captured() stderr is a pipe (64 KB: more than any test writes). */
static void capture_start(void)
{
	ck_assert_int_eq(pipe(capture), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(capture[1], STDERR_FILENO);
	close(capture[1]);
}

static const char *captured(void)
{
	static char text[65536];
	ssize_t n, len = 0;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	while ((n = read(capture[0], text + len, sizeof(text) - 1 - (size_t)len)) > 0)
		len += n;
	close(capture[0]);
	text[len] = 0;
	return text;
}

static int count_lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

START_TEST(warnings_are_on_and_information_is_off_at_the_start)
{
	ck_assert(log_enabled(LOG_tcp, LOG_LVL_ERROR));
	ck_assert(log_enabled(LOG_tcp, LOG_LVL_WARN));
	ck_assert(!log_enabled(LOG_tcp, LOG_LVL_INFO));
}
END_TEST

START_TEST(a_level_may_be_given_for_all_and_for_one_module)
{
	ck_assert_int_eq(log_configure("error,tcp=debug,net=info"), 0);
	ck_assert(log_enabled(LOG_tcp, LOG_LVL_DEBUG));
	ck_assert(log_enabled(LOG_net, LOG_LVL_INFO));
	ck_assert(!log_enabled(LOG_net, LOG_LVL_DEBUG));
	ck_assert(log_enabled(LOG_host, LOG_LVL_ERROR));
	ck_assert(!log_enabled(LOG_host, LOG_LVL_WARN));
}
END_TEST

static const struct {
	const char *name, *spec;
} bad_specs[] = {
	{ "empty", "" },
	{ "unknown level", "loud" },
	{ "unknown module", "tpc=debug" },
	{ "unknown level of a module", "tcp=loud" },
	{ "no level", "tcp=" },
	{ "no module", "=debug" },
	{ "trailing comma", "debug," },
	{ "good then bad", "debug,tcp=debug,x" },
	{ "level with a tail", "warning" },
	{ "blank", "warn, tcp=debug" },
};

START_TEST(a_bad_specification_changes_nothing)
{
	ck_assert_msg(log_configure(bad_specs[_i].spec) == -EINVAL, "%s", bad_specs[_i].name);
	for (int m = 0; m < LOG_MODULE_COUNT; m++) {
		ck_assert(log_enabled(m, LOG_LVL_WARN));
		ck_assert(!log_enabled(m, LOG_LVL_INFO));
	}
}
END_TEST

START_TEST(a_line_names_program_level_and_module)
{
	char want[256];

	capture_start();
	LOG(tcp, WARN, "queue full port=%u", 6379);
	LOG(tcp, DEBUG, "not shown");
	snprintf(want, sizeof(want), "%s: warn tcp: queue full port=6379\n",
		 program_invocation_short_name);
	ck_assert_str_eq(captured(), want);
}
END_TEST

START_TEST(an_argument_cannot_forge_a_second_line)
{
	capture_start();
	LOG(host, ERROR, "name=%s", "a\nfastnetd: error host: b\x1b[31m");
	const char *text = captured();
	ck_assert_int_eq(count_lines(text), 1);
	ck_assert_ptr_nonnull(strstr(text, "name=a?fastnetd: error host: b?[31m\n"));
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_and_still_ends)
{
	char name[4000];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = 0;
	capture_start();
	LOG(host, ERROR, "%s", name);
	const char *text = captured();
	ck_assert_uint_eq(strlen(text), 1024 - 1);
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(one_site_writes_at_most_twenty_lines_a_second)
{
	capture_start();
	for (int i = 0; i < 1000; i++)
		LOG(net, WARN, "again");
	LOG(net, WARN, "another site");
	const char *text = captured();
	int n = count_lines(text);
	/* The loop may see the second change once. */
	ck_assert_msg(n == 21 || (n > 21 && n <= 41), "%d lines", n);
	ck_assert_ptr_nonnull(strstr(text, "another site"));
}
END_TEST

START_TEST(the_first_line_of_a_later_second_tells_what_was_suppressed)
{
	struct log_site site = { .second = 1, .count = 500, .suppressed = 480 };

	capture_start();
	log_line(LOG_net, LOG_LVL_WARN, &site, "again");
	log_line(LOG_net, LOG_LVL_WARN, &site, "again");
	const char *text = captured();
	ck_assert_ptr_nonnull(strstr(text, "again suppressed=480\n"));
	ck_assert_ptr_nonnull(strstr(text, "again\n"));
}
END_TEST

START_TEST(logging_leaves_errno_alone)
{
	capture_start();
	errno = EADDRINUSE;
	LOG(net, WARN, "x");
	ck_assert_int_eq(errno, EADDRINUSE);
	captured();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("log");

	tcase_add_test(tc, warnings_are_on_and_information_is_off_at_the_start);
	tcase_add_test(tc, a_level_may_be_given_for_all_and_for_one_module);
	tcase_add_loop_test(tc, a_bad_specification_changes_nothing, 0, ARRAY_LEN(bad_specs));
	tcase_add_test(tc, a_line_names_program_level_and_module);
	tcase_add_test(tc, an_argument_cannot_forge_a_second_line);
	tcase_add_test(tc, a_line_that_is_too_long_is_cut_and_still_ends);
	tcase_add_test(tc, one_site_writes_at_most_twenty_lines_a_second);
	tcase_add_test(tc, the_first_line_of_a_later_second_tells_what_was_suppressed);
	tcase_add_test(tc, logging_leaves_errno_alone);
	return unit_run("base/log", tc);
}
