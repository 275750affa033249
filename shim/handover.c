/* Before an exec: writes the bundle. See handover.h. */
// SPDX-License-Identifier: MIT
#include "shim/handover.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "shim/dgram_int.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "shim/sock_conn.h"
#include "shim/sock_elder.h"

/* ---- where it lies ---- */
enum { PLACES = 4 }; /* numbers below each limit */

int handover_place(unsigned i)
{
	static const rlim_t below[] = { 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20 };
	unsigned w = i / PLACES;
	struct rlimit lim;

	if (w >= ARRAY_LEN(below) || getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -1;
	if (w > 0 && lim.rlim_cur <= below[w - 1])
		return -1;
	return (int)min_u64(lim.rlim_cur, below[w]) - 1 - (int)(i % PLACES);
}

/* A copy of fd, without CLOEXEC, at the first of these numbers that is free. -1: all are taken. */
static int place(int fd)
{
	int at, n;

	for (unsigned i = 0; (at = handover_place(i)) >= 0; i++) {
		n = libc.fcntl(fd, F_DUPFD, at);
		if (n == at)
			return n;
		if (n >= 0)
			libc.close(n);
	}
	return -1;
}

/* ---- writing ---- */
struct writer {
	int fd; /* -1: nothing written yet, or no more */
	int err;
	uint64_t at;
};

static void put(struct writer *w, const void *p, size_t n)
{
	while (w->err == 0 && n) {
		ssize_t r = libc.pwrite64(w->fd, p, n, (off64_t)w->at);

		if (r <= 0) {
			w->err = r < 0 ? -errno : -ENOSPC;
			return;
		}
		w->at += (uint64_t)r;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
}

static bool open_writer(struct writer *w)
{
	if (w->fd >= 0)
		return true;
	w->fd = libc.memfd_create("fastnet-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	w->at = sizeof(struct handover_head);
	return w->fd >= 0;
}

/* The index of app in the bundle, with a token for the new program; negative: the engine gives
 * none. */
static int engine_index(struct handover *h, struct chan_app *app)
{
	uint32_t i = 0;

	while (i < h->n_engines && h->app[i] != app)
		i++;
	if (i == HANDOVER_ENGINES)
		return -1;
	if (i == h->n_engines) {
		if (chan_app_token_bare(app, &h->token[i], &h->proc[i]) < 0)
			return -1;
		h->app[i] = app;
		h->n_engines++;
	}
	return (int)i;
}

/* Can the new program go on with it? Decides what can't stay open. */
static bool is_worth_it(struct sock *s)
{
	if (sock_mode(s) == SOCK_UNDECIDED && sock_has(s, SOCK_BOUND))
		sock_to_kernel(s, CHAN_REASON_fork_shared);
	if (sock_mode(s) == SOCK_KERNEL)
		return false;
	return !sock_is_attached(s) || !sock_is_dead(s);
}

/* What follows the record: everything but what only this process can name. */
static void put_draft(struct writer *w, const struct sock_draft *d)
{
	put(w, (const char *)d + sizeof(d->obj), sizeof(*d) - sizeof(d->obj));
}

static void put_dgram(struct writer *w, const struct dgram *d)
{
	put(w, (const char *)d + sizeof(d->obj), sizeof(*d) - sizeof(d->obj));
	put(w, d->group, d->n_groups * sizeof(d->group[0]));
}

static struct handover_sock record_of(const struct sock *s)
{
	struct handover_sock r = {
		.kind = HANDOVER_SOCK, .len = sizeof(r), .engine = HANDOVER_NO_ENGINE,
		.id = s->id, .gen = s->gen, .elder_engine = HANDOVER_NO_ENGINE, .mode = sock_mode(s),
		.flags = atomic_load(&s->flags) & ~(uint32_t)SOCK_STRAY, .backlog = s->backlog,
		.own_error = atomic_load(&s->own_error),
		.line_fd = atomic_load(&s->line_fd), .async_fd = s->async_fd,
		.line_here = s->line_here, .has_draft = s->draft != NULL,
		.has_dgram = s->dgram != NULL, .type = s->type, .family = s->family,
		.protocol = s->protocol, .number = s->number, .bound = s->bound,
	};

	r.len += s->draft ? sizeof(*s->draft) - sizeof(s->draft->obj) : 0;
	r.len += s->dgram ? sizeof(*s->dgram) - sizeof(s->dgram->obj) : 0;
	r.len += s->dgram ? s->dgram->n_groups * sizeof(s->dgram->group[0]) : 0;
	return r;
}

static void put_record(struct writer *w, const struct sock *s, const struct handover_sock *r)
{
	put(w, r, sizeof(*r));
	if (s->draft)
		put_draft(w, s->draft);
	if (s->dgram)
		put_dgram(w, s->dgram);
}

static void put_elder(struct handover *h, const struct sock *s, struct handover_sock *r)
{
	struct sock_place p;

	if (likely(!elder_any()) || !elder_place(s, &p) || !chan_alive(p.app))
		return;
	r->elder_engine = engine_index(h, p.app);
	if (r->elder_engine < 0)
		return;
	r->elder_id = p.id;
	r->elder_gen = p.gen;
	chan_hold_as(p.app, h->proc[r->elder_engine], p.id);
}

/* Puts s into the bundle unless it is there. False: it can't be. */
static bool put_sock(struct handover *h, struct writer *w, struct sock *s)
{
	struct handover_sock r = record_of(s);

	if (s->handed)
		return true;
	if (sock_is_attached(s)) {
		r.engine = engine_index(h, s->app);
		if (r.engine < 0)
			return false;
		chan_hold_as(h->app[r.engine], h->proc[r.engine], s->id);
	}
	put_elder(h, s, &r);
	put_record(w, s, &r);
	if (r.line_fd >= 0)
		libc.fcntl(r.line_fd, F_SETFD, 0);
	s->handed = ++h->n_socks;
	return true;
}

static void put_number(struct handover *h, struct writer *w, int fd)
{
	struct handover_fd r = { .kind = HANDOVER_FD, .len = sizeof(r), .fd = fd };
	struct sock *s = sock_get(fd);
	int flags = s ? libc.fcntl(fd, F_GETFD) : -1;

	if (flags >= 0 && !(flags & FD_CLOEXEC) && is_worth_it(s) && open_writer(w)) {
		if (put_sock(h, w, s)) {
			r.sock = s->handed - 1;
			put(w, &r, sizeof(r));
		} else {
			explain_kernel(CHAN_REASON_passed_fd);
		}
	}
	if (s)
		sock_put(s);
}

/* The head comes last, when all is known. 0 or -errno. */
static int seal(struct writer *w, struct handover_head *head)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	head->magic = HANDOVER_MAGIC;
	head->version = HANDOVER_VERSION;
	head->size = w->at;
	w->at = 0;
	put(w, head, sizeof(*head));
	if (w->err == 0 && libc.fcntl(w->fd, F_ADD_SEALS, seals) < 0)
		w->err = -errno;
	return w->err;
}

static int finish(struct handover *h, struct writer *w)
{
	struct handover_head head = { .n_engines = h->n_engines };

	memcpy(head.token, h->token, sizeof(head.token));
	h->bundle = seal(w, &head) < 0 ? -1 : place(w->fd);
	if (h->bundle < 0)
		return -EMFILE;
	for (uint32_t i = 0; i < h->n_engines; i++)
		libc.fcntl(h->token[i], F_SETFD, 0);
	return 0;
}

int handover_record(struct sock *s)
{
	struct handover_sock r = record_of(s);
	struct handover_head head = { .n_engines = 1, .token = { -1 } };
	struct writer w = { .fd = -1 };

	if (!open_writer(&w))
		return -errno;
	r.engine = 0;
	put_record(&w, s, &r);
	if (seal(&w, &head) < 0) {
		libc.close(w.fd);
		return w.err;
	}
	return w.fd;
}

/* ---- the doors ---- */
bool handover_is_wanted(void)
{
	int saved = errno, flags;
	bool yes = false;

	if (likely(fdtab_end() == 0) || fdtab_bypass)
		return false;
	for (int fd = fdtab_next(0); fd >= 0 && !yes; fd = fdtab_next(fd + 1)) {
		struct sock *s = sock_get(fd);

		if (!s)
			continue;
		flags = libc.fcntl(fd, F_GETFD);
		yes = flags >= 0 && !(flags & FD_CLOEXEC);
		sock_put(s);
	}
	errno = saved;
	return yes;
}

bool handover_begin(struct handover *h)
{
	struct writer w = { .fd = -1 };
	int saved = errno;

	*h = (struct handover){ .bundle = -1 };
	if (likely(fdtab_end() == 0) || fdtab_bypass || !process_lock())
		return false;
	h->begun = true;
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
		put_number(h, &w, fd);
	if (h->n_socks && finish(h, &w) < 0)
		explain_kernel(CHAN_REASON_fd_limit);
	if (w.fd >= 0)
		libc.close(w.fd);
	if (h->bundle < 0)
		handover_undo(h);
	errno = saved;
	return h->begun;
}

/* Takes the marks off again. */
static void unhand(void)
{
	struct object *o;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)); i++) {
		struct sock *s = sock_of(o);
		int line;

		if (!object_try_get(o))
			continue;
		line = s->handed ? atomic_load(&s->line_fd) : -1;
		if (line >= 0)
			libc.fcntl(line, F_SETFD, FD_CLOEXEC);
		s->handed = 0;
		object_put(o);
	}
}

void handover_undo(struct handover *h)
{
	int saved = errno;

	if (!h->begun)
		return;
	h->begun = false;
	if (h->bundle >= 0)
		libc.close(h->bundle);
	for (uint32_t i = 0; i < h->n_engines; i++)
		libc.close(h->token[i]);
	if (h->n_socks)
		unhand();
	process_unlock();
	errno = saved;
}
