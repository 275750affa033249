/* Exported: sigaction and signal. The handler that the kernel gets counts and calls the program's; what
 * the program asks back is its own. For SIGSEGV and SIGBUS, once fault.c guards them, the kernel always gets
 * a handler of ours, also where the program has SIG_DFL or SIG_IGN. */
// SPDX-License-Identifier: MIT
#include "shim/signal.h"
#include "shim/fault.h"
#include "shim/libc.h"
#include "stack/base/util.h"

typedef void (*handler_fn)(int sig, siginfo_t *info, void *context);

SIGNAL_TLS _Atomic uint32_t signal_runs[SIGNAL_COUNTS];
SIGNAL_TLS uint32_t signal_mark[SIGNAL_COUNTS];
SIGNAL_TLS uint32_t signal_depth;

/* Two places for each signal: a new handler goes into the one that is not installed, so that the change
 * is the kernel's, in one moment. */
struct place {
	_Atomic(handler_fn) fn;
	_Atomic int flags; /* as the program gave them */
};
enum { PLACES = 2 };
static struct place places[_NSIG][PLACES];

/* One or three arguments: the kernel passes three to either. */
static inline handler_fn wide(sighandler_t fn)
{
	return (handler_fn)(void *)fn;
}
static inline sighandler_t narrow(handler_fn fn)
{
	return (sighandler_t)(void *)fn;
}

static bool is_handler(handler_fn fn)
{
	return fn != wide(SIG_DFL) && fn != wide(SIG_IGN) && fn != wide(SIG_ERR);
}

/* True: done with, no handler of the program's is to run. */
static bool run_guarded(struct place *p, int sig, siginfo_t *info, void *context)
{
	handler_fn fn;

	if (fault_caught(sig, info, context))
		return true;
	fn = atomic_load_explicit(&p->fn, memory_order_acquire);
	if (!is_handler(fn)) {
		fault_unhandled(sig, info, fn == wide(SIG_IGN));
		return true;
	}
	return false;
}

static void run(struct place *p, int sig, siginfo_t *info, void *context)
{
	uint32_t mark[SIGNAL_COUNTS] = { signal_mark[SIGNAL_ANY], signal_mark[SIGNAL_ENDS] };
	int flags = atomic_load_explicit(&p->flags, memory_order_relaxed);
	handler_fn fn;

	if (unlikely(fault_guards(sig)) && run_guarded(p, sig, info, context))
		return;
	if (unlikely(signal_held) && signal_keep(sig, flags, info, context))
		return;
	atomic_fetch_add_explicit(&signal_runs[SIGNAL_ANY], 1, memory_order_relaxed);
	if (!(flags & SA_RESTART))
		atomic_fetch_add_explicit(&signal_runs[SIGNAL_ENDS], 1, memory_order_relaxed);
	fn = atomic_load_explicit(&p->fn, memory_order_acquire);
	/* The kernel, asked to, would have reset our handler. */
	if (flags & SA_RESETHAND && fault_guards(sig))
		atomic_store_explicit(&p->fn, wide(SIG_DFL), memory_order_release);
	signal_depth++;
	fn(sig, info, context);
	signal_depth--;
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

/* Which place of sig leads to fn, -1: none, it is a handler like any other. */
static int place_of(handler_fn fn)
{
	for (int i = 0; i < PLACES; i++)
		if (fn == runners[i])
			return i;
	return -1;
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
	if (fn == wide(SIG_ERR) || (!is_handler(fn) && !fault_guards(sig)) ||
	    libc.sigaction(sig, NULL, &now) < 0)
		return fn;
	i = place_of(now.sa_sigaction) == 0 ? 1 : 0;
	atomic_store_explicit(&places[sig][i].flags, flags, memory_order_relaxed);
	atomic_store_explicit(&places[sig][i].fn, fn, memory_order_release);
	return runners[i];
}

/* A guarded signal's handler needs the three arguments and must stay; the rest is as the program has it,
 * so that mask, stack and nesting are the kernel's work. */
enum { OURS = SA_SIGINFO | SA_RESETHAND };

/* What the kernel says about sig, as the program is to see it. */
static void as_given(int sig, struct sigaction *sa)
{
	int i = place_of(sa->sa_sigaction);

	if (i >= 0 && fault_guards(sig))
		sa->sa_flags = (sa->sa_flags & ~OURS) |
			       (atomic_load_explicit(&places[sig][i].flags, memory_order_relaxed) & OURS);
	sa->sa_sigaction = unwrap(sig, sa->sa_sigaction);
}

int signal_replace(int sig, const struct sigaction *act, struct sigaction *was)
{
	struct sigaction mine = *act;

	mine.sa_sigaction = wrap(sig, act->sa_sigaction, act->sa_flags);
	if (fault_guards(sig))
		mine.sa_flags = (mine.sa_flags & ~OURS) | SA_SIGINFO;
	return libc.sigaction(sig, &mine, was);
}

bool signal_is_ignored(int sig)
{
	struct sigaction now;

	return libc.sigaction(sig, NULL, &now) == 0 && unwrap(sig, now.sa_sigaction) == wide(SIG_IGN);
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction was;
	int r;

	if (sig <= 0 || sig >= _NSIG || (uintptr_t)act - 1 < 4095)
		return libc.sigaction(sig, act, old);
	r = act ? signal_replace(sig, act, &was) : libc.sigaction(sig, NULL, &was);
	if (r == 0 && old) {
		as_given(sig, &was);
		*old = was;
	}
	return r;
}
EXPORT_ALIAS(__sigaction, sigaction);

/* signal() of a guarded signal. (siginterrupt() of these two is not followed.) */
static sighandler_t signal_guarded(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART }, was;

	sigaddset(&act.sa_mask, sig);
	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return signal_replace(sig, &act, &was) < 0 ? SIG_ERR : narrow(unwrap(sig, was.sa_sigaction));
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	struct sigaction now;
	sighandler_t was;
	handler_fn mine;
	int i;

	if (fault_guards(sig))
		return signal_guarded(sig, handler);
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
