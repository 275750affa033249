/* Objects of one size that may become many and then few again, for one thread: memory is taken from the
 * kernel in pages of 2 MB and goes back when all objects of one have returned, in constant time each. Where
 * there are more than a page full, the kernel is asked for huge pages: objects that are used at random then
 * meet far fewer TLB misses. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/list.h"

enum { SLAB_PAGE = 2 << 20, SLAB_SPARE = 2 /* empty pages kept, and as many as 1 in 8 */ };

struct slab {
	struct list room;   /* struct slab_page with free objects; wholly free ones last */
	struct list full;
	uint32_t obj_size;  /* multiple of 64 */
	uint32_t per_page;
	uint32_t max;	    /* objects */
	uint32_t live;	    /* taken and not returned */
	uint32_t n_pages, n_empty;
};

/* Objects are aligned to 64 bytes. obj_size is at most a quarter of a page. */
void slab_init(struct slab *s, uint32_t obj_size, uint32_t max);
/* Gives all memory back. How many objects were still live. */
uint32_t slab_fini(struct slab *s);
/* Contents undefined; NULL: max objects are live, or no memory. */
void *slab_alloc(struct slab *s);
void slab_free(struct slab *s, void *obj);
