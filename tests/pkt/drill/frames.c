/* The packets that have left and that no line of the script has looked at yet. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "tests/pkt/drill/world.h"

static struct frame ring[FRAMES];
static uint32_t put, taken;

void frames_put(uint64_t time_ns, const void *p, uint32_t n)
{
	struct frame *f = &ring[put % FRAMES];

	if (put - taken >= FRAMES - 1)
		script_fail(0, "more than %d packets that nobody expects", FRAMES - 1);
	f->b = realloc(f->b, n);
	f->len = n;
	f->time_ns = time_ns;
	memcpy(f->b, p, n);
	put++;
}

struct frame *frames_take(void)
{
	return taken == put ? NULL : &ring[taken++ % FRAMES];
}
