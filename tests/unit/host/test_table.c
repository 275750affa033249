/* The tool's tables: cutting the engine's text into cells, text and JSON output. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include <unistd.h>
#include "stack/cli/cli.h"
#include "tests/unit/unit.h"

static char *printed(const char *text, enum cli_format f)
{
	static char out[4096];
	struct table t;
	FILE *tmp = tmpfile();
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(tmp), STDOUT_FILENO);
	ck_assert(table_parse(&t, strdup(text)));
	table_print(&t, f, NULL, NULL);
	table_free(&t);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(tmp);
	out[fread(out, 1, sizeof(out) - 1, tmp)] = 0;
	fclose(tmp);
	return out;
}

START_TEST(columns_are_aligned_and_numbers_to_the_right)
{
	ck_assert_str_eq(printed("Name\tN\tWhy\nab\t5\tx y\nc\t123\tz\n", CLI_TEXT),
			 "Name    N  Why\n"
			 "ab      5  x y\n"
			 "c     123  z\n");
}
END_TEST

START_TEST(json_quotes_what_is_not_a_number)
{
	ck_assert_str_eq(printed("Recv-Q\tName\n0\ta\"b\\\n17\t\x01\n007\tx\n", CLI_JSON),
			 "[\n  {\"recv_q\": 0, \"name\": \"a\\\"b\\\\\"},\n"
			 "  {\"recv_q\": 17, \"name\": \"\\u0001\"},\n"
			 "  {\"recv_q\": \"007\", \"name\": \"x\"}\n]\n");
}
END_TEST

START_TEST(an_empty_table_is_valid)
{
	ck_assert_str_eq(printed("A\tB\n", CLI_JSON), "[]\n");
	ck_assert_str_eq(printed("A\tB\n", CLI_TEXT), "A  B\n");
}
END_TEST

START_TEST(missing_cells_are_empty)
{
	ck_assert_str_eq(printed("A\tB\tC\n1\n\n", CLI_JSON),
			 "[\n  {\"a\": 1, \"b\": \"\", \"c\": \"\"},\n"
			 "  {\"a\": \"\", \"b\": \"\", \"c\": \"\"}\n]\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("table");

	tcase_add_test(tc, columns_are_aligned_and_numbers_to_the_right);
	tcase_add_test(tc, json_quotes_what_is_not_a_number);
	tcase_add_test(tc, an_empty_table_is_valid);
	tcase_add_test(tc, missing_cells_are_empty);
	return unit_run("cli/table", tc);
}
