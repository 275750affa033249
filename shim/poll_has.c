/* Is anything of ours among the descriptors of a poll() or select()? What programs that have nothing to do
 * with us pay for the answer. */
// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/poll.h"
#include "stack/chan/user.h"

enum { BITS = 64 };

bool poll_has_ours(struct pollfd *fds, nfds_t n)
{
	enum { FEW = 16 };
	struct rlimit lim;
	uint32_t fd;

	if (!fault_guards(SIGSEGV)) /* no socket of ours yet, and nobody to catch a bad pointer */
		return false;
	fault_thread();
	/* More than there can be: the kernel says EINVAL without looking at them, and so may we not. */
	if (n > FEW && (getrlimit(RLIMIT_NOFILE, &lim) < 0 || n > lim.rlim_cur))
		return false;
	for (nfds_t i = 0; i < n; i++) {
		if (unlikely(user_get32(&fd, (const uint32_t *)&fds[i].fd) < 0))
			return false;
		if (fdtab_has((int)fd))
			return true;
	}
	return false;
}

/* Adds what a set has in word i; false: it can't be read. */
static inline bool add_word(uint64_t *all, const fd_set *set, int i)
{
	uint64_t one;

	if (!set)
		return true;
	if (unlikely(user_get64(&one, (const uint64_t *)set + i) < 0))
		return false;
	*all |= one;
	return true;
}

/* For who nearly always hears no: a few nanoseconds. */
bool select_has_ours(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	int end = fdtab_end();

	n = n < end ? n : end;
	if (n <= 0 || !fault_guards(SIGSEGV))
		return false;
	fault_thread();
	for (int i = 0; i < n; i += BITS) {
		uint64_t all = 0;

		if (!add_word(&all, r, i / BITS) || !add_word(&all, w, i / BITS) ||
		    !add_word(&all, x, i / BITS))
			return false;
		if (n - i < BITS)
			all &= (1ull << (n - i)) - 1;
		for (; all; all &= all - 1)
			if (fdtab_has(i + __builtin_ctzll(all)))
				return true;
	}
	return false;
}
