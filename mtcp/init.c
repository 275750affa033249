/* The library as a whole: mtcp_init(), mtcp_destroy(), the configuration that programs see, signals. */
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "mtcp/ctx.h"
#include "mtcp/export.h"

static bool started;

static int init_fails(const char *what, int err)
{
	fprintf(stderr, "mtcp_init: %s\n", what);
	return fail(err);
}

static void drop_first(void)
{
	if (link_has_first)
		chan_app_detach(&link_first);
	link_has_first = false;
}

static void in_child(void)
{
	drop_first();
	ctx_after_fork();
	started = false;
}

EXPORT int mtcp_app_init(void) { return 0; }

EXPORT int mtcp_init(const char *config_file)
{
	char err[MTCP_CONF_TEXT], warn[MTCP_CONF_TEXT];
	static bool told;
	int r;

	if (started)
		return 0;
	if (config_file) {
		r = conf_read(config_file, err, warn);
		if (r < 0)
			return init_fails(err, -r);
		if (warn[0])
			fprintf(stderr, "mtcp_init: %s\n", warn);
	}
	r = link_find(&link_first, NULL, err);
	if (r < 0)
		return init_fails(err, -r);
	link_has_first = true;
	if (!told)
		pthread_atfork(NULL, NULL, in_child);
	told = started = true;
	ctx_allow(true);
	return 0;
}

EXPORT void mtcp_destroy(void)
{
	if (!started)
		return;
	ctx_allow(false);
	ctx_destroy_all();
	drop_first();
	started = false;
}

EXPORT int mtcp_getconf(struct mtcp_conf *conf)
{
	if (!conf)
		return fail(EINVAL);
	*conf = mtcp_config;
	return 0;
}

/* A member of 0 or less is left as it is. */
static void take(int *to, int v)
{
	if (v > 0)
		*to = v;
}

EXPORT int mtcp_setconf(const struct mtcp_conf *conf)
{
	if (!conf || conf->num_cores > MTCP_CONTEXTS || conf->max_concurrency > CHAN_MAX_SOCKS)
		return fail(EINVAL);
	take(&mtcp_config.num_cores, conf->num_cores);
	take(&mtcp_config.max_concurrency, conf->max_concurrency);
	take(&mtcp_config.max_num_buffers, conf->max_num_buffers);
	take(&mtcp_config.rcvbuf_size, conf->rcvbuf_size);
	take(&mtcp_config.sndbuf_size, conf->sndbuf_size);
	take(&mtcp_config.tcp_timewait, conf->tcp_timewait);
	take(&mtcp_config.tcp_timeout, conf->tcp_timeout);
	return 0;
}

/* ---- signals ---- */
static _Atomic(mtcp_sighandler_t) handlers[_NSIG];

/* Whichever thread the signal has come to: those that wait in a context hear of it. */
static void interrupt_all(void)
{
	uint64_t one = 1;

	for (int i = 0; i < MTCP_CONTEXTS; i++) {
		struct mtcp_context *m = &mtcp_contexts[i];

		if (!atomic_load_explicit(&m->live, memory_order_acquire))
			continue;
		atomic_fetch_add(&m->interrupts, 1);
		sys_write(m->kick_fd, &one, sizeof(one));
		sys_futex_wake(&m->interrupts, INT32_MAX);
	}
}

static void on_signal(int sig)
{
	mtcp_sighandler_t handler = atomic_load(&handlers[sig]);
	int saved = errno;

	if (handler)
		handler(sig);
	interrupt_all();
	errno = saved;
}

EXPORT mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler)
{
	bool plain = handler == SIG_DFL || handler == SIG_IGN;
	struct sigaction sa = { .sa_handler = plain ? handler : on_signal }, old;
	mtcp_sighandler_t was;

	if (signum <= 0 || signum >= _NSIG || handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	was = atomic_load(&handlers[signum]);
	if (!plain)
		atomic_store(&handlers[signum], handler);
	if (sigaction(signum, &sa, &old) < 0) {
		atomic_store(&handlers[signum], was);
		return SIG_ERR;
	}
	return old.sa_handler == on_signal ? was : old.sa_handler;
}
