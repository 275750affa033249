/* Sockets in the child of a fork: references that only the parent's threads had go. What need not be written
 * is not, so that the pages of many sockets stay shared with the parent. */
// SPDX-License-Identifier: MIT
#include "shim/dgram.h"
#include "shim/signal.h"
#include "shim/sock.h"
#include "shim/sock_conn.h"
#include "stack/chan/lock.h"

static void unlock_all(void)
{
	struct object *o;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)); i++) {
		if (!atomic_load(&o->refs))
			continue;
		if (atomic_load(&sock_of(o)->lock))
			atomic_store(&sock_of(o)->lock, 0);
		if (unlikely(atomic_load(&sock_of(o)->moves) & 1))
			atomic_fetch_add(&sock_of(o)->moves, 1);
		if (sock_of(o)->dgram)
			dgram_after_fork(sock_of(o));
	}
}

/* Marks as strays those without a descriptor here. A socket that has a descriptor and one reference has no
 * other descriptor: if there are as many descriptors of such as there are such, all of them have one. */
static void find_strays(void)
{
	struct object *o;
	long lone = 0;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)); i++) {
		if (atomic_load(&o->refs) > 1)
			atomic_fetch_or(&sock_of(o)->flags, SOCK_STRAY);
		lone += atomic_load(&o->refs) == 1;
	}
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		o = atomic_load(&fdtab[fd]);
		lone -= o->ops->type == OBJECT_SOCK && atomic_load(&o->refs) == 1;
	}
	for (uint32_t i = 0; lone && (o = object_nth(&sock_pool, i)); i++) {
		if (atomic_load(&o->refs) == 1)
			atomic_fetch_or(&sock_of(o)->flags, SOCK_STRAY);
	}
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		o = atomic_load(&fdtab[fd]);
		if (o->ops->type == OBJECT_SOCK && sock_has(sock_of(o), SOCK_STRAY))
			atomic_fetch_and(&sock_of(o)->flags, ~(uint32_t)SOCK_STRAY);
	}
}

void sock_after_fork(void)
{
	struct object *o;

	chan_tid_reset();
	sock_anchor_after_fork();
	sock_number_anew();
	unlock_all();
	find_strays();
	/* A handler that forks may have interrupted a call of ours, to which the child returns: its
	 * references can't be told from those of other threads, so all stay. */
	if (signal_depth)
		return;
	fdtab_after_fork();
	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)); i++)
		if (atomic_load(&o->refs) && sock_has(sock_of(o), SOCK_STRAY)) {
			atomic_store(&o->refs, 1);
			object_put(o);
		}
}
