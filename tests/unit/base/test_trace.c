/* The trace ring, its text, what a failed CHECK prints of it, and the counters of a thread. */
// SPDX-License-Identifier: MIT
#include "stack/base/trace.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/base/bug.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static struct trace_ring ring;

START_TEST(a_thread_without_a_ring_records_nothing_and_does_not_crash)
{
	trace_this_thread = NULL;
	TRACE(TCP_STATE, 1, 2, 3, 4, 5);
}
END_TEST

START_TEST(records_keep_their_words_and_the_oldest_give_way)
{
	trace_this_thread = &ring;
	for (uint32_t i = 0; i < TRACE_RECORDS + 10; i++)
		TRACE(TCP_RX, i, i * 1000ull, 1, 2, i);
	ck_assert_uint_eq(ring.next, TRACE_RECORDS + 10);
	ck_assert_uint_eq(ring.rec[0].id, TRACE_RECORDS);
	ck_assert_uint_eq(ring.rec[10].id, 10);
	ck_assert_uint_eq(ring.rec[9].c, TRACE_RECORDS + 9);
	ck_assert_uint_eq(ring.rec[9].kind, TRACE_TCP_RX);
}
END_TEST

static const struct {
	struct trace_rec rec;
	const char *want;
} texts[] = {
	{ { .now_ns = 1500000000, .id = 7, .kind = TRACE_TCP_STATE, .a = 1, .b = 2 },
	  "1.500000000 #7 TCP_STATE state 1 -> 2" },
	{ { .now_ns = 42, .id = 1, .kind = TRACE_TCP_TX, .a = 10, .b = 20, .c = 0x12 },
	  "0.000000042 #1 TCP_TX tx seq=10 ack=20 len/flags=0x12" },
	{ { .id = 3, .kind = TRACE_DROP, .a = 4, .b = 60 },
	  "0.000000000 #3 DROP packet dropped, reason=4 len=60" },
	{ { .id = 3, .kind = 999, .a = 1, .b = 2, .c = 3 }, "0.000000000 #3 kind 999: 1 2 3" },
};

START_TEST(a_record_reads_as_one_line)
{
	char buf[200];

	ck_assert_int_eq(trace_format(&texts[_i].rec, buf, sizeof(buf)),
			 (int)strlen(texts[_i].want));
	ck_assert_str_eq(buf, texts[_i].want);
}
END_TEST

START_TEST(a_short_buffer_cuts_the_text_and_stays_terminated)
{
	char buf[200];

	for (int size = 1; size < 40; size++) {
		memset(buf, 'z', sizeof(buf));
		int n = trace_format(&texts[0].rec, buf, size);
		ck_assert_int_le(n, size - 1);
		ck_assert_uint_eq(strlen(buf), n);
		ck_assert_int_eq(buf[size], 'z');
	}
}
END_TEST

/* Runs a child that fails a CHECK after `records` records; its stderr in text. */
static int failed_check(uint32_t records, char *text, size_t size)
{
	int fds[2], status;
	ssize_t n;
	size_t len = 0;

	ck_assert_int_eq(pipe(fds), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		trace_this_thread = &ring;
		for (uint32_t i = 0; i < records; i++)
			TRACE(CLIENT, 100 + i, i, 1, 2, 0);
		int two = 2;
		CHECK(two + two == 5);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(a_failed_check_names_itself_and_prints_the_last_16_records)
{
	char text[8192];
	int status = failed_check(40, text, sizeof(text));

	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ck_assert_ptr_nonnull(strstr(text, "two + two == 5"));
	ck_assert_ptr_nonnull(strstr(text, "test_trace.c:"));
	ck_assert_ptr_null(strstr(text, "#123 "));
	ck_assert_ptr_nonnull(strstr(text, "#124 CLIENT client 1 event 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "#139 CLIENT client 1 event 2\n"));
}
END_TEST

START_TEST(a_failed_check_with_few_records_prints_those)
{
	char text[8192];

	failed_check(2, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "#100 "));
	ck_assert_ptr_nonnull(strstr(text, "#101 "));
	ck_assert_ptr_null(strstr(text, "#102 "));
}
END_TEST

START_TEST(counters_go_to_the_array_of_the_thread_and_have_names_and_help)
{
	struct stats mine = { 0 };

	STAT_INC(port_rx_pkts);
	stats_this_thread = &mine;
	STAT_INC(port_rx_pkts);
	STAT_ADD(port_rx_bytes, 60);
	ck_assert_uint_eq(mine.v[STAT_port_rx_pkts], 1);
	ck_assert_uint_eq(mine.v[STAT_port_rx_bytes], 60);
	for (int i = 0; i < STAT_COUNT; i++) {
		ck_assert(stat_infos[i].name[0] && stat_infos[i].help[0]);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(stat_infos[i].name, stat_infos[k].name);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("trace");

	tcase_add_test(tc, a_thread_without_a_ring_records_nothing_and_does_not_crash);
	tcase_add_test(tc, records_keep_their_words_and_the_oldest_give_way);
	tcase_add_loop_test(tc, a_record_reads_as_one_line, 0, ARRAY_LEN(texts));
	tcase_add_test(tc, a_short_buffer_cuts_the_text_and_stays_terminated);
	tcase_add_test(tc, a_failed_check_names_itself_and_prints_the_last_16_records);
	tcase_add_test(tc, a_failed_check_with_few_records_prints_those);
	tcase_add_test(tc, counters_go_to_the_array_of_the_thread_and_have_names_and_help);
	return unit_run("base/trace", tc);
}
