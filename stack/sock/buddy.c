/* Binary buddy system: see buddy.h. Low blocks are preferred, so that few pages get touched. */
// SPDX-License-Identifier: MIT
#include "stack/sock/buddy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/util.h"

static void list_in(struct buddy *b, uint32_t block, uint32_t order)
{
	b->order[block] = (uint8_t)(order + 1);
	b->prev[block] = 0;
	b->next[block] = b->free[order];
	if (b->free[order])
		b->prev[b->free[order] - 1] = block + 1;
	b->free[order] = block + 1;
}

static void list_out(struct buddy *b, uint32_t block, uint32_t order)
{
	uint32_t next = b->next[block], prev = b->prev[block];

	b->order[block] = 0;
	if (next)
		b->prev[next - 1] = prev;
	if (prev)
		b->next[prev - 1] = next;
	else
		b->free[order] = next;
}

int buddy_init(struct buddy *b, uint64_t bytes)
{
	uint32_t blocks = (uint32_t)(bytes >> BUDDY_SHIFT);

	CHECK(blocks && !(blocks & (blocks - 1)) && blocks < 1u << BUDDY_ORDERS);
	memset(b, 0, sizeof(*b));
	b->blocks = blocks;
	/* Large and zeroed by the kernel: costs memory only where blocks are used. */
	b->order = calloc(blocks, 1);
	b->next = calloc(blocks, sizeof(*b->next));
	b->prev = calloc(blocks, sizeof(*b->prev));
	if (!b->order || !b->next || !b->prev) {
		buddy_fini(b);
		return -ENOMEM;
	}
	list_in(b, 0, (uint32_t)__builtin_ctz(blocks));
	return 0;
}

void buddy_fini(struct buddy *b)
{
	free(b->order);
	free(b->next);
	free(b->prev);
	memset(b, 0, sizeof(*b));
}

uint32_t buddy_alloc(struct buddy *b, uint32_t order)
{
	uint32_t o = order;

	while (o < BUDDY_ORDERS && !b->free[o])
		o++;
	if (o >= BUDDY_ORDERS)
		return BUDDY_NONE;
	uint32_t block = b->free[o] - 1;
	list_out(b, block, o);
	while (o > order) {
		o--;
		list_in(b, block + (1u << o), o);
	}
	b->used += 1u << order;
	b->top = max_u32(b->top, block + (1u << order));
	return block;
}

void buddy_free(struct buddy *b, uint32_t block, uint32_t order)
{
	uint32_t top = (uint32_t)__builtin_ctz(b->blocks);

	CHECK(b->used >= 1u << order);
	b->used -= 1u << order;
	while (order < top) {
		uint32_t twin = block ^ 1u << order;

		if (b->order[twin] != order + 1)
			break;
		list_out(b, twin, order);
		block &= ~(1u << order);
		order++;
	}
	list_in(b, block, order);
}

bool buddy_find_free(const struct buddy *b, uint32_t block, uint32_t *first, uint32_t *end)
{
	for (uint32_t o = 0; 1u << o <= b->blocks; o++) {
		uint32_t at = block & ~((1u << o) - 1);

		if (b->order[at] != o + 1)
			continue;
		*first = at;
		*end = at + (1u << o);
		return true;
	}
	return false;
}

void buddy_lower(struct buddy *b)
{
	uint32_t first, end;

	while (b->top && buddy_find_free(b, b->top - 1, &first, &end))
		b->top = first;
}
