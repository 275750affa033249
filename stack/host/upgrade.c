/* The old engine's part of an upgrade, up to the moment when the new one serves: see upgrade.h. What can
 * fail does so before that moment, and leaves everything as it was. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/strbuf.h"
#include "stack/base/sys.h"
#include "stack/chan/hello.h"
#include "stack/host/control_int.h"
#include "stack/host/upgrade.h"

enum { READY_S = 30, STEP_S = 20, TAKEOVER_FD = 3, ARGS_EXTRA = 3, END_TRIES = 40 };

enum upgrade_stage { STARTING, TAKING, CLOSED };
struct upgrade {
	struct control *ctl;
	struct conn *conn; /* the tool, NULL: has hung up */
	enum upgrade_stage stage;
	int fd;
	pid_t pid;
	ev_io io;
	ev_timer timer;
	uint32_t drain_s; /* 0: no limit */
	struct bridge bridge;
	int bridge_fd;
	ev_tstamp stood; /* when the data threads stopped */
	struct barrier *barrier; /* while the ports are closed */
};

/* ---- starting it ---- */
/* Our own arguments without those of the upgrade that has made us. */
static char **new_argv(const struct host *h, const char *path)
{
	char **argv = calloc((size_t)h->argc + ARGS_EXTRA + 1, sizeof(*argv));
	static char fd[] = "3", arg[] = UPGRADE_ARG;
	int n = 0;

	if (!argv)
		return NULL;
	argv[n++] = (char *)(uintptr_t)path;
	for (int i = 1; i < h->argc; i++) {
		bool skip = !strcmp(h->argv[i], UPGRADE_ARG) || !strcmp(h->argv[i], "--ready-fd");

		if (skip)
			i++;
		else if (strncmp(h->argv[i], "--ready-fd=", 11) != 0)
			argv[n++] = h->argv[i];
	}
	argv[n++] = arg;
	argv[n++] = fd;
	return argv;
}

/* In the child of a process with threads: system calls only. */
__attribute__((noreturn)) static void become(const char *path, char **argv, int fd)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGIO, SIG_DFL);
	int high = fcntl(fd, F_DUPFD, TAKEOVER_FD + 1);
	if (high >= 0 && dup2(high, TAKEOVER_FD) == TAKEOVER_FD) {
		syscall(SYS_close_range, TAKEOVER_FD + 1, ~0u, 0);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(path, argv, environ);
	}
	_exit(127);
}

/* PATH as given, or the program that we are, also when its file has been replaced. */
static bool program_path(const char *given, char *buf, size_t size)
{
	static const char deleted[] = " (deleted)";

	if (given) {
		snprintf(buf, size, "%s", given);
		return true;
	}
	ssize_t n = readlink("/proc/self/exe", buf, size - 1);
	if (n <= 0)
		return false;
	buf[n] = 0;
	size_t len = strlen(buf), tail = sizeof(deleted) - 1;
	if (len > tail && !strcmp(buf + len - tail, deleted))
		buf[len - tail] = 0;
	return true;
}

static int spawn(struct upgrade *u, const char *path)
{
	char **argv = new_argv(u->ctl->h, path);
	int s[2];

	if (!argv)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0) {
		free(argv);
		return -errno;
	}
	u->pid = fork();
	if (u->pid == 0)
		become(path, argv, s[1]);
	int err = u->pid < 0 ? -errno : 0;
	free(argv);
	close(s[1]);
	u->fd = s[0];
	host_nonblock(u->fd);
	return err;
}

/* ---- the end, either way ---- */
static void upgrade_free(struct upgrade *u)
{
	struct control *ctl = u->ctl;

	if (u->io.data)
		ev_io_stop(ctl->loop, &u->io);
	ev_timer_stop(ctl->loop, &u->timer);
	if (u->fd >= 0)
		close(u->fd);
	if (u->bridge_fd >= 0)
		close(u->bridge_fd);
	ctl->upgrade = NULL;
	free(u);
}

/* The ports that were closed for the new engine, which has not taken them. */
static void ports_again(struct upgrade *u)
{
	struct host *h = u->ctl->h;

	if (!u->barrier)
		return;
	if (host_ports_reopen(h))
		LOG(host, ERROR, "a port can't be opened again: %s", h->err);
	barrier_open(u->barrier, host_ports_watch, NULL);
	u->barrier = NULL;
}

__attribute__((format(printf, 2, 3))) static void fail(struct upgrade *u, const char *fmt, ...)
{
	char text[1024];
	struct strbuf s = strbuf_of(text, sizeof(text));
	va_list ap;

	va_start(ap, fmt);
	strbuf_vput(&s, fmt, ap);
	va_end(ap);
	LOG(host, WARN, "upgrade: %s", text);
	if (u->pid > 0) {
		kill(u->pid, SIGKILL);
		waitpid(u->pid, NULL, 0);
	}
	ports_again(u);
	bridge_close(&u->bridge);
	if (u->conn) {
		u->conn->waits = false;
		attach_refuse(u->conn, ECANCELED, text);
	}
	upgrade_free(u);
}

/* ---- handing over ---- */
static int send_msg(struct upgrade *u, struct chan_msg *m, const int *fds, unsigned n)
{
	m->version = CHAN_VERSION;
	return chan_msg_send(u->fd, m, fds, n);
}

static int send_take(struct upgrade *u)
{
	const struct host *h = u->ctl->h;
	struct upgrade_take t = { .has_autoport = h->has_autoport, .n_ports = h->n_ports,
				  .shareable = host_ports_shareable(h) };
	struct chan_msg m = { .type = UPGRADE_TAKE, .len = sizeof(t) };
	const int fds[4] = { h->listen_fd, h->lock_fd, h->autoport.name_fd, h->autoport.net_fd };

	snprintf(t.socket_path, sizeof(t.socket_path), "%s", h->socket_path);
	if (h->has_autoport) {
		t.net = h->autoport.net;
		memcpy(t.host, h->autoport.host, sizeof(t.host));
		memcpy(t.engine, h->autoport.engine, sizeof(t.engine));
		memcpy(t.addr, h->autoport.addr, sizeof(t.addr));
	}
	for (uint32_t i = 0; i < h->n_ports; i++)
		t.ifindex[i] = port_netif(h->port[i])->ifindex;
	upgrade_same(h, t.same);
	memcpy(m.text, &t, sizeof(t));
	return send_msg(u, &m, fds, h->has_autoport ? 4 : 2);
}

static int send_bridge(struct upgrade *u)
{
	struct host *h = u->ctl->h;
	struct chan_msg m = { .type = UPGRADE_BRIDGE, .number = h->n_workers,
			      .size = (uint64_t)getpid() };
	int fds[1 + CHAN_MAX_WORKERS];

	u->bridge_fd = bridge_create(&u->bridge, h->n_workers);
	if (u->bridge_fd < 0)
		return u->bridge_fd;
	fds[0] = u->bridge_fd;
	for (uint32_t i = 0; i < h->n_workers; i++)
		fds[1 + i] = u->bridge.bell[BRIDGE_GUEST][i];
	return send_msg(u, &m, fds, 1 + h->n_workers);
}

/* False: failed, u is gone. */
static bool on_ready(struct upgrade *u, const struct chan_msg *m)
{
	if (m->version != CHAN_VERSION) {
		fail(u, "the new engine is of another version: the programs that run could not use it "
		     "(%u, not %d); stop this one and start it", m->version, CHAN_VERSION);
		return false;
	}
	int err = bridge_joined(&u->bridge, 1) ? -EPROTO : send_take(u);
	if (!err)
		err = send_bridge(u);
	if (!err)
		err = bridge_joined(&u->bridge, m->number);
	if (err) {
		fail(u, "can't hand over: %s", strerror(-err));
		return false;
	}
	u->stage = TAKING;
	ev_timer_stop(u->ctl->loop, &u->timer);
	ev_timer_set(&u->timer, STEP_S, 0.);
	ev_timer_start(u->ctl->loop, &u->timer);
	return true;
}

/* The new engine needs the ports for itself. */
static bool on_close(struct upgrade *u)
{
	struct chan_msg m = { .type = UPGRADE_CLOSED };

	u->stood = ev_time();
	u->barrier = barrier_close(u->ctl->h);
	if (!u->barrier) {
		fail(u, "the data threads do not stand still");
		return false;
	}
	host_ports_shut(u->ctl->h);
	u->stage = CLOSED;
	int err = send_msg(u, &m, NULL, 0);
	if (err)
		fail(u, "can't hand over the ports: %s", strerror(-err));
	return !err;
}

static void attach_guest(struct worker *w, void *arg) { bridge_attach(w, arg); }

/* The new engine can't be told to serve: we go on. The data threads stand still. */
static void keep(struct upgrade *u, bool shared, int err)
{
	ports_share(u->ctl->h->ports, NULL, NULL, 0);
	if (shared) { /* its ports have not been closed */
		barrier_open(u->barrier, NULL, NULL);
		u->barrier = NULL;
	}
	fail(u, "the new engine has ended: %s", strerror(-err));
}

/* Once GO is on its way there is no way back. */
static void hand_over(struct upgrade *u, const int *bells, uint32_t n)
{
	struct control *ctl = u->ctl;
	struct host *h = ctl->h;
	struct chan_msg m = { .type = UPGRADE_GO };
	bool shared = !u->barrier;

	for (uint32_t i = 0; i < n; i++)
		u->bridge.bell[BRIDGE_HOST][i] = bells[i];
	if (shared) {
		u->stood = ev_time();
		u->barrier = barrier_close(h);
	}
	if (!u->barrier) {
		fail(u, "the data threads do not stand still");
		return;
	}
	ports_share(h->ports, bridge_view(&u->bridge, true), bridge_view(&u->bridge, false), 0);
	int err = send_msg(u, &m, NULL, 0);
	if (err) {
		keep(u, shared, err);
		return;
	}
	h->bridge = u->bridge;
	h->has_bridge = true;
	for (uint32_t i = 0; i < h->n_ports; i++)
		bridge_take_port(port_netif(h->port[i]), &h->bridge);
	barrier_open(u->barrier, attach_guest, &h->bridge);
	u->barrier = NULL;
	double pause_ms = (ev_time() - u->stood) * 1e3;
	if (shared)
		host_ports_shut(h);
	if (u->conn)
		control_admin_done(u->conn,
				   "Item\tValue\nserving\t%d\ndraining\t%d\npause_ms\t%.1f\n",
				   u->pid, getpid(), pause_ms);
	int fd = u->fd;
	uint32_t drain_s = u->drain_s;
	u->fd = -1;
	upgrade_free(u);
	drain_start(ctl, fd, drain_s);
}

/* ---- what the new engine says ---- */
static void on_end(struct upgrade *u)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000000 };
	int status = 0;

	/* Its end is closed a moment before it is gone. */
	for (int i = 0; u->pid > 0 && i < END_TRIES; i++) {
		if (waitpid(u->pid, &status, WNOHANG) == u->pid)
			u->pid = -1;
		else
			nanosleep(&nap, NULL);
	}
	if (u->pid < 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		fail(u, "the new engine could not be run");
	else if (u->pid < 0 && WIFEXITED(status))
		fail(u, "the new engine ended before it was ready, with status %d",
		     WEXITSTATUS(status));
	else if (u->pid < 0)
		fail(u, "the new engine was killed by signal %d before it was ready",
		     WTERMSIG(status));
	else
		fail(u, "the new engine gave up before it was ready");
}

/* False: u is gone. */
static bool on_message(struct upgrade *u, const struct chan_msg *m, int *fds, unsigned n_fds)
{
	if (m->type == UPGRADE_FAIL) {
		fail(u, "the new engine can't start: %.*s", (int)m->len, m->text);
		return false;
	}
	if (m->type == UPGRADE_READY && u->stage == STARTING)
		return on_ready(u, m);
	if (m->type == UPGRADE_CLOSE && u->stage == TAKING)
		return on_close(u);
	if (m->type == UPGRADE_OPEN && u->stage != STARTING && m->number == u->bridge.n_theirs &&
	    n_fds == m->number) {
		hand_over(u, fds, n_fds);
		return false;
	}
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	fail(u, "the new engine does not know how to take over");
	return false;
}

static void on_new(struct ev_loop *loop, ev_io *io, int events)
{
	struct upgrade *u = io->data;
	struct chan_msg m;
	int fds[CHAN_MAX_WORKERS];

	for (;;) {
		unsigned n = CHAN_MAX_WORKERS;
		int r = chan_msg_recv(u->fd, &m, fds, &n, NULL);

		if (r == -EAGAIN || r == -EINTR)
			return;
		if (r != 1) {
			on_end(u);
			return;
		}
		if (!on_message(u, &m, fds, n))
			return;
	}
}

static void on_timeout(struct ev_loop *loop, ev_timer *t, int events)
{
	fail(t->data, "the new engine has not become ready in time");
}

/* ---- the door ---- */
static int check(const struct control *ctl, FILE *out)
{
	const struct host *h = ctl->h;

	if (ctl->upgrade || ctl->stopping) {
		fprintf(out, "the engine is being upgraded or stopped already");
		return EBUSY;
	}
	if (ctl->guest) {
		fprintf(out, "the engine has been upgraded and is draining");
		return EBUSY;
	}
	if (ctl->takeover) {
		fprintf(out, "the engine before this one is still draining: see 'fastnet engine "
			"status'");
		return EBUSY;
	}
	for (uint32_t i = 0; i < h->n_ports; i++) {
		const char *driver = port_driver(h->port[i]);

		if (strcmp(driver, "net_af_packet") != 0 && strcmp(driver, "net_af_xdp") != 0) {
			fprintf(out, "port %s can't be handed over: driver %s; stop this engine and "
				"start the new one", port_netif(h->port[i])->name, driver);
			return EOPNOTSUPP;
		}
	}
	return 0;
}

int upgrade_start(struct conn *conn, char **args, FILE *out)
{
	struct control *ctl = conn->ctl;
	char path[PATH_MAX];
	int err = check(ctl, out);

	if (err)
		return err;
	struct upgrade *u = calloc(1, sizeof(*u));
	if (!u)
		return ENOMEM;
	*u = (struct upgrade){ .ctl = ctl, .conn = conn, .fd = -1, .bridge_fd = -1 };
	memset(u->bridge.bell, -1, sizeof(u->bridge.bell));
	ev_timer_init(&u->timer, on_timeout, READY_S, 0.);
	ctl->upgrade = u;
	if (*args && !strncmp(*args, "drain=", 6))
		u->drain_s = (uint32_t)strtoul(*args++ + 6, NULL, 10);
	err = program_path(*args, path, sizeof(path)) ? spawn(u, path) : -ENOENT;
	if (err) {
		fprintf(out, "can't start another engine: %s", strerror(-err));
		upgrade_free(u);
		return -err;
	}
	ev_io_init(&u->io, on_new, u->fd, EV_READ);
	u->io.data = u->timer.data = u;
	ev_io_start(ctl->loop, &u->io);
	ev_timer_start(ctl->loop, &u->timer);
	return 0;
}

void upgrade_conn_gone(struct control *ctl, const struct conn *conn)
{
	if (ctl->upgrade && ctl->upgrade->conn == conn)
		ctl->upgrade->conn = NULL;
}

void upgrade_fini(struct control *ctl)
{
	if (ctl->upgrade)
		fail(ctl->upgrade, "the engine ends");
}
