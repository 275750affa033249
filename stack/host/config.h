/* The option table and the values that are in force: command line > environment > file > default.
 * Shared by the engine and the tool: no DPDK, no allocation. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "stack/base/ipaddr.h"

enum config_id {
#define CONFIG_DEF(id, ...) CONFIG_##id,
#include "stack/host/config.def"
#undef CONFIG_DEF
	CONFIG_COUNT
};
enum config_type {
	CONFIG_STR, CONFIG_LIST, CONFIG_NUM, CONFIG_SIZE, CONFIG_BOOL, CONFIG_WORD,
	CONFIG_PREFIXES, CONFIG_GATEWAYS, CONFIG_CPUS, CONFIG_IDS,
};
/* In order of precedence. */
enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_ARGS };

enum { CONFIG_TEXT_MAX = 512, CONFIG_ERR_MAX = 768, CONFIG_ZONE_MAX = 32 };
struct config_value {
	uint64_t num; /* NUM, SIZE, BOOL; WORD: index of the choice */
	enum config_source from;
	uint32_t line; /* of the file */
	char text[CONFIG_TEXT_MAX];
};
struct config {
	struct config_value v[CONFIG_COUNT];
	char err[CONFIG_ERR_MAX]; /* one line, with the remedy, when a function returned < 0 */
};
struct config_info {
	const char *name, *env;
	enum config_type type;
	const char *def;
	uint64_t min, max;
	const char *words, *help;
};
extern const struct config_info config_infos[CONFIG_COUNT];

/* Everything at its default. */
void config_init(struct config *c);
/* Sets one option from text unless a source of higher precedence already did. 0 or -EINVAL, c->err
 * set. `name` as in the table. */
int config_set(struct config *c, const char *name, const char *value, enum config_source from,
	       uint32_t line);
/* Takes the variables of the table out of envp. 0 or -EINVAL. */
int config_env(struct config *c, char *const *envp);
/* Takes `--name value` and `--name=value` from argv[*i] on, advancing *i behind them, until the
 * first word that is no option, "--" (skipped) or an option that is not in the table (a name of
 * `others`, NULL-terminated: for the caller). 0 or -EINVAL. */
int config_args(struct config *c, int argc, char *const *argv, int *i, const char *const *others);
/* Reads the file named by the config option. It may be absent only if nobody named it. 0 or -errno.
 */
int config_file(struct config *c);
/* Parses the text of an INI file; `path` is for messages. 0 or -EINVAL. */
int config_parse(struct config *c, const char *text, size_t n, const char *path);

static inline const char *config_str(const struct config *c, enum config_id id)
{
	return c->v[id].text;
}
static inline uint64_t config_num(const struct config *c, enum config_id id)
{
	return c->v[id].num;
}
/* The table as the option part of a --help text. */
void config_help(FILE *out);
/* The values in force in the form of the file, with where each comes from. */
void config_print(const struct config *c, FILE *out);

/* One "addr/len" at *p, advanced behind it and its comma. plen is that of the 128-bit form. False
 * at bad text. */
bool config_next_prefix(const char **p, struct ipaddr *addr, uint8_t *plen);
/* One address at *p, advanced behind it and its comma; a link-local one may name its port behind '%', which
 * is then in zone (else empty). */
bool config_next_gateway(const char **p, struct ipaddr *addr, char zone[static CONFIG_ZONE_MAX]);
/* One number or range at *p, advanced behind it and its comma. */
bool config_next_range(const char **p, uint64_t *lo, uint64_t *hi);
/* Is id in the text of an IDS option? */
bool config_id_listed(const char *ids, uint32_t id);
