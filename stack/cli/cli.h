/* What the commands of the tool share. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "stack/host/config.h"

enum cli_format { CLI_TEXT, CLI_JSON };
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* One line to stderr: "fastnet: ...". */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The options of the table from argv[*i] on (up to a word that is none, "--", or one of `others`),
 * the environment and the file. CLI_OK, or CLI_USAGE and it has been said. */
int cli_options(struct config *c, int argc, char **argv, int *i, const char *const *others);
/* Only the command line part; call cli_options_rest() when it is at its end. */
int cli_options_args(struct config *c, int argc, char **argv, int *i, const char *const *others);
int cli_options_rest(struct config *c);

/* Asks the engine; the answer is malloc'd text in *out. CLI_OK, or CLI_FAILED and it has been said.
 */
int cli_ask(const struct config *c, const char *command, char **out);

/* table.c: the engine's tables, a line of column names, then rows, tabs between. */
struct table {
	char *text; /* owned; cut into the cells */
	unsigned n_cols, n_rows;
	char **cell; /* n_cols names, then n_rows * n_cols */
};
/* Takes text over. False: out of memory. */
bool table_parse(struct table *t, char *text);
void table_free(struct table *t);
static inline const char *table_cell(const struct table *t, unsigned row, unsigned col)
{
	return t->cell[(size_t)(row + 1) * t->n_cols + col];
}
/* keep NULL: all rows. */
void table_print(const struct table *t, enum cli_format f,
		 bool (*keep)(const struct table *t, unsigned row, void *arg), void *arg);

/* launch.c: running a program on the stack. */
/* Sets the environment of the program and starts an engine if none answers. CLI_OK or said. */
int cli_prepare(const struct config *c);
/* Becomes the program; returns only on failure, with the exit status that a shell would give. */
int cli_exec(char **argv);

/* Each gets argv from its own name on and returns the exit status. */
int cmd_run(int argc, char **argv);
int cmd_ss(int argc, char **argv);
int cmd_ip(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_engine(int argc, char **argv);
