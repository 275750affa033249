/* What a descriptor number of ours stands for: a counted object with a type.
 *
 * refs = descriptors of this process (dup shares the object) + calls under way. The last reference
 * releases the object, exactly as the kernel releases a struct file: a close() under a blocked call in
 * another thread takes effect when that call ends. Memory is type-stable: an object's memory is
 * only ever reused for an object of the same type, so a late reader may look at refs. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/util.h"

enum object_type {
	OBJECT_SOCK = 1, /* struct sock: a socket on the stack, or not yet decided */
	OBJECT_EPOLL,	 /* an epoll set that has (had) sockets of ours in it */
	OBJECT_HIDDEN,	 /* a descriptor of the shim itself: the program gets EBADF */
};
struct object;
struct object_ops {
	enum object_type type;
	/* The last reference is gone. Ends with object_free(). May block (SO_LINGER). */
	void (*release)(struct object *o);
};
struct object {
	const struct object_ops *ops; /* never changes while the memory is in use, nor after */
	_Atomic uint32_t refs;
	uint32_t next_free; /* of the pool */
};

/* A type-stable pool of one kind of object: grows by mmap, never shrinks, lock-free. */
enum { OBJECT_POOL_CHUNKS = 4096, OBJECT_POOL_PER_CHUNK = 256 };
struct object_pool {
	const struct object_ops *ops;
	uint32_t size; /* bytes of an object, begins with struct object */
	_Atomic uint64_t free; /* tag << 32 | index + 1 of the first free object */
	_Atomic uint32_t used; /* objects ever given out */
	_Atomic(char *) chunk[OBJECT_POOL_CHUNKS];
};
/* An object with refs = 0, the rest of it zero: until it is published no walk and no child of a fork takes it
 * for one. NULL: no memory. */
struct object *object_new(struct object_pool *pool);
/* It is whole: refs = 1, the caller's. */
static inline void object_publish(struct object *o)
{
	atomic_store_explicit(&o->refs, 1, memory_order_release);
}
/* Only from ops->release, or when it was never published. */
void object_free(struct object_pool *pool, struct object *o);
/* The i-th object ever made (also free ones: check refs), NULL past the end. For walks. */
struct object *object_nth(struct object_pool *pool, uint32_t i);

/* One more reference unless it is already gone. */
static inline bool object_try_get(struct object *o)
{
	uint32_t n = atomic_load_explicit(&o->refs, memory_order_relaxed);

	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&o->refs, &n, n + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}
static inline void object_put(struct object *o)
{
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		o->ops->release(o);
}
