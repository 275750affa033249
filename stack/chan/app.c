/* The application attaches to the engine, maps extents, keeps its held bits, and forks: see app.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/app.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include "stack/base/util.h"
#include "stack/chan/lane.h"
#include "stack/chan/lock.h"

enum { APP_TIMEOUT_MS = 5000, FD_TOP = 1024, FD_STEP = 32, FD_TRIES = 8 };

/* Very high numbers cost: the kernel's table of a process has a slot for each number below. */
int chan_fd_high(int fd)
{
	struct rlimit rl;
	long top = FD_TOP;

	if (sys_getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < (rlim_t)top)
		top = (long)rl.rlim_cur;
	for (long i = 1; i <= FD_TRIES; i++) {
		long floor = top > FD_STEP * i ? top - FD_STEP * i : top / 2;
		int high = floor > fd ? sys_fcntl(fd, F_DUPFD_CLOEXEC, floor) : -EINVAL;

		if (high >= 0) {
			sys_close(fd);
			return high;
		}
	}
	return fd;
}

static int map_all(struct chan_app *app, const int *fds, unsigned n)
{
	int err = n >= 5 ? 0 : -EPROTO;

	if (!err)
		err = region_map(&app->re, fds[0], REGION_DOWN);
	if (!err)
		err = region_map_behind(&app->ra, fds[1], REGION_DOWN, &app->rd, fds[3], REGION_UP);
	if (!err)
		err = region_map(&app->rb, fds[2], REGION_UP);
	if (err)
		return err;
	const struct chan_engine *e = app->re.base;
	const struct chan_a *a = app->ra.base;
	if (app->re.size < sizeof(*e) || e->magic != CHAN_MAGIC || e->version != CHAN_VERSION ||
	    app->ra.size < sizeof(*a) || a->magic != CHAN_MAGIC || a->version != CHAN_VERSION ||
	    a->n_workers == 0 || a->n_workers > CHAN_MAX_WORKERS || n != 4 + a->n_workers ||
	    a->size > app->ra.size || app->rd.size < CHAN_D_SIZE || chan_b_size(a->n_workers) > app->rb.size)
		return -EPROTO;
	return 0;
}

static void set_pointers(struct chan_app *app)
{
	uint8_t *a = app->ra.base, *b = app->rb.base;
	uint32_t n;

	app->e = app->re.base;
	app->a = app->ra.base;
	app->b = app->rb.base;
	n = app->n_workers = app->a->n_workers;
	app->client = app->a->client;
	app->call_a = (const void *)(a + app->a->off_call);
	app->sock_a = (const void *)(a + app->a->off_sock);
	app->evq_a = a + app->a->off_evq;
	app->evq_stride = chan_evq_stride(n);
	app->held = (void *)(b + chan_b_off_held(n));
	app->call_b = (void *)(b + chan_b_off_call(n));
	app->evq_b = (void *)(b + chan_b_off_evq(n));
	app->sock_b = (void *)(b + chan_b_off_sock(n));
	app->proc_b = (void *)(b + chan_b_off_proc(n));
	app->heirs = (void *)(b + chan_b_off_heirs(n));
	app->key = app->a->key;
}

/* HELLO or IMAGE, and the answer. 0 with the descriptors, or -errno with none. */
static int greet(int fd, uint32_t type, const struct chan_key *key, struct chan_msg *m, int *fds,
		 unsigned *n_fds)
{
	*m = (struct chan_msg){ .type = type, .version = CHAN_VERSION,
				.netns = type == CHAN_MSG_HELLO ? chan_netns() : 0 };
	if (type == CHAN_MSG_HELLO && key->nonce) {
		m->len = sizeof(*key);
		memcpy(m->text, key, sizeof(*key));
	}
	int err = chan_msg_send(fd, m, NULL, 0);
	if (err)
		return err;
	err = chan_msg_recv(fd, m, fds, n_fds, NULL);
	if (err <= 0)
		return err == 0 ? -ECONNREFUSED : err;
	if (m->type == CHAN_MSG_WELCOME && m->version == CHAN_VERSION && m->number < CHAN_MAX_PROCS)
		return 0;
	while (*n_fds > 0)
		sys_close(fds[--*n_fds]);
	return m->type == CHAN_MSG_REFUSED && m->err > 0 ? -m->err : -EPROTO;
}

/* fd is used up. */
static int attach_by(struct chan_app *app, int fd, uint32_t type, char *text, size_t n)
{
	int fds[CHAN_MSG_FDS];
	unsigned n_fds = CHAN_MSG_FDS;
	struct chan_msg m;
	int err = greet(fd, type, &app->key, &m, fds, &n_fds);

	if (err) {
		if (text && n && m.type == CHAN_MSG_REFUSED) {
			size_t len = m.len < n - 1 ? m.len : n - 1;
			memcpy(text, m.text, len);
			text[len] = '\0';
		}
		sys_close(fd);
		return err;
	}
	err = map_all(app, fds, n_fds);
	for (unsigned i = 0; i < n_fds && (i < 4 || err); i++)
		sys_close(fds[i]);
	if (err) {
		region_unmap(&app->re);
		region_unmap(&app->ra);
		region_unmap(&app->rb);
		region_unmap(&app->rd);
		sys_close(fd);
		return err;
	}
	set_pointers(app);
	app->proc = m.number;
	atomic_store_explicit(&app->fd, chan_fd_high(fd), memory_order_relaxed);
	for (uint32_t w = 0; w < app->n_workers; w++)
		atomic_store_explicit(&app->event_fd[w], chan_fd_high(fds[4 + w]),
				      memory_order_relaxed);
	return 0;
}

int chan_app_attach(struct chan_app *app, const char *path, char *text, size_t n)
{
	int fd = chan_connect(path, APP_TIMEOUT_MS);

	if (text && n)
		text[0] = '\0';
	return fd < 0 ? fd : attach_by(app, fd, CHAN_MSG_HELLO, text, n);
}

int chan_app_image(struct chan_app *app, int fd)
{
	sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
	return attach_by(app, fd, CHAN_MSG_IMAGE, NULL, 0);
}

void chan_app_detach(struct chan_app *app)
{
	sys_close(app->fd);
	for (uint32_t w = 0; w < app->n_workers; w++)
		sys_close(app->event_fd[w]);
	for (uint32_t i = 0; i < CHAN_MAX_EXTENTS; i++) {
		if (app->ext[i])
			sys_munmap(app->ext[i], app->ext_size[i]);
	}
	region_unmap(&app->re);
	region_unmap(&app->ra);
	region_unmap(&app->rb);
	region_unmap(&app->rd);
	for (unsigned i = 0; i < CHAN_BELLS; i++)
		if (app->bell[i].key)
			sys_close(app->bell[i].fd);
	*app = (struct chan_app){ 0 };
}

int chan_exchange(struct chan_app *app, struct chan_msg *m, struct chan_fds *fds)
{
	uint32_t type = m->type;
	int err;

	if (!chan_alive(app))
		return -ENOTCONN;
	err = chan_lock(&app->lock);
	if (err)
		return err;
	err = chan_msg_send(app->fd, m, fds->out, fds->n_out);
	if (!err)
		err = chan_msg_recv(app->fd, m, fds->in, &fds->n_in, NULL);
	chan_unlock(&app->lock);
	if (err == 0 || err == -EPIPE || err == -ECONNRESET)
		return -ENOTCONN;
	if (err < 0)
		return err;
	err = m->type != type ? -EPROTO : -m->err;
	while (err && fds->n_in > 0)
		sys_close(fds->in[--fds->n_in]);
	return err;
}

int chan_request(struct chan_app *app, struct chan_msg *m, int *fd)
{
	int got = -1;
	struct chan_fds fds = { .in = &got, .n_in = 1 };
	int err = chan_exchange(app, m, &fds);

	if (!err && fd && fds.n_in == 0)
		err = -EPROTO;
	if (!err && fd)
		*fd = chan_fd_high(got);
	else if (!err && fds.n_in)
		sys_close(got);
	return err;
}

void *chan_extent_slow(struct chan_app *app, uint32_t n)
{
	struct chan_msg m = { .type = CHAN_MSG_EXTENT, .number = n };
	struct region r;
	void *none = NULL;
	int fd;

	if (chan_request(app, &m, &fd) != 0)
		return NULL;
	int err = region_map(&r, fd, m.kind ? REGION_UP : REGION_DOWN);
	sys_close(fd);
	if (err)
		return NULL;
	app->ext_size[n] = r.size;
	/* Two threads may have asked: the first one's mapping stays. */
	if (!atomic_compare_exchange_strong_explicit(&app->ext[n], &none, r.base,
						     memory_order_acq_rel, memory_order_acquire)) {
		region_unmap(&r);
		return none;
	}
	return r.base;
}

void chan_extent_all(struct chan_app *app)
{
	for (uint32_t i = 0; i < CHAN_MAX_EXTENTS && chan_extent(app, i); i++)
		;
}

int chan_evq_open(struct chan_app *app, uint32_t *evq, int *pipe_fd, int kick)
{
	struct chan_msg m = { .type = CHAN_MSG_EVQ_OPEN };
	int got = -1;
	struct chan_fds fds = { .out = &kick, .n_out = kick >= 0, .in = &got, .n_in = 1 };
	int err = chan_exchange(app, &m, &fds);

	if (!err && fds.n_in == 0)
		err = -EPROTO;
	if (err)
		return err;
	*pipe_fd = chan_fd_high(got);
	if (m.number >= CHAN_MAX_EVQS) {
		sys_close(*pipe_fd);
		return -EPROTO;
	}
	struct chan_evq_b *b = &app->evq_b[m.number];
	const struct chan_evq_a *a = (const void *)(app->evq_a + m.number * app->evq_stride);
	for (uint32_t w = 0; w < app->n_workers; w++)
		atomic_store_explicit(&b->head[w],
				      atomic_load_explicit(&a->tail[w], memory_order_acquire),
				      memory_order_relaxed);
	atomic_store_explicit(&b->sleepers, 0, memory_order_relaxed);
	atomic_store_explicit(&b->lock, 0, memory_order_relaxed);
	chan_inbox_open(app, m.number);
	atomic_store_explicit(&b->in_use, 1, memory_order_release);
	*evq = m.number;
	return 0;
}

void chan_evq_close(struct chan_app *app, uint32_t evq)
{
	struct chan_msg m = { .type = CHAN_MSG_EVQ_CLOSE, .number = evq };

	atomic_store_explicit(&app->evq_b[evq].in_use, 0, memory_order_release);
	chan_inbox_close(app, evq);
	if (chan_alive(app))
		chan_msg_send(app->fd, &m, NULL, 0);
}

void chan_hold_as(struct chan_app *app, uint32_t proc, uint32_t id)
{
	atomic_fetch_or_explicit(&app->held[proc].word[id / 64], 1ull << (id % 64),
				 memory_order_seq_cst);
}

void chan_hold(struct chan_app *app, uint32_t id)
{
	uint32_t words = atomic_load_explicit(&app->held_words, memory_order_relaxed);

	while (words < id / 64 + 1 &&
	       !atomic_compare_exchange_weak_explicit(&app->held_words, &words, id / 64 + 1,
						      memory_order_relaxed, memory_order_relaxed))
		;
	chan_hold_as(app, app->proc, id);
}

void chan_unhold(struct chan_app *app, uint32_t id)
{
	atomic_fetch_and_explicit(&app->held[app->proc].word[id / 64], ~(1ull << (id % 64)),
				  memory_order_seq_cst);
	atomic_fetch_add_explicit(&app->sock_b[id].close_seq, 1, memory_order_seq_cst);
	chan_mark(app, id);
}

int chan_app_token_bare(struct chan_app *app, int *fd, uint32_t *proc)
{
	struct chan_msg m = { .type = CHAN_MSG_TOKEN };
	int err = chan_request(app, &m, fd);

	if (err)
		return err;
	if (m.number >= CHAN_MAX_PROCS || m.number == app->proc) {
		sys_close(*fd);
		return -EPROTO;
	}
	*proc = m.number;
	return 0;
}

int chan_app_token(struct chan_app *app, int *fd, uint32_t *proc)
{
	int err = chan_app_token_bare(app, fd, proc);

	if (err)
		return err;
	const struct chan_held *from = &app->held[app->proc];
	struct chan_held *to = &app->held[*proc];
	uint32_t words = atomic_load_explicit(&app->held_words, memory_order_relaxed);
	for (uint32_t i = 0; i < words; i++) {
		uint64_t v = atomic_load_explicit(&from->word[i], memory_order_relaxed);

		if (v)
			atomic_store_explicit(&to->word[i], v, memory_order_relaxed);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

void chan_app_child(struct chan_app *app, int fd, uint32_t proc)
{
	struct chan_msg m = { .type = CHAN_MSG_CHILD, .number = proc };
	int at = atomic_load_explicit(&app->fd, memory_order_relaxed);

	chan_tid_reset();
	atomic_store_explicit(&app->lock, 0, memory_order_relaxed);
	/* Another thread may have been in the middle of it: what it had open stays so, without a name. */
	if (atomic_exchange_explicit(&app->bell_lock, 0, memory_order_relaxed))
		for (unsigned i = 0; i < CHAN_BELLS; i++)
			app->bell[i].key = 0;
	app->proc = proc;
	if (fd != at && sys_dup3(fd, at, O_CLOEXEC) >= 0)
		sys_close(fd);
	chan_msg_send(app->fd, &m, NULL, 0);
}
