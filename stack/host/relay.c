/* Starts the relay's helper processes and hands sockets to them: see relay.h. */
// SPDX-License-Identifier: MIT
#include "stack/host/relay.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/chan/hello.h"
#include "stack/host/control_int.h"

/* A helper. It ends when its control socket is closed, or with its client. */
struct relay {
	struct list link;
	struct control *ctl;
	struct attached *a; /* NULL: only its end is waited for */
	uint32_t proc;
	uint32_t n;	    /* sockets it has */
	int fd, pidfd;
	pid_t pid;
	ev_io io, pid_io;
};

/* ---- its end ---- */
static void hang_up(struct relay *r)
{
	if (r->fd < 0)
		return;
	ev_io_stop(r->ctl->loop, &r->io);
	close(r->fd);
	r->fd = -1;
	r->a = NULL;
}

static void on_exit_of(struct ev_loop *loop, ev_io *io, int events)
{
	struct relay *r = io->data;

	if (waitpid(r->pid, NULL, WNOHANG) == 0)
		return;
	hang_up(r);
	ev_io_stop(loop, &r->pid_io);
	close(r->pidfd);
	list_del(&r->link);
	free(r);
}

void relay_drop_all(struct control *ctl, struct attached *a)
{
	list_for_each_safe(it, next, &ctl->relays) {
		struct relay *r = container_of(it, struct relay, link);

		if (a && r->a != a)
			continue;
		hang_up(r);
		if (a)
			continue;
		/* The engine ends. */
		ev_io_stop(ctl->loop, &r->pid_io);
		close(r->pidfd);
		list_del(&r->link);
		free(r);
	}
}

/* One of its sockets has ended. With the last one it does, too. */
static void on_word(struct ev_loop *loop, ev_io *io, int events)
{
	struct relay *r = io->data;
	struct chan_msg m;
	int err;

	while ((err = chan_msg_recv(r->fd, &m, NULL, NULL, NULL)) == 1)
		if (m.type != CHAN_MSG_TICKET || r->n == 0 || --r->n == 0)
			break;
	if (err != -EAGAIN && err != -EINTR)
		hang_up(r);
}

/* ---- its beginning ---- */
/* 0 or -errno. ctl_fd and token are the helper's ends. */
static int run_helper(struct relay *r, int ctl_fd, int token)
{
	const struct client_conf *conf = &r->a->c->conf;
	posix_spawn_file_actions_t fa;
	char uid[16], gid[16];
	char *argv[] = { (char *)"fastnetd", (char *)RELAY_ARG, uid, gid, NULL };
	char *envp[] = { NULL };
	int err;

	snprintf(uid, sizeof(uid), "%u", conf->uid);
	snprintf(gid, sizeof(gid), "%u", conf->gid);
	err = posix_spawn_file_actions_init(&fa);
	if (err)
		return -err;
	/* Both are above the numbers they get. */
	err = posix_spawn_file_actions_adddup2(&fa, ctl_fd, RELAY_CONTROL);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&fa, token, RELAY_TOKEN);
	if (!err)
		err = posix_spawn(&r->pid, "/proc/self/exe", &fa, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	return -err;
}

/* A copy above the helper's numbers; fd is closed. */
static int above(int fd)
{
	int n = fcntl(fd, F_DUPFD_CLOEXEC, RELAY_TOKEN + 1);

	close(fd);
	return n;
}

static void watch(struct relay *r)
{
	ev_io_init(&r->io, on_word, r->fd, EV_READ);
	ev_io_init(&r->pid_io, on_exit_of, r->pidfd, EV_READ);
	r->io.data = r->pid_io.data = r;
	ev_io_start(r->ctl->loop, &r->io);
	ev_io_start(r->ctl->loop, &r->pid_io);
	list_push(&r->ctl->relays, &r->link);
}

static int start_helper(struct relay *r)
{
	int s[2], token, err;

	err = attach_token(r->ctl, r->a, r->a->c->conf.uid, &token, &r->proc);
	if (err)
		return err;
	token = above(token);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0) {
		err = -errno;
		close(token);
		return err;
	}
	s[1] = above(s[1]);
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	r->fd = s[0];
	err = token < 0 || s[1] < 0 ? -EMFILE : run_helper(r, s[1], token);
	close(s[1]);
	close(token);
	if (err) {
		close(r->fd);
		return err;
	}
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->pidfd < 0) { /* no descriptors: its end could not be seen */
		err = -errno;
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		close(r->fd);
		return err;
	}
	watch(r);
	LOG(host, INFO, "client=%u has a relay, pid=%d", r->a->c->conf.number, (int)r->pid);
	return 0;
}

static struct relay *helper_of(struct control *ctl, struct attached *a, int *err)
{
	struct relay *r;

	list_for_each(it, &ctl->relays) {
		r = container_of(it, struct relay, link);
		if (r->a == a)
			return r;
	}
	r = calloc(1, sizeof(*r));
	*err = -ENOMEM;
	if (!r)
		return NULL;
	*r = (struct relay){ .ctl = ctl, .a = a, .fd = -1, .pidfd = -1 };
	*err = start_helper(r);
	if (*err) {
		free(r);
		return NULL;
	}
	return r;
}

int relay_start(struct control *ctl, struct attached *a, uint32_t id, uint32_t gen, int fd)
{
	struct chan_msg m = { .type = CHAN_MSG_TICKET, .version = CHAN_VERSION, .number = id, .size = gen };
	struct relay *r;
	int err;

	if (a->c->sock_a[id].type != SOCK_STREAM ||
	    atomic_load_explicit(&a->c->sock_a[id].state, memory_order_acquire) == CHAN_ST_LISTENING)
		return -EOPNOTSUPP;
	r = helper_of(ctl, a, &err);
	if (!r)
		return err;
	client_hold(a->c, r->proc, id);
	err = chan_msg_send(r->fd, &m, &fd, 1);
	if (err)
		client_unhold(a->c, r->proc, id);
	else
		r->n++;
	return err;
}
