/* Reads the description of faults: "drop=1%,reorder=2%,seed=7". */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/net/netif_wrap.h"

/* "1%", "0.01%" -> parts of a million. */
static int parse_percent(const char *v, uint32_t *ppm)
{
	char *end;

	if ((*v < '0' || *v > '9') && *v != '.')
		return -EINVAL;
	double d = strtod(v, &end);
	if (strcmp(end, "%") != 0 || !(d >= 0 && d <= 100))
		return -EINVAL;
	*ppm = (uint32_t)(d * 10000 + 0.5);
	return 0;
}

static int parse_item(struct netif_fault *f, const char *key, const char *v)
{
	const struct {
		const char *name;
		uint32_t *ppm;
	} rates[] = {
		{ "drop", &f->drop_ppm },
		{ "dup", &f->dup_ppm },
		{ "reorder", &f->reorder_ppm },
		{ "corrupt", &f->corrupt_ppm },
	};
	char *end;

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		if (strcmp(key, rates[i].name) == 0)
			return parse_percent(v, rates[i].ppm);
	}
	if (strcmp(key, "seed") == 0) {
		if (*v < '0' || *v > '9')
			return -EINVAL;
		f->seed = strtoull(v, &end, 0);
		return *end ? -EINVAL : 0;
	}
	if (strcmp(key, "dir") == 0) {
		f->rx = strcmp(v, "rx") == 0 || strcmp(v, "both") == 0;
		f->tx = strcmp(v, "tx") == 0 || strcmp(v, "both") == 0;
		return f->rx || f->tx ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int netif_fault_parse(const char *spec, struct netif_fault *f)
{
	struct netif_fault r = { .seed = 1, .rx = true, .tx = true };
	char buf[256], *save = NULL;

	if (strlen(spec) >= sizeof(buf) || !*spec)
		return -EINVAL;
	strcpy(buf, spec);
	for (char *it = strtok_r(buf, ",", &save); it; it = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(it, '=');

		if (!eq)
			return -EINVAL;
		*eq = 0;
		int err = parse_item(&r, it, eq + 1);
		if (err < 0)
			return err;
	}
	*f = r;
	return 0;
}
