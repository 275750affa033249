/* Signals that meet the shim with its own lists half changed. The program's handler may call the very
 * functions that it interrupted, which works in the kernel; so it runs a moment later: what arrived is kept,
 * everything is blocked, and when the lists are whole again the signal is sent anew and the mask opened. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include "shim/signal.h"
#include "stack/base/sys.h"
#include "stack/base/util.h"

SIGNAL_TLS uint32_t signal_held;
SIGNAL_TLS bool signal_kept;
/* One is enough: from the first on all are blocked. */
static SIGNAL_TLS siginfo_t kept_info;
static SIGNAL_TLS int kept_sig;
static SIGNAL_TLS bool kept_has_info;
static SIGNAL_TLS uint64_t kept_mask;

static const int at_once[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

bool signal_keep(int sig, int flags, const siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t all = UINT64_MAX;

	/* The kernel has taken such a handler out already, so it can't be sent again. */
	if (flags & SA_RESETHAND)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(at_once); i++) {
		if (sig == at_once[i])
			return false;
		all &= ~(1ull << (at_once[i] - 1));
	}
	kept_sig = sig;
	kept_has_info = flags & SA_SIGINFO; /* there is none otherwise */
	if (kept_has_info)
		kept_info = *info;
	/* The kernel's mask: 64 bits, restored from here when the handler returns. */
	memcpy(&kept_mask, &uc->uc_sigmask, sizeof(kept_mask));
	memcpy(&uc->uc_sigmask, &all, sizeof(all));
	signal_kept = true;
	return true;
}

static void open_mask(void)
{
	uint64_t mask = kept_mask;

	signal_kept = false;
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask));
}

void signal_send_kept(void)
{
	long pid = sys_getpid(), tid = sys_gettid();

	if (!kept_has_info ||
	    sys_call4(SYS_rt_tgsigqueueinfo, pid, tid, kept_sig, (long)&kept_info) < 0)
		sys_call3(SYS_tgkill, pid, tid, kept_sig);
	open_mask();
}

void signal_forget_kept(void)
{
	if (signal_kept)
		open_mask();
}
