/* Pool of fixed-size objects for one thread: taking and returning never calls the allocator except
 * to add a whole chunk, and `live` tells a test what leaked. Memory comes from the owner: chunks
 * given by pool_add(), or asked for through the mem functions when the pool runs dry. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where chunks come from. Memory is aligned to 64 bytes; its contents do not matter. */
struct pool_mem {
	void *(*alloc)(void *ctx, size_t bytes); /* NULL: out of memory */
	void (*free)(void *ctx, void *p, size_t bytes);
	void *ctx;
};
/* aligned_alloc(3) and free(3). */
extern const struct pool_mem pool_mem_libc;

struct pool_slot {
	struct pool_slot *next;
};
struct pool_chunk {
	struct pool_chunk *next;
	size_t bytes;
	bool owned; /* from mem->alloc, so pool_fini() returns it */
};

struct pool {
	const struct pool_mem *mem; /* NULL: only pool_add() brings memory */
	struct pool_slot *free;
	struct pool_chunk *chunks;
	uint32_t obj_size;  /* multiple of 16 */
	uint32_t per_chunk; /* objects asked for at a time */
	uint32_t max;	    /* never more objects than this */
	uint32_t total;	    /* objects in all chunks */
	uint32_t live;	    /* taken and not returned */
};

/* Objects are aligned to 64 bytes when obj_size is a multiple of 64, otherwise to 16. */
void pool_init(struct pool *p, size_t obj_size, uint32_t per_chunk, uint32_t max,
	       const struct pool_mem *mem);
/* Gives back the owned chunks. Returns the number of objects that were still live. */
uint32_t pool_fini(struct pool *p);
/* Adds caller-owned memory (64-byte aligned, outlives the pool). Returns the objects gained. */
uint32_t pool_add(struct pool *p, void *mem, size_t bytes);
/* An object with undefined contents, or NULL when the pool is at max or memory is short. */
void *pool_alloc(struct pool *p);
/* NULL is allowed. */
void pool_free(struct pool *p, void *obj);
/* Allocates chunks until n objects are there. 0 or -ENOMEM (what was gained stays). */
int pool_reserve(struct pool *p, uint32_t n);
