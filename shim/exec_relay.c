/* An exec of a program that can't have the shim (static, setuid, another architecture): connections
 * become tickets, whose bytes the relay passes on (stack/chan/ticket.h). What the kernel has of the
 * others - the twin of a listener, the kernel's half of a datagram socket - is all that the program
 * gets. */
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include "shim/exec.h"
#include "shim/explain.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/pass_ticket.h"
#include "shim/process.h"
#include "shim/sock_conn.h"

/* Another number of the same socket has one already. */
static int ticket_of(const struct exec_relay *r, const struct sock *s)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->at[i].sock == s && r->at[i].was >= 0)
			return libc.fcntl(r->at[i].fd, F_DUPFD_CLOEXEC, 0);
	return -1;
}

static int new_ticket(struct sock *s)
{
	int t = pass_ticket_for_relay(s);

	if (t >= 0 && sock_is_nonblocking(s))
		libc.fcntl(t, F_SETFL, O_NONBLOCK);
	return t;
}

/* The kernel's half was non-blocking for us. */
static void bare_twin(struct exec_relay *r, struct sock *s, int fd)
{
	r->at[r->n].was = -1;
	r->at[r->n].fl = libc.fcntl(fd, F_GETFL);
	libc.fcntl(fd, F_SETFL, (int)atomic_load(&s->b->file_flags));
	r->n++;
}

static void give_ticket(struct exec_relay *r, struct sock *s, int fd)
{
	int t = ticket_of(r, s), was;

	if (t < 0)
		t = new_ticket(s);
	if (t < 0) {
		explain_kernel(CHAN_REASON_exec_unshimmed);
		return;
	}
	was = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (was >= 0 && libc.dup2(t, fd) >= 0)
		r->at[r->n++].was = was;
	else if (was >= 0)
		libc.close(was);
	libc.close(t);
}

static void prepare(struct exec_relay *r, struct sock *s, int fd)
{
	if (sock_mode(s) == SOCK_UNDECIDED)
		sock_to_kernel(s, CHAN_REASON_exec_unshimmed);
	if (sock_mode(s) == SOCK_KERNEL)
		return;
	r->at[r->n].fd = fd;
	r->at[r->n].sock = s;
	if (sock_is_dgram(s) || sock_has(s, SOCK_LISTENING)) {
		explain_kernel(CHAN_REASON_exec_unshimmed);
		if (!sock_is_dgram(s) && sock_has(s, SOCK_TWIN))
			bare_twin(r, s, fd);
	} else if (sock_is_attached(s) && !sock_is_dead(s)) {
		give_ticket(r, s, fd);
	}
}

void exec_relay_begins(struct exec_relay *r)
{
	int saved = errno;

	r->n = 0;
	if (!process_lock())
		return;
	r->begun = true;
	for (int fd = fdtab_next(0); fd >= 0 && r->n < EXEC_RELAYS; fd = fdtab_next(fd + 1)) {
		struct sock *s = sock_get(fd);
		int flags = s ? libc.fcntl(fd, F_GETFD) : -1;

		if (flags >= 0 && !(flags & FD_CLOEXEC))
			prepare(r, s, fd);
		if (s)
			sock_put(s);
	}
	errno = saved;
}

void exec_relay_undo(struct exec_relay *r)
{
	int saved = errno;

	if (!r->begun)
		return;
	r->begun = false;
	while (r->n > 0) {
		r->n--;
		if (r->at[r->n].was < 0) {
			libc.fcntl(r->at[r->n].fd, F_SETFL, r->at[r->n].fl);
			continue;
		}
		libc.dup2(r->at[r->n].was, r->at[r->n].fd);
		libc.close(r->at[r->n].was);
	}
	process_unlock();
	errno = saved;
}
