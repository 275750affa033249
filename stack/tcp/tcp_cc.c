/* The list of congestion controllers; index 0 is the default. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include <string.h>
#include "stack/base/util.h"

static const struct tcp_cc_ops *const all[] = { &tcp_cc_reno };

const struct tcp_cc_ops *tcp_cc_by_index(uint8_t index)
{
	return all[index < ARRAY_LEN(all) ? index : 0];
}

int tcp_cc_find(const char *name)
{
	for (uint32_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return (int)i;
	}
	return -1;
}
