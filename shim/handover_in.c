/* After an exec: finds the bundle that the program before this one has left, and has its sockets.
 * See handover.h.
 *
 * What stands in it comes from the same process, so it is believed as far as memory is concerned
 * only: every length, index and number is checked. What the token may claim is the engine's to say.
 * */
// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shim/dgram_int.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/fault.h"
#include "shim/handover.h"
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"

struct reader {
	struct handover_head *head;
	const char *at, *end;
	struct chan_app *app[HANDOVER_ENGINES];
	struct object **sock; /* [n_socks], NULL: not to be had */
	uint32_t n_socks;
};

/* ---- finding it ---- */
/* The bundle at number fd, or NULL: something else is there. */
static struct handover_head *look(int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct handover_head *head;
	struct stat st;

	if (sys_fcntl(fd, F_GET_SEALS, 0) != seals || sys_fstat(fd, &st) < 0 ||
	    st.st_size < (off_t)sizeof(*head))
		return NULL;
	head = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (head == MAP_FAILED)
		return NULL;
	if (head->magic == HANDOVER_MAGIC && head->version == HANDOVER_VERSION &&
	    head->size == (uint64_t)st.st_size && head->n_engines <= HANDOVER_ENGINES)
		return head;
	munmap(head, (size_t)st.st_size);
	return NULL;
}

/* ---- sockets ---- */
/* Copies what follows the record into o, behind its struct object. */
static bool fill(struct object *o, size_t size, const char **from, const char *end)
{
	size_t n = size - sizeof(*o);

	if (!o || (size_t)(end - *from) < n)
		return false;
	memcpy((char *)o + sizeof(*o), *from, n);
	*from += n;
	return true;
}

static bool fill_dgram(struct sock *s, const char **from, const char *end)
{
	uint32_t n_groups;
	struct dgram *d;

	if (!dgram_add(s))
		return false;
	d = s->dgram;
	if (!fill(&d->obj, sizeof(*d), from, end))
		return false;
	n_groups = min_u32(d->n_groups, DGRAM_GROUPS_MAX);
	atomic_store(&d->hint_fd, -1);
	atomic_store(&d->cork_lock, 0);
	atomic_store(&d->long_lock, 0);
	atomic_store(&d->cork_side, DGRAM_NOBODY);
	d->cork = NULL;
	d->cork_len = 0;
	d->cork_out = (struct dgram_out){ 0 };
	if ((size_t)(end - *from) < n_groups * sizeof(d->group[0]))
		n_groups = 0;
	dgram_groups_take(d, *from, n_groups);
	*from += n_groups * sizeof(d->group[0]);
	if (atomic_load(&d->n_long) > DGRAM_LONG_MAX)
		atomic_store(&d->n_long, 0);
	return true;
}

/* A thread of the program before may have held it, whose number this one has now. */
static void free_lock(_Atomic uint32_t *lock)
{
	if ((atomic_load(lock) & ~(uint32_t)CHAN_LOCK_WAITERS) == chan_tid())
		chan_unlock(lock);
}

/* s is what the record says of the engine. False: the engine has ended, or has another socket there
 * by now. */
static bool place_sock(struct reader *r, struct sock *s, const struct handover_sock *h)
{
	struct chan_app *app;

	if (h->engine == HANDOVER_NO_ENGINE) {
		if (!s->draft || h->mode == SOCK_KERNEL || (h->mode == SOCK_STACK && !s->dgram))
			return false;
		s->a = &s->draft->a;
		s->b = &s->draft->b;
		return true;
	}
	app = (uint32_t)h->engine < r->head->n_engines ? r->app[h->engine] : NULL;
	if (!app || h->id >= CHAN_MAX_SOCKS || h->mode != SOCK_STACK ||
	    atomic_load(&chan_sock_a(app, h->id)->gen) != h->gen)
		return false;
	engine_ref(app);
	s->app = app;
	s->id = h->id;
	s->gen = h->gen;
	s->a = chan_sock_a(app, h->id);
	s->b = chan_sock_b(app, h->id);
	chan_hold(app, h->id);
	free_lock(&s->b->rx_lock);
	free_lock(&s->b->tx_lock);
	explain_stack();
	app = (uint32_t)h->elder_engine < r->head->n_engines ? r->app[h->elder_engine] : NULL;
	if (app && h->elder_id < CHAN_MAX_SOCKS)
		elder_take(s, app, h->elder_id, h->elder_gen);
	return true;
}

static void take_line(struct sock *s, int fd)
{
	if (fd >= 0 && libc.fcntl(fd, F_GETFD) >= 0)
		fdtab_hide(fd, &s->line_fd);
}

/* The socket of a record, with a reference for the reader; NULL: it is not to be had. */
static struct object *make_sock(struct reader *r, const struct handover_sock *h, const char *more,
				const char *end)
{
	struct sock *s;

	if (h->mode > SOCK_STACK || (h->type != SOCK_STREAM && h->type != SOCK_DGRAM) ||
	    (h->type == SOCK_DGRAM) != !!h->has_dgram)
		return NULL;
	s = sock_new(h->family, h->protocol, (enum sock_mode)h->mode);
	if (!s)
		return NULL;
	s->type = h->type;
	if (h->has_draft && (!sock_draft_add(s) ||
			     !fill(&s->draft->obj, sizeof(*s->draft), &more, end)))
		goto fail;
	if (h->has_dgram && !fill_dgram(s, &more, end))
		goto fail;
	if (!place_sock(r, s, h))
		goto fail;
	atomic_store(&s->flags, h->flags);
	atomic_store(&s->own_error, h->own_error);
	s->number = h->number;
	s->backlog = h->backlog;
	s->bound = h->bound;
	s->async_fd = h->async_fd;
	s->line_here = h->line_here;
	take_line(s, h->line_fd);
	object_publish(&s->obj);
	return &s->obj;
fail:
	sock_discard(s);
	return NULL;
}

/* The program may not have it any more: closed by another thread on the way. */
static void set_number(struct reader *r, const struct handover_fd *h)
{
	struct stat st;

	if (h->sock < r->n_socks && r->sock[h->sock] && sys_fstat(h->fd, &st) == 0 &&
	    S_ISSOCK(st.st_mode))
		fdtab_set(h->fd, r->sock[h->sock]);
}

/* ---- the whole ---- */
/* The next record: its kind, 0 at the end or when it makes no sense. */
static uint32_t next(struct reader *r, const char **record)
{
	uint32_t kind, len;

	if ((size_t)(r->end - r->at) < sizeof(struct handover_fd))
		return 0;
	*record = r->at;
	memcpy(&kind, r->at, sizeof(kind));
	memcpy(&len, r->at + sizeof(kind), sizeof(len));
	if (len > (size_t)(r->end - r->at) ||
	    len < (kind == HANDOVER_SOCK ? sizeof(struct handover_sock) : sizeof(struct handover_fd)))
		return 0;
	r->at += len;
	return kind;
}

static void read_all(struct reader *r)
{
	const char *record;
	uint32_t kind;

	while ((kind = next(r, &record)) != 0) {
		struct handover_sock s;
		struct handover_fd n;

		if (kind == HANDOVER_SOCK) {
			memcpy(&s, record, sizeof(s));
			r->sock[r->n_socks++] = make_sock(r, &s, record + sizeof(s), r->at);
		} else if (kind == HANDOVER_FD) {
			memcpy(&n, record, sizeof(n));
			set_number(r, &n);
		}
	}
}

/* Something else at the token's number must be left alone. */
static bool is_token(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static void take(struct handover_head *head)
{
	struct reader r = { .head = head, .at = (const char *)(head + 1),
			    .end = (const char *)head + head->size };
	size_t room = head->size / sizeof(struct handover_sock) * sizeof(void *) + sizeof(void *);

	r.sock = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((void *)r.sock == MAP_FAILED)
		return;
	for (uint32_t i = 0; i < head->n_engines; i++)
		r.app[i] = is_token(head->token[i]) ? engine_adopt(head->token[i]) : NULL;
	fault_arm();
	read_all(&r);
	/* Those without a number are closed by this. */
	for (uint32_t i = 0; i < r.n_socks; i++)
		if (r.sock[i])
			object_put(r.sock[i]);
	for (uint32_t i = 0; i < head->n_engines; i++)
		if (r.app[i])
			engine_put(r.app[i]);
	munmap(r.sock, room);
}

struct object *handover_read(int memfd, struct chan_app *app, uint32_t id, uint32_t gen, int line_fd)
{
	struct handover_head *head = look(memfd);
	struct reader r = { .head = head, .app = { app } };
	struct object *o = NULL;
	struct handover_sock s;
	const char *record;

	if (!head)
		return NULL;
	r.at = (const char *)(head + 1);
	r.end = (const char *)head + head->size;
	if (head->n_engines == 1 && next(&r, &record) == HANDOVER_SOCK) {
		memcpy(&s, record, sizeof(s));
		s.line_fd = line_fd;
		if (s.engine == 0 && s.id == id && s.gen == gen)
			o = make_sock(&r, &s, record + sizeof(s), r.at);
	}
	munmap(head, head->size);
	return o;
}

void handover_arrive(void)
{
	int saved = errno, fd;

	/* Somebody else's program, with more rights than who has started it. */
	if (getauxval(AT_SECURE))
		return;
	/* All of them: one that makes no sense must not hide another. */
	for (unsigned i = 0; (fd = handover_place(i)) >= 0; i++) {
		struct handover_head *head = look(fd);

		if (likely(!head))
			continue;
		libc.close(fd);
		/* Somebody between the two programs did not know it, and has started several. */
		if (!atomic_exchange(&head->taken, 1))
			take(head);
		munmap(head, head->size);
	}
	errno = saved;
}
