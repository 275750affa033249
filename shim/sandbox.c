/* Exported: prctl(), by which programs confine themselves; see sandbox.h. */
// SPDX-License-Identifier: MIT
#include "shim/sandbox.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include "shim/engine.h"
#include "shim/epoll.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/poll.h"
#include "stack/chan/app.h"
#include "stack/chan/lock.h"
#include "stack/chan/wait.h"

/* A set that a fork has left behind becomes this process' own on first use: now. */
static void adopt_sets(void)
{
	for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1)) {
		struct object *o = fdtab_get_type(fd, OBJECT_EPOLL);

		if (!o)
			continue;
		epoll_set_is_ready(container_of(o, struct epoll_set, obj), fd);
		fdtab_put(o);
	}
}

void sandbox_prepare(void)
{
	struct chan_app *app;
	int saved = errno;

	chan_tid();
	for (unsigned i = 0; (app = engine_nth(&i)) != NULL; i++) {
		if (!chan_alive(app))
			continue;
		chan_extent_all(app);
		poll_prepare(app);
	}
	adopt_sets();
	chan_wait_plainly();
	errno = saved;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a, b, c, d;
	va_list ap;

	va_start(ap, option);
	a = va_arg(ap, unsigned long);
	b = va_arg(ap, unsigned long);
	c = va_arg(ap, unsigned long);
	d = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP)
		sandbox_prepare();
	return libc.prctl(option, a, b, c, d);
}
