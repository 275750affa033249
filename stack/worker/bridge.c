/* The memory of the bridge between two engines and its rings: see bridge.h. */
// SPDX-License-Identifier: MIT
#include "stack/worker/bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stack/base/util.h"

static int map(struct bridge *b, int fd)
{
	void *p = mmap(NULL, sizeof(struct bridge_mem), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	b->mem = p;
	return 0;
}

static int make_bells(struct bridge *b)
{
	for (uint32_t i = 0; i < b->n_mine; i++) {
		b->bell[b->side][i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (b->bell[b->side][i] < 0)
			return -errno;
	}
	return 0;
}

static void init(struct bridge *b, enum bridge_side side, uint32_t n_workers)
{
	*b = (struct bridge){ .side = side, .n_mine = n_workers };
	memset(b->bell, -1, sizeof(b->bell));
}

int bridge_create(struct bridge *b, uint32_t n_workers)
{
	init(b, BRIDGE_GUEST, n_workers);
	int fd = memfd_create("fastnet-bridge", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int err = ftruncate(fd, sizeof(struct bridge_mem)) < 0 ? -errno : 0;
	if (!err && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		err = -errno;
	if (!err)
		err = map(b, fd);
	if (!err)
		err = make_bells(b);
	if (err) {
		bridge_close(b);
		close(fd);
		return err;
	}
	b->mem->magic = BRIDGE_MAGIC;
	b->mem->version = BRIDGE_VERSION;
	b->mem->n_workers[BRIDGE_GUEST] = n_workers;
	return fd;
}

int bridge_open(struct bridge *b, int fd, uint32_t n_workers)
{
	struct stat st;

	init(b, BRIDGE_HOST, n_workers);
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Sealed: it can't shrink under us. */
	int seals = fcntl(fd, F_GET_SEALS);
	if (st.st_size != sizeof(struct bridge_mem) || seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	int err = map(b, fd);
	if (err)
		return err;
	b->n_theirs = b->mem->n_workers[BRIDGE_GUEST];
	if (b->mem->magic != BRIDGE_MAGIC || b->mem->version != BRIDGE_VERSION ||
	    b->n_theirs < 1 || b->n_theirs > CHAN_MAX_WORKERS) {
		bridge_close(b);
		return -EPROTO;
	}
	b->mem->n_workers[BRIDGE_HOST] = n_workers;
	err = make_bells(b);
	if (err)
		bridge_close(b);
	return err;
}

int bridge_joined(struct bridge *b, uint32_t n_workers)
{
	if (n_workers < 1 || n_workers > CHAN_MAX_WORKERS)
		return -EPROTO;
	b->n_theirs = n_workers;
	return 0;
}

void bridge_close(struct bridge *b)
{
	for (int i = 0; i < 2 * CHAN_MAX_WORKERS; i++) {
		int *fd = &b->bell[i / CHAN_MAX_WORKERS][i % CHAN_MAX_WORKERS];

		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	if (b->mem)
		munmap(b->mem, sizeof(*b->mem));
	b->mem = NULL;
}

/* ---- rings ---- */
static uint32_t slots_of(uint32_t len)
{
	return (len + (uint32_t)sizeof(struct bridge_record) + BRIDGE_SLOT - 1) / BRIDGE_SLOT;
}

/* Copies at byte offset `at` of the ring, which wraps. */
static void ring_write(struct bridge_ring *r, uint32_t at, const void *p, uint32_t n)
{
	const uint32_t size = BRIDGE_SLOTS * BRIDGE_SLOT;
	uint8_t *base = r->slot[0];
	uint32_t first = min_u32(n, size - at);

	memcpy(base + at, p, first);
	memcpy(base, (const uint8_t *)p + first, n - first);
}

static void ring_read(const struct bridge_ring *r, uint32_t at, void *p, uint32_t n)
{
	const uint32_t size = BRIDGE_SLOTS * BRIDGE_SLOT;
	const uint8_t *base = r->slot[0];
	uint32_t first = min_u32(n, size - at);

	memcpy(p, base + at, first);
	memcpy((uint8_t *)p + first, base, n - first);
}

bool bridge_put(struct bridge *b, uint32_t from, enum bridge_kind kind, uint16_t nif,
		const struct bridge_piece *piece, unsigned n)
{
	struct bridge_ring *r = &b->mem->ring[b->side][from];
	struct bridge_record rec = { .kind = (uint16_t)kind, .nif = nif };
	uint32_t tail = b->fill[from];
	uint32_t used = tail - atomic_load_explicit(&r->head, memory_order_acquire);

	for (unsigned i = 0; i < n; i++)
		rec.len += piece[i].len;
	if (rec.len > BRIDGE_RECORD_MAX || used > BRIDGE_SLOTS ||
	    slots_of(rec.len) > BRIDGE_SLOTS - used)
		return false;
	uint32_t at = tail % BRIDGE_SLOTS * BRIDGE_SLOT;
	ring_write(r, at, &rec, sizeof(rec));
	at += (uint32_t)sizeof(rec);
	for (unsigned i = 0; i < n; i++) {
		at %= BRIDGE_SLOTS * BRIDGE_SLOT;
		ring_write(r, at, piece[i].p, piece[i].len);
		at += piece[i].len;
	}
	b->fill[from] = tail + slots_of(rec.len);
	atomic_store_explicit(&r->tail, b->fill[from], memory_order_release);
	return true;
}

int bridge_get(struct bridge *b, uint32_t ring, struct bridge_record *rec, void *buf)
{
	struct bridge_ring *r = &b->mem->ring[!b->side][ring];
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t at = head % BRIDGE_SLOTS * BRIDGE_SLOT;

	if (tail == head)
		return 0;
	ring_read(r, at, rec, sizeof(*rec));
	if (rec->len > BRIDGE_RECORD_MAX || slots_of(rec->len) > tail - head ||
	    tail - head > BRIDGE_SLOTS) {
		atomic_store_explicit(&r->head, tail, memory_order_release);
		return -EPROTO;
	}
	ring_read(r, (at + (uint32_t)sizeof(*rec)) % (BRIDGE_SLOTS * BRIDGE_SLOT), buf, rec->len);
	atomic_store_explicit(&r->head, head + slots_of(rec->len), memory_order_release);
	return 1;
}

bool bridge_is_empty(const struct bridge *b, uint32_t ring)
{
	const struct bridge_ring *r = &b->mem->ring[!b->side][ring];

	return atomic_load_explicit(&r->tail, memory_order_acquire) ==
	       atomic_load_explicit(&r->head, memory_order_relaxed);
}

void bridge_wake(struct bridge *b, uint32_t from)
{
	const uint64_t one = 1;
	uint32_t to = from % b->n_theirs;

	/* Pairs with the fence of a data thread that says it sleeps before it looks at its rings. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&b->mem->thread[!b->side][to].asleep, memory_order_relaxed))
		return;
	/* Never read: each write is an edge. */
	if (write(b->bell[!b->side][to], &one, sizeof(one)) < 0)
		return;
}
