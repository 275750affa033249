/* Finding, starting and attaching to an engine. */
// SPDX-License-Identifier: MIT
#include "shim/engine.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shim/deephook.h"
#include "shim/explain.h"
#include "shim/fdtab.h"
#include "shim/sock.h"
#include "shim/wait.h"
#include "stack/chan/lock.h"
#include "stack/chan/start.h"
#include "stack/chan/ticket.h"

enum {
	MAX_ATTACHED = 16, /* engines whose sockets are still open, the living one included */
	START_TIMEOUT_MS = 10000,
};
/* After a failure: how long new sockets go to the kernel without another try. Connecting in vain is
 * cheap; starting is not, and what stopped it (no privilege, no program) does not pass quickly. */
static const uint64_t RETRY_CONNECT_NS = 200 * NSEC_PER_MSEC;
static const uint64_t RETRY_START_NS = 30 * NSEC_PER_SEC;

struct attachment {
	struct chan_app app;
	_Atomic uint32_t refs; /* sockets and event queues in use + 1 while it is the current one */
	_Atomic uint32_t in_use;
};
static struct attachment attached[MAX_ATTACHED];
static _Atomic(struct attachment *) current;
static _Atomic uint32_t lock;
static _Atomic uint64_t retry_at_ns, restart_at_ns;
static _Atomic uint32_t last_why;
/* Of the first client that this process, or the one it was forked from, was part of. Under the lock. */
static struct chan_key client_key;

static bool env_is(const char *name, const char *word, bool otherwise)
{
	const char *v = getenv(name);

	return v && *v ? !strcmp(v, word) : otherwise;
}

/* Programs overwrite their environment (setproctitle), so strings are copied. */
static const char *env_copy(char *to, size_t n, const char *name)
{
	const char *v = getenv(name);
	size_t len = v ? strlen(v) : 0;

	if (len == 0 || len >= n)
		return NULL;
	memcpy(to, v, len + 1);
	return to;
}

const struct engine_config *engine_config(void)
{
	static struct engine_config config;
	static char socket_path[CHAN_PATH_MAX], engine_path[PATH_MAX];
	static _Atomic bool ready;

	if (likely(atomic_load_explicit(&ready, memory_order_acquire)))
		return &config;
	config = (struct engine_config){
		.disabled = env_is("FASTNET_DISABLE", "1", false),
		.autostart = !env_is("FASTNET_AUTOSTART", "0", false),
		.fail = env_is("FASTNET_FALLBACK", "fail", false),
		.loopback = env_is("FASTNET_LOOPBACK", "stack", false),
		.deephook = !env_is("FASTNET_DEEPHOOK", "0", false),
		.socket = env_copy(socket_path, sizeof(socket_path), "FASTNET_SOCKET"),
		.engine = env_copy(engine_path, sizeof(engine_path), "FASTNET_ENGINE"),
	};
	atomic_store_explicit(&ready, true, memory_order_release);
	return &config;
}

/* ---- references ---- */
void engine_ref(struct chan_app *app)
{
	atomic_fetch_add(&container_of(app, struct attachment, app)->refs, 1);
}

/* Descriptors first: they are in the table, and detach closes by number. */
static void unhide(struct attachment *t)
{
	struct chan_app *app = &t->app;

	for (uint32_t w = 0; w < app->n_workers; w++)
		fdtab_hidden_close(&app->event_fd[w]);
	for (unsigned i = 0; i < CHAN_BELLS; i++)
		if (app->bell[i].key)
			fdtab_hidden_close(&app->bell[i].fd);
	fdtab_hidden_close(&app->fd);
}

void engine_put(struct chan_app *app)
{
	struct attachment *t = container_of(app, struct attachment, app);

	if (atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	explain_detached(app);
	unhide(t);
	chan_app_detach(app);
	memset(app, 0, sizeof(*app));
	atomic_store(&t->in_use, 0);
}

void engine_leave(struct chan_app *old)
{
	static struct chan_app *last;
	static uint32_t n, refs;
	static _Atomic uint32_t leave_lock;
	struct chan_app *done = NULL;

	/* Busy (or left so by a fork): that one reference stays for good. */
	if (chan_trylock(&leave_lock) < 0)
		return;
	if (old != last) {
		done = last;
		n = refs;
		last = old;
		refs = 0;
	}
	refs++;
	while (done && n > 0) {
		n--;
		engine_put(done);
	}
	chan_unlock(&leave_lock);
}

static bool try_ref(struct attachment *t)
{
	uint32_t n = atomic_load(&t->refs);

	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak(&t->refs, &n, n + 1));
	return true;
}

struct chan_app *engine_nth(unsigned *i)
{
	for (; *i < MAX_ATTACHED; (*i)++)
		if (atomic_load(&attached[*i].refs))
			return &attached[*i].app;
	return NULL;
}

/* New sockets belong there. */
static inline bool serves(const struct chan_app *app)
{
	return chan_alive(app) && !chan_moved(app);
}

bool engine_is_lost(void)
{
	struct attachment *t = atomic_load_explicit(&current, memory_order_acquire);

	return t && !serves(&t->app);
}

/* What another thread was attaching is the parent's: it must not seem to live on in us. */
static void drop_unfinished(struct attachment *t)
{
	if (t->app.fd > 0)
		fdtab_hidden_close(&t->app.fd);
	memset(&t->app, 0, sizeof(t->app));
	atomic_store(&t->in_use, 0);
}

void engine_after_fork(void)
{
	for (unsigned i = 0; i < MAX_ATTACHED; i++)
		if (atomic_load(&attached[i].in_use) && !atomic_load(&attached[i].refs))
			drop_unfinished(&attached[i]);
	atomic_store(&lock, 0);
	atomic_store(&retry_at_ns, 0);
}

/* ---- attaching ---- */
static enum chan_reason reason_of(int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return CHAN_REASON_no_engine;
	case -EXDEV:
		return CHAN_REASON_other_netns;
	case -EPERM:
	case -ENOSYS:
		return CHAN_REASON_sandbox;
	case -EMFILE:
	case -ENFILE:
		return CHAN_REASON_fd_limit;
	default:
		return CHAN_REASON_engine_refused;
	}
}

static int attach_any(struct chan_app *app, const struct chan_paths *paths)
{
	int err = -ENOENT;

	for (uint32_t i = 0; i < paths->n; i++) {
		int r = chan_app_attach(app, paths->path[i], NULL, 0);

		if (r == 0)
			return 0;
		/* A refusal says more than "nobody there". */
		if (err == -ENOENT || err == -ECONNREFUSED)
			err = r;
	}
	return err;
}

static int start(void)
{
	const struct engine_config *c = engine_config();
	char err[CHAN_START_ERR_MAX];
	Dl_info self;
	struct chan_start s = {
		.socket = c->socket,
		.envp = environ,
		.engine = c->engine,
		.timeout_ms = START_TIMEOUT_MS,
	};

	if (dladdr(&attached, &self) && self.dli_fname)
		s.beside = self.dli_fname;
	return chan_engine_start(&s, err);
}

static int hide(struct chan_app *app)
{
	int r = fdtab_hide_here(app->fd, &app->fd);

	app->hide = fdtab_hide_here;
	app->unhide = fdtab_hidden_close;
	for (uint32_t w = 0; r >= 0 && w < app->n_workers; w++)
		r = fdtab_hide_here(app->event_fd[w], &app->event_fd[w]);
	return r;
}

static struct attachment *free_slot(void)
{
	for (unsigned i = 0; i < MAX_ATTACHED; i++) {
		uint32_t free = 0;

		if (atomic_compare_exchange_strong(&attached[i].in_use, &free, 1))
			return &attached[i];
	}
	return NULL;
}

/* t->app is attached. The references: one for the caller, one for being the current one. */
static void attached_now(struct attachment *t)
{
	hide(&t->app);
	atomic_store(&t->refs, 2);
	explain_attached(&t->app);
	deephook_install();
}

/* t is the current one if there is none, or none that serves. With t's reference for that. */
static void make_current(struct attachment *t)
{
	struct attachment *old = atomic_load(&current);

	if ((old && (serves(&old->app) || !serves(&t->app))) ||
	    !atomic_compare_exchange_strong(&current, &old, t)) {
		engine_put(&t->app);
		return;
	}
	client_key = t->app.key;
	if (old) {
		sock_revive_soon();
		engine_put(&old->app);
	}
}

struct chan_app *engine_adopt(int token)
{
	struct attachment *t = free_slot();

	if (!t || chan_app_image(&t->app, token) < 0) {
		if (t)
			atomic_store(&t->in_use, 0);
		return NULL;
	}
	attached_now(t);
	make_current(t);
	return &t->app;
}

/* As the client that has this key, if there is one. Under the lock; the result has a reference for the
 * caller and one for being the current one. */
static struct attachment *attach(const struct chan_key *key, int *err)
{
	struct attachment *t = free_slot();
	struct chan_paths paths;
	uint64_t now = wait_now_ns();

	*err = -ENFILE;
	if (!t)
		return NULL;
	chan_engine_paths(&paths, engine_config()->socket);
	t->app.key = *key;
	*err = attach_any(&t->app, &paths);
	if ((*err == -ENOENT || *err == -ECONNREFUSED) && engine_config()->autostart &&
	    now >= atomic_load(&restart_at_ns)) {
		int r = start();

		if (r == 0)
			*err = attach_any(&t->app, &paths);
		if (r != 0 || *err != 0)
			atomic_store(&restart_at_ns, wait_now_ns() + RETRY_START_NS);
	}
	if (*err) {
		memset(&t->app, 0, sizeof(t->app));
		atomic_store(&t->in_use, 0);
		return NULL;
	}
	attached_now(t);
	return t;
}

/* Not attached yet: the ticket's engine makes this process one of the ticket's client. */
static struct chan_app *join(int fd)
{
	int token[CHAN_TICKET_FDS];
	struct chan_paths paths;
	struct chan_msg m;

	chan_engine_paths(&paths, engine_config()->socket);
	for (uint32_t i = 0; i < paths.n; i++) {
		unsigned n = CHAN_TICKET_FDS;
		int r = chan_ticket_claim_at(paths.path[i], fd, &m, token, &n);

		if (r == 0 && n == 1 && m.kind == CHAN_CLAIM_OTHER)
			return engine_adopt(token[0]);
		while (r == 0 && n > 0)
			sys_close(token[--n]);
	}
	return NULL;
}

struct chan_app *engine_for_ticket(int fd)
{
	struct chan_app *app = NULL;
	enum chan_reason no;
	struct attachment *t;

	if (engine_config()->disabled || chan_lock(&lock) < 0)
		return NULL;
	t = atomic_load(&current);
	if (!t)
		app = join(fd);
	chan_unlock(&lock);
	return t ? engine_get(&no) : app;
}

struct chan_app *engine_moved(unsigned *i)
{
	for (; *i < MAX_ATTACHED; (*i)++) {
		struct attachment *t = &attached[*i];

		if (!try_ref(t))
			continue;
		if (chan_alive(&t->app) && chan_moved(&t->app))
			return &t->app;
		engine_put(&t->app);
	}
	return NULL;
}

struct chan_app *engine_of_client(const struct chan_app *app, uint32_t client)
{
	for (unsigned i = 0; i < MAX_ATTACHED; i++) {
		struct attachment *t = &attached[i];

		if (!try_ref(t))
			continue;
		if (chan_alive(&t->app) && t->app.client == client && t->app.e->pid == app->e->pid)
			return &t->app;
		engine_put(&t->app);
	}
	return NULL;
}

/* old, which serves no more, for want of a better one. */
static struct chan_app *make_do(struct attachment *old)
{
	return old && chan_alive(&old->app) && try_ref(old) ? &old->app : NULL;
}

static struct chan_app *get_slow(enum chan_reason *why)
{
	struct chan_app *app = NULL;
	struct attachment *t, *old;
	int err = 0;

	/* A signal handler that makes a socket while this thread is attaching gets a kernel one. */
	*why = CHAN_REASON_no_engine;
	if (chan_lock(&lock) < 0)
		return NULL;
	old = atomic_load(&current);
	if (old && serves(&old->app)) {
		engine_ref(&old->app);
		chan_unlock(&lock);
		return &old->app;
	}
	/* It stays the current one until there is another: engine_is_lost(). */
	t = attach(&client_key, &err);
	if (t) {
		client_key = t->app.key;
		atomic_store(&current, t);
	} else {
		app = make_do(old);
		*why = reason_of(err);
		if (old && *why == CHAN_REASON_no_engine)
			*why = CHAN_REASON_engine_gone;
		atomic_store(&last_why, *why);
		atomic_store(&retry_at_ns, wait_now_ns() + RETRY_CONNECT_NS);
	}
	chan_unlock(&lock);
	if (t && old) {
		sock_revive_soon();
		engine_put(&old->app);
	}
	return t ? &t->app : app;
}

struct chan_app *engine_get(enum chan_reason *why)
{
	struct attachment *t = atomic_load_explicit(&current, memory_order_acquire);
	int saved = errno;
	struct chan_app *app;

	if (likely(t && serves(&t->app) && try_ref(t))) {
		if (likely(t == atomic_load_explicit(&current, memory_order_acquire)))
			return &t->app;
		engine_put(&t->app);
	}
	if (atomic_load(&retry_at_ns) > wait_now_ns()) {
		*why = (enum chan_reason)atomic_load(&last_why);
		return make_do(t);
	}
	app = get_slow(why);
	errno = saved;
	return app;
}

/* The one that serves and is attached as the client with this nonce. */
static struct chan_app *serving_as(uint64_t nonce)
{
	for (unsigned i = 0; i < MAX_ATTACHED; i++) {
		struct attachment *t = &attached[i];

		if (!try_ref(t))
			continue;
		if (serves(&t->app) && t->app.key.nonce == nonce)
			return &t->app;
		engine_put(&t->app);
	}
	return NULL;
}

struct chan_app *engine_next(const struct chan_app *old)
{
	enum chan_reason no;
	struct chan_app *app = engine_get(&no);
	struct attachment *t;
	int err;

	if (!app)
		return NULL;
	if (serves(app) && (!old->key.nonce || old->key.nonce == app->key.nonce))
		return app;
	err = serves(app) ? chan_lock(&lock) : -EAGAIN;
	engine_put(app);
	if (err < 0)
		return NULL;
	/* Sockets that another client has passed to this process: their sharers are over there. */
	app = serving_as(old->key.nonce);
	if (!app && (t = attach(&old->key, &err)) != NULL) {
		app = &t->app;
		engine_put(app); /* it is not the current one */
	}
	chan_unlock(&lock);
	return app;
}
