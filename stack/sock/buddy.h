/* Blocks of a power of two of pages out of one payload extent: what a ring buffer is made of. Private
 * memory of the engine describes it, so an application can't harm it. One thread. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { BUDDY_SHIFT = 12, BUDDY_ORDERS = 20, BUDDY_NONE = UINT32_MAX };

struct buddy {
	uint32_t blocks;	    /* of 1 << BUDDY_SHIFT bytes; power of two */
	uint32_t free[BUDDY_ORDERS]; /* first free block of each order + 1, 0 = none */
	uint8_t *order;		    /* [block] order + 1 of the free block that begins here, else 0 */
	uint32_t *next, *prev;	    /* [block] neighbours in its free list + 1 */
	uint32_t used;		    /* blocks given out */
	uint32_t top;		    /* none from here on has been given out since buddy_lower() */
};

/* bytes: a power of two. 0 or -ENOMEM. */
int buddy_init(struct buddy *b, uint64_t bytes);
void buddy_fini(struct buddy *b);
/* Less than an eighth is left. */
static inline bool buddy_is_low(const struct buddy *b) { return b->used > b->blocks - b->blocks / 8; }
/* First block of 1 << order blocks, BUDDY_NONE when there is no room. */
uint32_t buddy_alloc(struct buddy *b, uint32_t order);
void buddy_free(struct buddy *b, uint32_t block, uint32_t order);
/* The free blocks around `block`: [*first, *end). False: it is in use. */
bool buddy_find_free(const struct buddy *b, uint32_t block, uint32_t *first, uint32_t *end);
/* Lowers top to where the last block in use ends. */
void buddy_lower(struct buddy *b);
