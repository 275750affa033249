/* A context's links to engines: found or started as the shim does it, attached, left. */
// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "mtcp/ctx.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/start.h"
#include "stack/chan/wait.h"

enum { START_TIMEOUT_MS = 10000 };
/* Connecting in vain is cheap; starting is not, and what stopped it does not pass quickly. */
static const uint64_t RETRY_NS = 200 * NSEC_PER_MSEC, RETRY_START_NS = 30 * NSEC_PER_SEC;
static _Atomic uint64_t start_at_ns;

struct chan_app link_first;
_Atomic bool link_has_first;

static int attach_any(struct chan_app *app, const struct chan_paths *paths, char *text, size_t n)
{
	int err = -ENOENT;

	for (uint32_t i = 0; i < paths->n; i++) {
		struct chan_key key = app->key;
		int r = chan_app_attach(app, paths->path[i], text, n);

		if (r == 0)
			return 0;
		memset(app, 0, sizeof(*app));
		app->key = key;
		/* A refusal says more than "nobody there". */
		if (err == -ENOENT || err == -ECONNREFUSED)
			err = r;
	}
	return err;
}

static int start_engine(const char *socket, char *err)
{
	struct chan_start s = {
		.engine = getenv("FASTNET_ENGINE"),
		.socket = socket,
		.envp = environ,
		.timeout_ms = START_TIMEOUT_MS,
	};
	Dl_info self;

	if (dladdr(&link_first, &self) && self.dli_fname)
		s.beside = self.dli_fname;
	return chan_engine_start(&s, err);
}

/* No engine, or one that was just about to end. */
static bool is_nobody(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET || err == -EPIPE;
}

/* For `fastnet ss`. */
static void introduce(struct chan_app *app)
{
	struct chan_proc_b *p = &app->proc_b[app->proc];
	int fd = sys_open("/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
	char name[sizeof(p->name)] = { 0 };
	long n = fd < 0 ? 0 : sys_read(fd, name, sizeof(name) - 1);

	if (fd >= 0)
		sys_close(fd);
	if (n > 0 && name[n - 1] == '\n')
		name[n - 1] = 0;
	memcpy(p->name, name, sizeof(p->name));
	atomic_store(&p->pid, (uint32_t)sys_getpid());
}

int link_find(struct chan_app *app, const struct chan_key *key, char err[MTCP_CONF_TEXT])
{
	const char *socket = getenv("FASTNET_SOCKET"), *autostart = getenv("FASTNET_AUTOSTART");
	struct chan_paths paths;
	char text[CHAN_START_ERR_MAX] = "";
	int r;

	_Static_assert((int)CHAN_START_ERR_MAX <= (int)MTCP_CONF_TEXT, "the line fits");
	err[0] = 0;
	chan_engine_paths(&paths, socket);
	memset(app, 0, sizeof(*app));
	if (key)
		app->key = *key;
	r = attach_any(app, &paths, text, sizeof(text));
	if (is_nobody(r) && !(autostart && !strcmp(autostart, "0")) &&
	    chan_now_ns() >= atomic_load(&start_at_ns)) {
		r = start_engine(socket, text);
		if (r == 0)
			r = attach_any(app, &paths, text, sizeof(text));
		if (r < 0)
			atomic_store(&start_at_ns, chan_now_ns() + RETRY_START_NS);
	}
	if (r < 0)
		snprintf(err, MTCP_CONF_TEXT, "%s", *text ? text : strerror(-r));
	else
		introduce(app);
	return r;
}

int link_eventfd(void)
{
	int fd = (int)sys_call3(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0);

	return fd < 0 ? fd : chan_fd_high(fd);
}

/* ---- links ---- */
static int open_queue(struct link *l)
{
	int err;

	l->by_id = calloc(CHAN_MAX_SOCKS, sizeof(*l->by_id));
	if (!l->by_id)
		return -ENOMEM;
	err = chan_evq_open(&l->app, &l->evq, &l->bell_fd, -1);
	if (err) {
		free(l->by_id);
		l->by_id = NULL;
		return err;
	}
	l->overflow = atomic_load_explicit(&chan_evq_a(&l->app, l->evq)->overflow, memory_order_relaxed);
	return 0;
}

static void link_free(struct link *l)
{
	sys_close(l->bell_fd);
	free(l->by_id);
	chan_app_detach(&l->app);
	memset(l, 0, sizeof(*l));
}

static void link_close(struct link *l)
{
	chan_evq_close(&l->app, l->evq);
	link_free(l);
}

/* A place for one more; what nobody needs any more goes. */
static struct link *free_link(struct mtcp_context *m)
{
	for (int i = 0; i < MTCP_LINKS; i++) {
		struct link *l = &m->link[i];

		if (l->open && !l->socks && !link_serves(l)) {
			if (m->current == l)
				m->current = NULL;
			link_close(l);
		}
		if (!l->open)
			return l;
	}
	return NULL;
}

static struct link *link_open(struct mtcp_context *m)
{
	struct chan_key key = { 0 };
	char err[MTCP_CONF_TEXT];
	struct link *l;
	int r = 0;

	if (m->current)
		key = m->current->app.key;
	l = free_link(m);
	if (!l)
		return NULL;
	if (atomic_exchange(&link_has_first, false)) {
		l->app = link_first;
		memset(&link_first, 0, sizeof(link_first));
		if (!chan_alive(&l->app)) {
			chan_app_detach(&l->app);
			r = link_find(&l->app, &key, err);
		}
	} else {
		r = link_find(&l->app, &key, err);
	}
	if (r == 0) {
		r = open_queue(l);
		if (r)
			chan_app_detach(&l->app);
	}
	if (r) {
		memset(l, 0, sizeof(*l));
		return NULL;
	}
	l->open = true;
	return l;
}

struct link *link_get(struct mtcp_context *m)
{
	uint64_t now;
	struct link *l;

	if (likely(m->current && link_serves(m->current)))
		return m->current;
	now = chan_now_ns();
	if (now >= m->retry_ns) {
		m->retry_ns = now + RETRY_NS;
		l = link_open(m);
		/* Attached once more to one that hands over: the next try will be better. */
		if (l && (link_serves(l) || !m->current)) {
			m->current = l;
			return l;
		}
		if (l)
			link_close(l);
	}
	if (m->current && chan_alive(&m->current->app))
		return m->current;
	errno = ENETDOWN;
	return NULL;
}

void link_enter(struct mtcp_context *m, struct slot *s, struct link *l, uint32_t id, uint32_t gen)
{
	uint32_t number = (uint32_t)slot_number(m, s) + 1;
	struct chan_proc_b *p = &l->app.proc_b[l->app.proc];

	s->link = l;
	s->id = id;
	s->gen = gen;
	l->socks++;
	l->by_id[id] = number;
	s->edge = (struct edge){ 0 };
	atomic_fetch_add_explicit(&p->on_stack, 1, memory_order_relaxed);
	if (s->set)
		set_attached(s);
}

void link_leave(struct mtcp_context *m, struct slot *s)
{
	struct link *l = s->link;

	if (!l)
		return;
	l->by_id[s->id] = 0;
	l->socks--;
	s->link = NULL;
	chan_unsubscribe(&l->app, s->id, l->evq);
	chan_unhold(&l->app, s->id);
}

void link_close_all(struct mtcp_context *m)
{
	for (int i = 0; i < MTCP_LINKS; i++)
		if (m->link[i].open)
			link_close(&m->link[i]);
	m->current = NULL;
}

void link_forget_all(struct mtcp_context *m)
{
	for (int i = 0; i < MTCP_LINKS; i++)
		if (m->link[i].open)
			link_free(&m->link[i]);
	m->current = NULL;
}
