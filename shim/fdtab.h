/* Descriptor number -> object. A number that is not in the table is foreign: the kernel's alone.
 * Every number in the table is also a real descriptor in the kernel (a dup of the anchor, a kernel twin,
 * a real epoll fd), so a new descriptor of the program can't collide with it, and the flag CLOEXEC
 * is the kernel's own. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/object.h"

enum { FDTAB_SIZE = 1 << 20 };
extern _Atomic(struct object *) fdtab[FDTAB_SIZE];
/* This thread is between vfork and exec in libc (posix_spawn, system, popen): the calls that reach us are
 * those of a child that shares our memory but has its own descriptors, so all are foreign. */
extern _Thread_local __attribute__((tls_model("initial-exec"))) bool fdtab_bypass;

/* The object of fd with one more reference; NULL: foreign. */
static inline struct object *fdtab_get(int fd)
{
	if (unlikely((unsigned)fd >= FDTAB_SIZE))
		return NULL;
	for (;;) {
		struct object *o = atomic_load_explicit(&fdtab[fd], memory_order_acquire);

		if (likely(!o) || unlikely(fdtab_bypass))
			return NULL;
		if (!object_try_get(o))
			continue; /* being replaced: the entry changes before the object goes */
		if (likely(atomic_load_explicit(&fdtab[fd], memory_order_acquire) == o))
			return o;
		object_put(o);
	}
}
static inline void fdtab_put(struct object *o) { object_put(o); }
/* A look without a reference, for "is it ours at all?". */
static inline bool fdtab_has(int fd)
{
	return (unsigned)fd < FDTAB_SIZE &&
	       atomic_load_explicit(&fdtab[fd], memory_order_relaxed) != NULL && !fdtab_bypass;
}
/* As fdtab_get, but only an object of this type; others are left alone (NULL). */
struct object *fdtab_get_type(int fd, enum object_type type);

/* Puts o (one reference is taken for the entry) where fd is; what was there loses its entry.
 * False: the number is beyond the table. */
bool fdtab_set(int fd, struct object *o);
/* Takes the entry off and drops its reference; false: there was none. */
bool fdtab_clear(int fd);
/* Takes the entry off and gives its reference to the caller; NULL: there was none. */
struct object *fdtab_take(int fd);
/* A number that the kernel has just made for the program: a stale entry (closed behind our back)
 * goes. Returns fd. */
static inline int fdtab_fresh(int fd)
{
	if (unlikely(fdtab_has(fd)))
		fdtab_clear(fd);
	return fd;
}
/* The first fd >= from that has an entry, -1: none. */
int fdtab_next(int from);
/* No entry is at or above this number. */
extern _Atomic int fdtab_top; /* only ever grows */
static inline int fdtab_end(void)
{
	return atomic_load_explicit(&fdtab_top, memory_order_relaxed);
}
/* Child of a fork, only thread: references of the parent's other threads are dropped, each object
 * that has a descriptor has one per descriptor. (sock_after_fork() calls it.) */
void fdtab_after_fork(void);

/* ---- the shim's own descriptors ---- */
/* Moves fd to a high number with CLOEXEC and makes it invisible to the program; *where follows it
 * when the program's dup2 wants its number. Returns the number or -errno (fd is then closed). */
int fdtab_hide(int fd, _Atomic int *where);
/* The same, but fd keeps its number and flags (inherited descriptors). */
int fdtab_hide_here(int fd, _Atomic int *where);
/* Closes a hidden descriptor and sets *where = -1. */
void fdtab_hidden_close(_Atomic int *where);
/* Frees the number fd, which the program wants: the hidden descriptor moves. False: fd is not hidden,
 * or no number is left. */
bool fdtab_hidden_move(int fd);
bool fdtab_is_hidden(int fd);
