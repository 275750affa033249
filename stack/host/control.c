/* One libev loop. Processes are known by their unix sockets and watched by pidfd: a socket alone
 * would not do, because a child may hold a copy of it. */
// SPDX-License-Identifier: MIT
#include "stack/host/control.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"
#include "stack/host/addr6.h"
#include "stack/host/control_int.h"
#include "stack/host/ends.h"
#include "stack/host/relay.h"
#include "stack/host/upgrade.h"

enum { ACCEPTS_AT_ONCE = 64, MESSAGES_AT_ONCE = 64, MAIL_AT_ONCE = 64 };
static const double RETRY_S = 0.1, DRAIN_S = 1.0;

/* Write end of the pipe that control_mail() uses on any thread; a mail is smaller than PIPE_BUF, so
 * each is written whole or not at all. */
static int mail_write_fd = -1;
_Static_assert(sizeof(struct sock_mail) <= 4096, "PIPE_BUF");

bool control_mail(const struct sock_mail *msg)
{
	return write(mail_write_fd, msg, sizeof(*msg)) == sizeof(*msg);
}

/* ---- clients ---- */
static void linger_if_idle(struct control *ctl)
{
	if (!ctl->h->autostarted || ctl->n_clients || ctl->stopping || ctl->guest ||
	    ctl->takeover)
		return;
	ev_timer_stop(ctl->loop, &ctl->linger);
	ev_timer_set(&ctl->linger, (double)config_num(&ctl->h->config, CONFIG_linger_s), 0.);
	ev_timer_start(ctl->loop, &ctl->linger);
}

void control_client_added(struct control *ctl, struct attached *a)
{
	list_push(&ctl->clients, &a->link);
	ctl->n_clients++;
	ev_timer_stop(ctl->loop, &ctl->linger);
}

static void client_drained(struct control *ctl, struct attached *a)
{
	for (uint32_t i = 0; i < ctl->h->n_workers; i++)
		worker_del_fd(ctl->h->worker[i], a->c->event_fd[i]);
	client_free(a->c);
	list_del(&a->link);
	free(a);
	ctl->n_clients--;
	if (ctl->stopping && !ctl->n_clients)
		ev_break(ctl->loop, EVBREAK_ALL);
	linger_if_idle(ctl);
}

static void conn_free(struct conn *conn)
{
	struct ev_loop *loop = conn->ctl->loop;

	upgrade_conn_gone(conn->ctl, conn);
	ev_io_stop(loop, &conn->io);
	if (conn->pidfd >= 0) {
		ev_io_stop(loop, &conn->pid_io);
		ends_unwatch(conn->pidfd);
		close(conn->pidfd);
	}
	ends_unwatch(conn->fd);
	close(conn->fd);
	list_del(&conn->link);
	free(conn->out);
	free(conn);
}

void control_detach(struct control *ctl, struct attached *a)
{
	list_for_each_safe(it, tmp, &ctl->conns) {
		struct conn *conn = container_of(it, struct conn, link);

		if (conn->client == a)
			conn_free(conn);
	}
	ticket_drop_all(ctl, a);
	relay_drop_all(ctl, a);
	if (!a->gone)
		client_del(a->c);
	a->gone = true;
}

void control_proc_gone(struct control *ctl, struct attached *a, uint32_t proc)
{
	if (a->gone)
		return;
	ticket_proc_gone(ctl, a, proc);
	client_proc_gone(a->c, proc);
	if (client_n_procs(a->c) == 0)
		control_detach(ctl, a);
}

void conn_gone(struct conn *conn)
{
	struct control *ctl = conn->ctl;
	struct attached *a = conn->client;
	uint32_t proc = conn->proc;

	if (a)
		ends_begin();
	conn_free(conn);
	if (!a)
		return;
	control_proc_gone(ctl, a, proc);
	ends_finish(ctl->h);
}

struct client *control_client(struct control *ctl, uint32_t number)
{
	list_for_each(it, &ctl->clients) {
		struct attached *a = container_of(it, struct attached, link);

		if (a->c->conf.number == number && !a->gone)
			return a->c;
	}
	return NULL;
}

static void on_mail(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *ctl = io->data;
	struct sock_mail m;

	for (int i = 0; i < MAIL_AT_ONCE && read(ctl->mail_fd, &m, sizeof(m)) == sizeof(m); i++) {
		struct client *c = m.p;
		struct attached *a = c ? c->host : NULL;
		int err;

		switch (m.type) {
		case SOCK_MAIL_CLIENT_GONE:
			if (client_gone(c))
				client_drained(ctl, a);
			break;
		case SOCK_MAIL_VIOLATION:
			LOG(host, WARN,
			    "client=%u pid=%u broke the rules of shared memory: detached",
			    c->conf.number, c->conf.pid);
			control_detach(ctl, a);
			break;
		case SOCK_MAIL_LINE_CLOSE:
			client_line_close(c, (uint32_t)m.a);
			break;
		case SOCK_MAIL_PEER_WANTED:
			client_peer_wanted(c, control_client(ctl, (uint32_t)m.a), (uint32_t)m.a, m.from);
			break;
		case SOCK_MAIL_EXTENT_WANTED:
			err = client_extent_wanted(c, m.from, m.a ? REGION_UP : REGION_DOWN);
			if (err)
				LOG(host, WARN, "client=%u gets no more payload memory: %s",
				    c->conf.number, strerror(-err));
			break;
		case SOCK_MAIL_ADDRS:
			/* Not while the ports change hands: it will be said again. */
			if (!ctl->upgrade && !ctl->takeover && !ctl->stopping)
				addr6_change(ctl->h);
			break;
		default:
			break;
		}
	}
}

/* ---- connections ---- */
static void on_pidfd(struct ev_loop *loop, ev_io *io, int events) { conn_gone(io->data); }

void conn_watch_pid(struct conn *conn, int pidfd)
{
	if (conn->pidfd >= 0) {
		if (pidfd >= 0)
			close(pidfd);
		return;
	}
	if (pidfd < 0 && conn->pid)
		pidfd = (int)syscall(SYS_pidfd_open, conn->pid, 0);
	conn->pidfd = pidfd;
	if (pidfd < 0) /* dead already, or not in our pid namespace: the end of file tells */
		return;
	fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	ends_watch(pidfd, EPOLLIN);
	ev_io_init(&conn->pid_io, on_pidfd, pidfd, EV_READ);
	conn->pid_io.data = conn;
	ev_io_start(conn->ctl->loop, &conn->pid_io);
}

/* The tool's answer goes out as fast as the tool reads it. False: it hung up. */
static bool flush_admin(struct conn *conn)
{
	struct chan_msg m = { .type = CHAN_MSG_ADMIN, .version = CHAN_VERSION };

	while (conn->out) {
		size_t left = conn->out_len - conn->out_at;

		m.len = (uint32_t)min_u64(left, sizeof(m.text));
		memcpy(m.text, conn->out + conn->out_at, m.len);
		int err = chan_msg_send(conn->fd, &m, NULL, 0);
		if (err == -EAGAIN)
			break;
		if (err)
			return false;
		conn->out_at += m.len;
		if (!left) { /* the empty one was sent: the end */
			free(conn->out);
			conn->out = NULL;
		}
	}
	ev_io_stop(conn->ctl->loop, &conn->io);
	ev_io_set(&conn->io, conn->fd, conn->out ? EV_READ | EV_WRITE : EV_READ);
	ev_io_start(conn->ctl->loop, &conn->io);
	return true;
}

static bool admin_message(struct conn *conn, const struct chan_msg *m)
{
	char line[sizeof(m->text)];
	char *out = NULL;
	size_t len = 0, n = min_u32(m->len, sizeof(line) - 1);

	if (conn->kind != CONN_NEW && conn->kind != CONN_ADMIN)
		return false;
	conn->kind = CONN_ADMIN;
	if (conn->out || conn->waits) /* it did not wait for its last answer */
		return false;
	memcpy(line, m->text, n);
	line[n] = 0;
	int err = admin_run(conn, line, &out, &len);
	if (err == -EINPROGRESS) {
		conn->waits = true;
		free(out);
		return true;
	}
	if (err) {
		attach_refuse(conn, err, out ? out : strerror(err));
		free(out);
		return true;
	}
	conn->out = out ? out : calloc(1, 1);
	conn->out_len = len;
	conn->out_at = 0;
	return conn->out && flush_admin(conn);
}

void control_admin_done(struct conn *conn, const char *fmt, ...)
{
	va_list ap;

	conn->waits = false;
	va_start(ap, fmt);
	int n = vasprintf(&conn->out, fmt, ap);
	va_end(ap);
	conn->out_len = n < 0 ? 0 : (size_t)n;
	conn->out_at = 0;
	/* If it has hung up, the end of its socket tells. */
	if (n < 0)
		conn->out = NULL;
	else
		flush_admin(conn);
}

/* Descriptors that came with a message and that nobody has taken. */
static void close_in(struct conn *conn)
{
	for (unsigned i = 0; i < conn->n_in; i++)
		if (conn->in[i] >= 0)
			close(conn->in[i]);
	conn->n_in = 0;
}

static void on_conn(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *conn = io->data;
	struct chan_creds creds = { 0 };
	struct chan_msg m;

	if ((events & EV_WRITE) && conn->out && !flush_admin(conn)) {
		conn_gone(conn);
		return;
	}
	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		conn->n_in = CONN_IN_FDS;
		int r = chan_msg_recv(conn->fd, &m, conn->in, &conn->n_in, &creds);

		if (r == -EAGAIN || r == -EINTR)
			return;
		bool go_on = r == 1;
		if (go_on && m.type == CHAN_MSG_ADMIN)
			go_on = admin_message(conn, &m);
		else if (go_on)
			go_on = attach_message(conn, &m, (uint32_t)creds.pid);
		close_in(conn);
		if (!go_on) {
			conn_gone(conn);
			return;
		}
	}
}

struct conn *conn_new(struct control *ctl, int fd, enum conn_kind kind)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	*conn = (struct conn){ .ctl = ctl, .fd = fd, .pidfd = -1, .kind = kind };
	list_push(&ctl->conns, &conn->link);
	ends_watch(fd, EPOLLRDHUP);
	ev_io_init(&conn->io, on_conn, fd, EV_READ);
	conn->io.data = conn;
	ev_io_start(ctl->loop, &conn->io);
	return conn;
}

/* Who is there: credentials as of connect(). */
static bool identify(struct conn *conn)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int pidfd = -1;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	conn->pid = (uint32_t)cred.pid;
	conn->uid = cred.uid;
	conn->gid = cred.gid;
	/* From Linux 6.5 on without the race of a pid that is given out again. */
	len = sizeof(pidfd);
	if (getsockopt(conn->fd, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &len) < 0)
		pidfd = -1;
	conn_watch_pid(conn, pidfd);
	return true;
}

static void on_retry(struct ev_loop *loop, ev_timer *t, int events)
{
	struct control *ctl = t->data;

	ev_io_start(loop, &ctl->listen_io);
}

static void on_listen(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *ctl = io->data;

	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int fd = accept4(ctl->h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (fd < 0) { /* no descriptors: the queue is full of what we can't take */
			LOG(host, WARN, "can't accept a program: %s", strerror(errno));
			ev_io_stop(loop, &ctl->listen_io);
			ev_timer_set(&ctl->retry, RETRY_S, 0.);
			ev_timer_start(loop, &ctl->retry);
			return;
		}
		struct conn *conn = conn_new(ctl, fd, CONN_NEW);
		if (!conn)
			close(fd);
		else if (!identify(conn))
			conn_gone(conn);
	}
}

/* ---- the end ---- */
static void on_linger(struct ev_loop *loop, ev_timer *t, int events)
{
	struct control *ctl = t->data;

	if (!ctl->n_clients)
		control_stop(ctl);
}

static void on_drained(struct ev_loop *loop, ev_timer *t, int events)
{
	ev_break(loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *s, int events)
{
	struct control *ctl = s->data;

	if (ctl->stopping) /* asked twice */
		ev_break(loop, EVBREAK_ALL);
	control_stop(ctl);
}

void control_stop(struct control *ctl)
{
	if (ctl->stopping)
		return;
	ctl->stopping = true;
	upgrade_fini(ctl);
	ctl->h->secret_is_needless = ctl->n_clients == 0;
	ev_io_stop(ctl->loop, &ctl->listen_io);
	ev_timer_stop(ctl->loop, &ctl->retry);
	ev_timer_stop(ctl->loop, &ctl->linger);
	list_for_each(it, &ctl->clients)
		control_detach(ctl, container_of(it, struct attached, link));
	/* Even without clients one more round of the loop, so that an answer to the tool gets out.
	 */
	ev_timer_set(&ctl->drain, ctl->n_clients ? DRAIN_S : 0.01, 0.);
	ev_timer_start(ctl->loop, &ctl->drain);
}

void control_moved(struct control *ctl)
{
	struct host *h = ctl->h;

	ev_io_stop(ctl->loop, &ctl->listen_io);
	ev_timer_stop(ctl->loop, &ctl->retry);
	ev_timer_stop(ctl->loop, &ctl->linger);
	close(h->listen_fd);
	close(h->lock_fd);
	h->listen_fd = h->lock_fd = -1;
	if (h->has_autoport) {
		close(h->autoport.name_fd);
		close(h->autoport.net_fd);
	}
	h->has_autoport = false;
}

void control_guest_gone(struct control *ctl) { linger_if_idle(ctl); }

/* ---- life ---- */
static void init_watchers(struct control *ctl)
{
	ev_io_init(&ctl->mail_io, on_mail, ctl->mail_fd, EV_READ);
	ev_signal_init(&ctl->term, on_signal, SIGTERM);
	ev_signal_init(&ctl->intr, on_signal, SIGINT);
	ev_timer_init(&ctl->linger, on_linger, 0., 0.);
	ev_timer_init(&ctl->retry, on_retry, 0., 0.);
	ev_timer_init(&ctl->drain, on_drained, 0., 0.);
	ctl->mail_io.data = ctl->term.data = ctl->intr.data = ctl;
	ctl->linger.data = ctl->retry.data = ctl->drain.data = ctl;
	ev_io_start(ctl->loop, &ctl->mail_io);
	ev_signal_start(ctl->loop, &ctl->term);
	ev_signal_start(ctl->loop, &ctl->intr);
}

int control_init(struct host *h)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int p[2];

	if (!ctl)
		return host_fail(h, -ENOMEM, "out of memory");
	int err = ends_init(h);
	if (err) {
		free(ctl);
		return host_fail(h, err, "can't make an epoll set: %s", strerror(-err));
	}
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0) {
		ends_fini();
		free(ctl);
		return host_fail(h, -errno, "can't make a pipe: %s", strerror(errno));
	}
	ctl->h = h;
	ctl->mail_fd = p[0];
	mail_write_fd = p[1];
	ctl->started = time(NULL);
	list_init(&ctl->conns);
	list_init(&ctl->clients);
	list_init(&ctl->tickets);
	list_init(&ctl->relays);
	ctl->loop = ev_loop_new(EVFLAG_NOENV);
	if (!ctl->loop) {
		close(p[0]);
		close(p[1]);
		ends_fini();
		free(ctl);
		return host_fail(h, -EMFILE, "can't make an event loop; raise the open-file limit "
				 "(ulimit -n)");
	}
	init_watchers(ctl);
	h->control = ctl;
	return 0;
}

void control_run(struct host *h)
{
	struct control *ctl = h->control;
	sigset_t set;

	/* Blocked in all threads since before there were others; only this one takes them. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	ev_io_init(&ctl->listen_io, on_listen, h->listen_fd, EV_READ);
	ctl->listen_io.data = ctl;
	ev_io_start(ctl->loop, &ctl->listen_io);
	takeover_watch(ctl);
	linger_if_idle(ctl);
	ev_run(ctl->loop, 0);
}

bool control_is_drained(const struct host *h)
{
	return !h->control || !h->control->n_clients;
}

void control_fini(struct host *h)
{
	struct control *ctl = h->control;

	if (!ctl)
		return;
	list_for_each_safe(it, tmp, &ctl->conns)
		conn_free(container_of(it, struct conn, link));
	ticket_drop_all(ctl, NULL);
	relay_drop_all(ctl, NULL);
	list_for_each_safe(it2, tmp2, &ctl->clients) {
		struct attached *a = container_of(it2, struct attached, link);

		client_free(a->c);
		free(a);
	}
	takeover_fini(ctl);
	drain_fini(ctl);
	ev_loop_destroy(ctl->loop);
	close(ctl->mail_fd);
	close(mail_write_fd);
	mail_write_fd = -1;
	ends_fini();
	free(ctl);
	h->control = NULL;
}
