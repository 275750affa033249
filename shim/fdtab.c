/* The descriptor table, the pools of objects, and the shim's own (hidden) descriptors. */
// SPDX-License-Identifier: MIT
#include "shim/fdtab.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "shim/libc.h"

_Atomic(struct object *) fdtab[FDTAB_SIZE];
_Thread_local bool fdtab_bypass;
_Atomic int fdtab_top;

/* ---- pools ---- */
struct object *object_nth(struct object_pool *pool, uint32_t i)
{
	char *chunk;

	if (i >= atomic_load_explicit(&pool->used, memory_order_acquire))
		return NULL;
	chunk = atomic_load_explicit(&pool->chunk[i / OBJECT_POOL_PER_CHUNK], memory_order_acquire);
	if (!chunk)
		return NULL;
	return (struct object *)(chunk + (size_t)(i % OBJECT_POOL_PER_CHUNK) * pool->size);
}

static struct object *pool_grow(struct object_pool *pool)
{
	uint32_t i = atomic_load(&pool->used);
	_Atomic(char *) *chunk;
	char *mem, *none = NULL;
	size_t len = (size_t)OBJECT_POOL_PER_CHUNK * pool->size;

	do {
		if (i / OBJECT_POOL_PER_CHUNK >= OBJECT_POOL_CHUNKS)
			return NULL;
		chunk = &pool->chunk[i / OBJECT_POOL_PER_CHUNK];
		if (atomic_load(chunk))
			continue;
		mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem == MAP_FAILED)
			return NULL;
		none = NULL;
		if (!atomic_compare_exchange_strong(chunk, &none, mem))
			munmap(mem, len);
	} while (!atomic_compare_exchange_weak(&pool->used, &i, i + 1));
	return object_nth(pool, i);
}

/* Index of o: pools hold few chunks, and this is not the data path. */
static uint32_t pool_index(struct object_pool *pool, const struct object *o)
{
	size_t len = (size_t)OBJECT_POOL_PER_CHUNK * pool->size;

	for (uint32_t c = 0; c < OBJECT_POOL_CHUNKS; c++) {
		const char *chunk = atomic_load_explicit(&pool->chunk[c], memory_order_acquire);

		if (chunk && (const char *)o >= chunk && (const char *)o < chunk + len)
			return c * OBJECT_POOL_PER_CHUNK +
			       (uint32_t)((size_t)((const char *)o - chunk) / pool->size);
	}
	return UINT32_MAX;
}

struct object *object_new(struct object_pool *pool)
{
	uint64_t top = atomic_load(&pool->free);
	struct object *o = NULL;

	while ((uint32_t)top) {
		uint64_t next;

		o = object_nth(pool, (uint32_t)top - 1);
		/* The tag makes a stale next_free harmless: the exchange then fails. */
		next = ((top >> 32) + 1) << 32 | o->next_free;
		if (atomic_compare_exchange_weak(&pool->free, &top, next))
			break;
		o = NULL;
	}
	if (!o)
		o = pool_grow(pool);
	if (!o)
		return NULL;
	memset((char *)o + sizeof(*o), 0, pool->size - sizeof(*o));
	o->ops = pool->ops;
	return o;
}

void object_free(struct object_pool *pool, struct object *o)
{
	uint32_t index = pool_index(pool, o) + 1;
	uint64_t top = atomic_load(&pool->free);

	do {
		o->next_free = (uint32_t)top;
	} while (!atomic_compare_exchange_weak(&pool->free, &top,
					       ((top >> 32) + 1) << 32 | index));
}

/* ---- the table ---- */
struct object *fdtab_get_type(int fd, enum object_type type)
{
	struct object *o = fdtab_get(fd);

	if (o && o->ops->type != type) {
		fdtab_put(o);
		return NULL;
	}
	return o;
}

struct object *fdtab_take(int fd)
{
	if ((unsigned)fd >= FDTAB_SIZE)
		return NULL;
	return atomic_exchange_explicit(&fdtab[fd], NULL, memory_order_acq_rel);
}

bool fdtab_clear(int fd)
{
	struct object *o = fdtab_take(fd);

	if (!o)
		return false;
	object_put(o);
	return true;
}

bool fdtab_set(int fd, struct object *o)
{
	struct object *old;
	int top = atomic_load(&fdtab_top);

	if ((unsigned)fd >= FDTAB_SIZE)
		return false;
	while (fd >= top && !atomic_compare_exchange_weak(&fdtab_top, &top, fd + 1))
		;
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	old = atomic_exchange_explicit(&fdtab[fd], o, memory_order_acq_rel);
	if (old)
		object_put(old);
	return true;
}

int fdtab_next(int from)
{
	int top = atomic_load(&fdtab_top);

	for (int fd = from < 0 ? 0 : from; fd < top; fd++)
		if (atomic_load_explicit(&fdtab[fd], memory_order_relaxed))
			return fd;
	return -1;
}

/* An object that has an entry and one reference has no other entry, and nothing is wrong with it: it is
 * only looked at, so that its page stays shared with the parent. */
void fdtab_after_fork(void)
{
	const uint32_t counting = 1u << 31;
	int top = atomic_load(&fdtab_top);
	bool any = false;

	for (int fd = 0; fd < top; fd++) {
		struct object *o = atomic_load(&fdtab[fd]);
		uint32_t n = o ? atomic_load(&o->refs) : 1;

		if (n == 1)
			continue;
		atomic_store(&o->refs, n & counting ? n + 1 : counting | 1);
		any = true;
	}
	for (int fd = 0; any && fd < top; fd++) {
		struct object *o = atomic_load(&fdtab[fd]);

		if (o && atomic_load(&o->refs) & counting)
			atomic_fetch_and(&o->refs, ~counting);
	}
}

/* ---- hidden descriptors ---- */
struct hidden {
	struct object obj;
	_Atomic int *where; /* NULL: closed by its owner */
};
static void hidden_release(struct object *o);
static const struct object_ops hidden_ops = { .type = OBJECT_HIDDEN, .release = hidden_release };
static struct object_pool hidden_pool = { .ops = &hidden_ops, .size = sizeof(struct hidden) };

static void hidden_release(struct object *o)
{
	object_free(&hidden_pool, o);
}

/* Hidden numbers start here. Just below the soft limit, but not far up where the kernel would have
 * to grow (and fork to copy) a table of megabytes. */
enum { HIDDEN_LOW = 900, HIDDEN_ROOM = 96, HIDDEN_ROOM_SMALL = 8 };

static int hidden_floor(void)
{
	struct rlimit lim;
	int n;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > HIDDEN_LOW + HIDDEN_ROOM)
		return HIDDEN_LOW;
	n = (int)lim.rlim_cur;
	if (n > 2 * HIDDEN_ROOM)
		return n - HIDDEN_ROOM;
	return n > 2 * HIDDEN_ROOM_SMALL ? n - HIDDEN_ROOM_SMALL : n / 2;
}

/* A copy of fd at a high free number. */
static int dup_high(int fd)
{
	int n = libc.fcntl(fd, F_DUPFD_CLOEXEC, hidden_floor());

	if (n < 0 && errno != EBADF)
		n = libc.fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return n < 0 ? -errno : n;
}

int fdtab_hide_here(int fd, _Atomic int *where)
{
	struct object *o = object_new(&hidden_pool);
	bool ok;

	if (!o)
		return -ENOMEM;
	((struct hidden *)o)->where = where;
	object_publish(o);
	atomic_store(where, fd);
	ok = fdtab_set(fd, o);
	object_put(o); /* the entry's reference is left */
	if (ok)
		return fd;
	atomic_store(where, -1);
	return -EMFILE;
}

int fdtab_hide(int fd, _Atomic int *where)
{
	int n = dup_high(fd);
	int r = n;

	libc.close(fd);
	if (n >= 0)
		r = fdtab_hide_here(n, where);
	if (r < 0 && n >= 0)
		libc.close(n);
	return r;
}

bool fdtab_is_hidden(int fd)
{
	struct object *o = fdtab_get_type(fd, OBJECT_HIDDEN);

	if (o)
		fdtab_put(o);
	return o != NULL;
}

void fdtab_hidden_close(_Atomic int *where)
{
	int fd = atomic_exchange(where, -1);

	if (fd < 0)
		return;
	fdtab_clear(fd);
	libc.close(fd);
}

bool fdtab_hidden_move(int fd)
{
	struct object *o = fdtab_get_type(fd, OBJECT_HIDDEN);
	struct hidden *h = (struct hidden *)o;
	int n;

	if (!o)
		return false;
	n = dup_high(fd);
	if (n < 0 || !fdtab_set(n, o)) {
		if (n >= 0)
			libc.close(n);
		fdtab_put(o);
		return false;
	}
	atomic_store(h->where, n);
	fdtab_clear(fd);
	fdtab_put(o);
	return true;
}
