/* The list of congestion controllers; index 0 is the default. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_cc.h"
#include <string.h>
#include "stack/base/util.h"

static const struct tcp_cc_ops *const all[] = {
#define CC_DEF(name) &tcp_cc_##name,
#include "stack/base/cc.def"
#undef CC_DEF
};

const struct tcp_cc_ops *tcp_cc_of(uint8_t cc)
{
	return all[cc > 0 && cc <= ARRAY_LEN(all) ? cc - 1 : 0];
}

int tcp_cc_find(const char *name)
{
	for (uint32_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return (int)i + 1;
	}
	return -1;
}
