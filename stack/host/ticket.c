/* Tickets, the engine's side: see chan/ticket.h. What they stand for is held by a process number of
 * the client that is no process, so that the data threads need not know of them. */
// SPDX-License-Identifier: MIT
#include "stack/chan/ticket.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/host/control_int.h"
#include "stack/host/ends.h"
#include "stack/host/relay.h"
#include "stack/host/upgrade.h"
#include "stack/host/whohas.h"

enum { TICKETS_MAX = 4096 /* of a client */ };
/* How long who has a ticket may leave bytes lying before somebody looks who that is; then ever
 * longer. */
static const double LOOK_FIRST_S = 1.0, LOOK_LAST_S = 16.0;

struct ticket {
	struct list link;
	struct control *ctl;
	struct attached *a;
	uint32_t id, gen;
	uint32_t relay_after; /* process number whose end begins the relay, UINT32_MAX: none */
	ev_io io;
	ev_timer look;
	double look_s;
	int fd;	   /* our end */
	dev_t dev; /* of the other one, ... */
	ino_t ino;
	int with[CHAN_TICKET_FDS];
	unsigned n_with;
};

/* ---- the reference ---- */
static bool is_the_same(const struct ticket *t, const struct client *c)
{
	return atomic_load_explicit(&c->sock_a[t->id].gen, memory_order_acquire) == t->gen;
}

static int hold(struct attached *a, uint32_t id)
{
	if (a->ticket_proc < 0) {
		int proc = client_add_proc(a->c);

		if (proc < 0)
			return proc;
		a->ticket_proc = proc;
	}
	client_hold(a->c, (uint32_t)a->ticket_proc, id);
	return 0;
}

/* A ticket for id less. */
static void let_go(struct control *ctl, struct attached *a, uint32_t id)
{
	int proc = a->ticket_proc;

	if (a->gone || proc < 0)
		return;
	if (a->n_tickets == 0) {
		a->ticket_proc = -1;
		control_proc_gone(ctl, a, (uint32_t)proc);
		return;
	}
	list_for_each(it, &ctl->tickets) {
		const struct ticket *t = container_of(it, struct ticket, link);

		if (t->a == a && t->id == id)
			return;
	}
	client_unhold(a->c, (uint32_t)proc, id);
}

/* The ticket's end of its own, which the relay takes over, stays open. */
static void forget(struct ticket *t)
{
	ev_io_stop(t->ctl->loop, &t->io);
	ev_timer_stop(t->ctl->loop, &t->look);
	list_del(&t->link);
	t->a->n_tickets--;
	for (unsigned i = 0; i < t->n_with; i++)
		close(t->with[i]);
}

static void drop(struct ticket *t)
{
	forget(t);
	close(t->fd);
	let_go(t->ctl, t->a, t->id);
	free(t);
}

void ticket_drop_all(struct control *ctl, struct attached *a)
{
	list_for_each_safe(it, next, &ctl->tickets) {
		struct ticket *t = container_of(it, struct ticket, link);

		if (a && t->a != a)
			continue;
		forget(t);
		close(t->fd);
		free(t);
	}
}

/* ---- life ---- */
/* Who has it does not know what it is: the bytes go through us from now on. */
static void relay(struct ticket *t)
{
	int err = is_the_same(t, t->a->c) ? relay_start(t->ctl, t->a, t->id, t->gen, t->fd) : -ENOTCONN;

	if (err)
		LOG(host, INFO, "client=%u sock=%u can't be relayed: %s", t->a->c->conf.number, t->id,
		    strerror(-err));
	drop(t);
}

void ticket_proc_gone(struct control *ctl, struct attached *a, uint32_t proc)
{
	list_for_each_safe(it, next, &ctl->tickets) {
		struct ticket *t = container_of(it, struct ticket, link);

		if (t->a == a && t->relay_after == proc)
			relay(t);
	}
}

/* The last copy of the other end is closed, or somebody has written to it. */
static void on_ticket(struct ev_loop *loop, ev_io *io, int events)
{
	struct ticket *t = io->data;
	char c;
	ssize_t n = recv(t->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		relay(t);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		drop(t);
}

/* Is there something for a reader, and nobody who knows how to read it? */
static bool is_stuck(const struct ticket *t)
{
	const struct client *c = t->a->c;
	const struct chan_sock_a *a = &c->sock_a[t->id];
	uint32_t head = *(volatile uint32_t *)&c->sock_b[t->id].rx_head;

	return atomic_load_explicit(&a->state, memory_order_acquire) != CHAN_ST_LISTENING &&
	       (atomic_load_explicit(&a->rx_tail, memory_order_acquire) != head ||
		atomic_load_explicit(&a->flags, memory_order_acquire) & CHAN_A_RX_FIN) &&
	       !client_is_held_beside(c, (uint32_t)t->a->ticket_proc, t->id);
}

/* A program that only reads would wait for ever. But a ticket that still lies in a queue can be
 * claimed. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct ticket *t = timer->data;

	if (is_stuck(t) && whohas_socket(t->ino)) {
		relay(t);
		return;
	}
	if (t->look_s < LOOK_LAST_S)
		t->look_s *= 2;
	ev_timer_set(timer, t->look_s, 0.);
	ev_timer_start(loop, timer);
}

/* A name for our end, by which the other one is known. */
static int name_end(struct control *ctl, int fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n;

	memcpy(sa.sun_path, CHAN_TICKET_NAME, CHAN_TICKET_NAME_LEN);
	n = snprintf(sa.sun_path + CHAN_TICKET_NAME_LEN, sizeof(sa.sun_path) - CHAN_TICKET_NAME_LEN,
		     "%d-%llu", (int)getpid(), (unsigned long long)++ctl->ticket_number);
	n += (int)offsetof(struct sockaddr_un, sun_path) + CHAN_TICKET_NAME_LEN;
	return bind(fd, (struct sockaddr *)&sa, (socklen_t)n) < 0 ? -errno : 0;
}

/* A pair with its record; the program's end in *fd. NULL: errno says why. */
static struct ticket *make(struct conn *conn, const struct chan_msg *m, int *fd)
{
	struct ticket *t = calloc(1, sizeof(*t));
	struct stat st;
	int s[2];

	if (!t || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0) {
		free(t);
		return NULL;
	}
	if (name_end(conn->ctl, s[0]) < 0 || fstat(s[1], &st) < 0 ||
	    fcntl(s[0], F_SETFL, O_NONBLOCK) < 0 || hold(conn->client, m->number) < 0) {
		close(s[0]);
		close(s[1]);
		free(t);
		errno = ENOBUFS;
		return NULL;
	}
	*t = (struct ticket){ .ctl = conn->ctl, .a = conn->client, .id = m->number,
			      .gen = (uint32_t)m->size, .fd = s[0], .dev = st.st_dev, .ino = st.st_ino,
			      .relay_after = m->kind == CHAN_TICKET_RELAY ? conn->proc : UINT32_MAX };
	*fd = s[1];
	return t;
}

static void take_fds(struct ticket *t, struct conn *conn)
{
	for (unsigned i = 0; i < conn->n_in && t->n_with < CHAN_TICKET_FDS; i++) {
		t->with[t->n_with++] = conn->in[i];
		conn->in[i] = -1;
	}
}

bool ticket_open(struct conn *conn, const struct chan_msg *m)
{
	struct chan_msg r = { .type = CHAN_MSG_TICKET };
	struct client *c = conn->client->c;
	struct ticket *t = NULL;
	int fd = -1;

	if (m->number >= CHAN_MAX_SOCKS ||
	    atomic_load_explicit(&c->sock_a[m->number].gen, memory_order_acquire) != (uint32_t)m->size)
		r.err = ENOENT;
	else if (conn->client->n_tickets >= TICKETS_MAX)
		r.err = ENOBUFS;
	else if (!(t = make(conn, m, &fd)))
		r.err = errno;
	if (t) {
		take_fds(t, conn);
		list_push(&conn->ctl->tickets, &t->link);
		t->a->n_tickets++;
		ev_io_init(&t->io, on_ticket, t->fd, EV_READ);
		t->io.data = t;
		ev_io_start(conn->ctl->loop, &t->io);
		t->look_s = LOOK_FIRST_S;
		ev_timer_init(&t->look, on_look, t->look_s, 0.);
		t->look.data = t;
		ev_timer_start(conn->ctl->loop, &t->look);
	}
	bool sent = attach_answer(conn, &r, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return sent;
}

/* ---- claims ---- */
static struct ticket *find(struct control *ctl, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return NULL;
	list_for_each(it, &ctl->tickets) {
		struct ticket *t = container_of(it, struct ticket, link);

		/* A file system may have a socket of any number. */
		if (t->dev == st.st_dev && t->ino == st.st_ino)
			return t;
	}
	return NULL;
}

/* The process holds the socket before it knows. */
static bool give(struct conn *conn, struct ticket *t, struct chan_msg *r)
{
	r->kind = CHAN_CLAIM_HELD;
	r->number = t->id;
	r->size = t->gen;
	client_hold(t->a->c, conn->proc, t->id);
	return attach_answer(conn, r, t->with, t->n_with);
}

/* A process of another client: it may become one of this, too. */
static bool invite(struct conn *conn, struct ticket *t, struct chan_msg *r)
{
	uint32_t proc;
	int fd = -1;

	if (conn->uid != t->a->c->conf.uid && conn->uid != 0) {
		r->err = EPERM;
		return attach_answer(conn, r, NULL, 0);
	}
	r->kind = CHAN_CLAIM_OTHER;
	r->number = t->a->c->conf.number;
	r->err = -attach_token(conn->ctl, t->a, conn->uid, &fd, &proc);
	ends_hide();
	bool sent = attach_answer(conn, r, &fd, r->err == 0);
	if (fd >= 0)
		close(fd);
	ends_show();
	return sent;
}

bool ticket_claim(struct conn *conn)
{
	struct chan_msg r = { .type = CHAN_MSG_CLAIM };
	struct ticket *t = conn->n_in ? find(conn->ctl, conn->in[0]) : NULL;

	if (conn->kind != CONN_NEW && conn->kind != CONN_PROC)
		return false;
	if (!t && conn->n_in && conn->ctl->takeover)
		return claim_of_guest(conn);
	if (!t || t->a->gone || !is_the_same(t, t->a->c)) {
		r.err = t ? ENOTCONN : ENOENT;
		return attach_answer(conn, &r, NULL, 0);
	}
	return conn->client == t->a ? give(conn, t, &r) : invite(conn, t, &r);
}
