/* Exported: sigaction and signal. The handler that the kernel gets counts and calls the program's; what
 * the program asks back is its own. */
// SPDX-License-Identifier: MIT
#include "shim/signal.h"
#include <stdbool.h>
#include "shim/libc.h"
#include "stack/base/util.h"

typedef void (*handler_fn)(int sig, siginfo_t *info, void *context);

SIGNAL_TLS _Atomic uint32_t signal_runs[SIGNAL_COUNTS];
SIGNAL_TLS uint32_t signal_mark[SIGNAL_COUNTS];

/* Two places for each signal: a new handler goes into the one that is not installed, so that the change
 * is the kernel's, in one moment. */
struct place {
	_Atomic(handler_fn) fn;
	_Atomic int flags;
};
enum { PLACES = 2 };
static struct place places[_NSIG][PLACES];

static void run(struct place *p, int sig, siginfo_t *info, void *context)
{
	uint32_t mark[SIGNAL_COUNTS] = { signal_mark[SIGNAL_ANY], signal_mark[SIGNAL_ENDS] };

	atomic_fetch_add_explicit(&signal_runs[SIGNAL_ANY], 1, memory_order_relaxed);
	if (!(atomic_load_explicit(&p->flags, memory_order_relaxed) & SA_RESTART))
		atomic_fetch_add_explicit(&signal_runs[SIGNAL_ENDS], 1, memory_order_relaxed);
	atomic_load_explicit(&p->fn, memory_order_acquire)(sig, info, context);
	/* Calls of the handler have begun and ended; the interrupted one goes on. */
	signal_mark[SIGNAL_ANY] = mark[SIGNAL_ANY];
	signal_mark[SIGNAL_ENDS] = mark[SIGNAL_ENDS];
}

static void run_first(int sig, siginfo_t *info, void *context)
{
	run(&places[sig][0], sig, info, context);
}

static void run_second(int sig, siginfo_t *info, void *context)
{
	run(&places[sig][1], sig, info, context);
}

static const handler_fn runners[PLACES] = { run_first, run_second };

/* One or three arguments: the kernel passes three to either. */
static inline handler_fn wide(sighandler_t fn)
{
	return (handler_fn)(void *)fn;
}
static inline sighandler_t narrow(handler_fn fn)
{
	return (sighandler_t)(void *)fn;
}

/* Which place of sig leads to fn, -1: none, it is a handler like any other. */
static int place_of(handler_fn fn)
{
	for (int i = 0; i < PLACES; i++)
		if (fn == runners[i])
			return i;
	return -1;
}

static bool is_handler(handler_fn fn)
{
	return fn != wide(SIG_DFL) && fn != wide(SIG_IGN) && fn != wide(SIG_ERR);
}

/* The program's own function, where it may see one. */
static handler_fn unwrap(int sig, handler_fn fn)
{
	int i = place_of(fn);

	return i < 0 ? fn : atomic_load_explicit(&places[sig][i].fn, memory_order_acquire);
}

/* Puts fn into the free place of sig; what the kernel is to get. */
static handler_fn wrap(int sig, handler_fn fn, int flags)
{
	struct sigaction now;
	int i;

	fn = unwrap(sig, fn); /* saved by someone who asked the kernel behind our back */
	if (!is_handler(fn) || libc.sigaction(sig, NULL, &now) < 0)
		return fn;
	i = place_of(now.sa_sigaction) == 0 ? 1 : 0;
	atomic_store_explicit(&places[sig][i].flags, flags, memory_order_relaxed);
	atomic_store_explicit(&places[sig][i].fn, fn, memory_order_release);
	return runners[i];
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction mine, was;
	int r;

	if (sig <= 0 || sig >= _NSIG || (uintptr_t)act - 1 < 4095)
		return libc.sigaction(sig, act, old);
	if (act) {
		mine = *act;
		mine.sa_sigaction = wrap(sig, act->sa_sigaction, act->sa_flags);
	}
	r = libc.sigaction(sig, act ? &mine : NULL, &was);
	if (r == 0 && old) {
		was.sa_sigaction = unwrap(sig, was.sa_sigaction);
		*old = was;
	}
	return r;
}
EXPORT_ALIAS(__sigaction, sigaction);

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	struct sigaction now;
	sighandler_t was;
	handler_fn mine;
	int i;

	if (sig <= 0 || sig >= _NSIG || !is_handler(wide(handler))) {
		was = libc.signal(sig, handler);
		return sig > 0 && sig < _NSIG && was != SIG_ERR ?
			       narrow(unwrap(sig, wide(was))) :
			       was;
	}
	mine = wrap(sig, wide(handler), SA_RESTART);
	was = libc.signal(sig, narrow(mine));
	if (was == SIG_ERR)
		return was;
	/* siginterrupt() may have said otherwise about SA_RESTART. */
	i = place_of(mine);
	if (i >= 0 && libc.sigaction(sig, NULL, &now) == 0)
		atomic_store_explicit(&places[sig][i].flags, now.sa_flags, memory_order_relaxed);
	return narrow(unwrap(sig, wide(was)));
}
