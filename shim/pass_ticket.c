/* Tickets: made of a socket, and made a socket again. */
// SPDX-License-Identifier: MIT
#include "shim/pass_ticket.h"
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "shim/dgram.h"
#include "shim/engine.h"
#include "shim/explain.h"
#include "shim/fault.h"
#include "shim/handover.h"
#include "shim/libc.h"
#include "shim/sock_conn.h"
#include "stack/chan/lock.h"
#include "stack/chan/ticket.h"

/* What goes along with a ticket. */
enum { WITH_RECORD, WITH_FILE /* what is at the number */, WITH_LINE };

/* ---- out ---- */
bool pass_needs_ticket(struct sock *s)
{
	if (sock_mode(s) == SOCK_UNDECIDED)
		sock_to_kernel(s, CHAN_REASON_fork_shared);
	if (sock_is_dgram(s))
		dgram_settle(s);
	/* Of one whose engine has ended the kernel's half is all there is. */
	return sock_mode(s) == SOCK_STACK && sock_is_attached(s) && !sock_is_dead(s);
}

int pass_ticket(struct sock *s, int fd)
{
	struct chan_msg m = { .number = s->id, .size = s->gen };
	int line = atomic_load(&s->line_fd), ticket, r;
	int with[CHAN_TICKET_FDS] = { [WITH_RECORD] = handover_record(s), [WITH_FILE] = fd,
				      [WITH_LINE] = line };

	if (with[WITH_RECORD] < 0)
		return -ETOOMANYREFS;
	r = chan_ticket_open(s->app, &m, with, line < 0 ? WITH_LINE : CHAN_TICKET_FDS, &ticket);
	libc.close(with[WITH_RECORD]);
	if (r < 0) {
		explain_kernel(CHAN_REASON_passed_fd);
		return -ETOOMANYREFS;
	}
	return ticket;
}

int pass_ticket_for_relay(struct sock *s)
{
	struct chan_msg m = { .number = s->id, .size = s->gen, .kind = CHAN_TICKET_RELAY };
	int ticket, r = chan_ticket_open(s->app, &m, NULL, 0, &ticket);

	return r < 0 ? r : ticket;
}

/* ---- in ---- */
static bool is_ticket(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	int saved = errno;
	bool yes = libc.getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
		   peer.sun_family == AF_UNIX &&
		   len > offsetof(struct sockaddr_un, sun_path) + CHAN_TICKET_NAME_LEN &&
		   !memcmp(peer.sun_path, CHAN_TICKET_NAME, CHAN_TICKET_NAME_LEN);

	errno = saved;
	return yes;
}

/* This process may have the socket already: then it is that one. */
static struct object *find_same(const struct chan_app *app, uint32_t id, uint32_t gen)
{
	struct object *o;

	for (uint32_t i = 0; (o = object_nth(&sock_pool, i)); i++) {
		const struct sock *s = sock_of(o);

		if (!object_try_get(o))
			continue;
		if (s->app == app && s->id == id && s->gen == gen)
			return o;
		object_put(o);
	}
	return NULL;
}

static _Atomic uint32_t lock; /* so that two threads do not make two of one */

/* The engine has made us a holder: number fd becomes the socket. */
static void become(struct chan_app *app, int fd, const struct chan_msg *m, const int *fds, unsigned n)
{
	uint32_t gen = (uint32_t)m->size;
	int cloexec = libc.fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
	bool locked = chan_lock(&lock) == 0;
	struct object *o = find_same(app, m->number, gen);
	int line = !o && n > WITH_LINE ? libc.fcntl(fds[WITH_LINE], F_DUPFD_CLOEXEC, 0) : -1;

	if (!o && n > WITH_FILE)
		o = handover_read(fds[WITH_RECORD], app, m->number, gen, line);
	if (!o)
		chan_unhold(app, m->number);
	else if (n > WITH_FILE && libc.dup3(fds[WITH_FILE], fd, cloexec) >= 0)
		fdtab_set(fd, o);
	if (o)
		object_put(o);
	if (locked)
		chan_unlock(&lock);
}

/* Shows fd to app's engine, and if the socket is another client's, to that one's. False: neither knows
 * it. */
static bool claim(struct chan_app *app, int fd)
{
	int fds[CHAN_TICKET_FDS];
	unsigned n = CHAN_TICKET_FDS;
	struct chan_msg m;

	fault_arm();
	if (chan_ticket_claim(app, fd, &m, fds, &n) < 0)
		return false;
	if (m.kind == CHAN_CLAIM_OTHER) {
		struct chan_app *other = engine_of_client(app, m.number);

		if (other)
			sys_close(fds[0]);
		else
			other = engine_adopt(fds[0]);
		n = CHAN_TICKET_FDS;
		if (!other)
			return true;
		if (chan_ticket_claim(other, fd, &m, fds, &n) == 0 && m.kind == CHAN_CLAIM_HELD)
			become(other, fd, &m, fds, n);
		engine_put(other);
	} else if (m.number < CHAN_MAX_SOCKS) {
		become(app, fd, &m, fds, n);
	}
	while (n > 0)
		libc.close(fds[--n]);
	return true;
}

/* It may have been made before an engine handed over: who is attached to that one asks there, where it
 * has the socket perhaps. For others the engine that serves asks. */
static bool claim_old(int fd)
{
	struct chan_app *app;
	bool done = false;

	for (unsigned i = 0; !done && (app = engine_moved(&i)) != NULL; i++) {
		done = claim(app, fd);
		engine_put(app);
	}
	return done;
}

void pass_arrived(int fd)
{
	struct chan_app *app;
	int saved = errno;

	fdtab_fresh(fd);
	if (likely(!is_ticket(fd)))
		return;
	app = claim_old(fd) ? NULL : engine_for_ticket(fd);
	if (app) {
		claim(app, fd);
		engine_put(app);
	}
	errno = saved;
}
