/* What the engine's control thread does for a program, in the little that one program needs:
 * attach, more memory, event queues. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "stack/chan/hello.h"
#include "stack/sock/client.h"
#include "stack/worker/worker.h"
#include "tests/pkt/drill/world.h"

static struct {
	struct worker *w;
	const struct region *engine;
	int listener, fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client *c;
	int proc;
	bool gone;
} at;

static bool to_worker(void *arg, uint32_t worker, const struct sock_mail *msg)
{
	return worker_mail(at.w, msg);
}

static bool from_worker(const struct sock_mail *m)
{
	switch (m->type) {
	case SOCK_MAIL_CLIENT_GONE:
		at.gone = client_gone(m->p);
		break;
	case SOCK_MAIL_VIOLATION:
		script_fail(0, "the program broke the rules of shared memory");
	case SOCK_MAIL_LINE_CLOSE:
		client_line_close(m->p, (uint32_t)m->a);
		break;
	case SOCK_MAIL_EXTENT_WANTED:
		client_extent_wanted(m->p, m->from, m->a ? REGION_UP : REGION_DOWN);
		break;
	default:
		break;
	}
	return true;
}

void attach_start(struct worker *w, const struct region *engine, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	at.w = w;
	at.engine = engine;
	at.fd = -1;
	snprintf(at.path, sizeof(at.path), "%s", path);
	memcpy(a.sun_path, at.path, sizeof(at.path));
	at.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unlink(path);
	if (bind(at.listener, (void *)&a, sizeof(a)) < 0 || listen(at.listener, 1) < 0)
		script_fail(0, "%s: %s", path, strerror(errno));
	worker_set.control_mail = from_worker;
}

static void on_hello(struct chan_msg *r)
{
	struct client_conf cc = {.number = 1,
				 .n_workers = 1,
				 .pid = (uint32_t)getpid(),
				 .low_ports = true,
				 .engine = at.engine,
				 .mail = to_worker};
	int fds[CHAN_MSG_FDS], err;

	at.c = client_new(&cc, &err);
	if (!at.c)
		script_fail(0, "client_new: %s", strerror(-err));
	at.proc = client_add_proc(at.c);
	client_start(at.c);
	r->type = CHAN_MSG_WELCOME;
	r->number = (uint32_t)at.proc;
	chan_msg_send(at.fd, r, fds, client_welcome_fds(at.c, fds));
}

static void on_message(const struct chan_msg *m)
{
	struct chan_msg r = {.type = m->type, .version = CHAN_VERSION, .number = m->number};
	int fd = -1;

	switch (m->type) {
	case CHAN_MSG_HELLO:
		on_hello(&r);
		return;
	case CHAN_MSG_EXTENT:
		fd = client_extent(at.c, m->number, &r.size, &r.kind);
		r.err = fd < 0 ? -fd : 0;
		chan_msg_send(at.fd, &r, &fd, fd >= 0);
		return;
	case CHAN_MSG_EVQ_OPEN:
		r.number = (uint32_t)(m->kind == 1 ? client_line_open(at.c, &fd)
						   : client_evq_open(at.c, (uint32_t)at.proc, -1, &fd));
		r.err = (int32_t)r.number < 0 ? -(int32_t)r.number : 0;
		chan_msg_send(at.fd, &r, &fd, fd >= 0);
		if (fd >= 0)
			close(fd);
		return;
	case CHAN_MSG_EVQ_CLOSE:
		if (m->kind == 1)
			client_line_close(at.c, m->number);
		else
			client_evq_close(at.c, (uint32_t)at.proc, m->number);
		return;
	default:
		script_fail(0, "the shim asks for something that the test has not: message %u",
			    m->type);
	}
}

bool attach_poll(void)
{
	struct chan_msg m;
	bool done = false;

	if (at.fd < 0) {
		at.fd = accept4(at.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (at.fd < 0)
			return false;
	}
	while (chan_msg_recv(at.fd, &m, NULL, NULL, NULL) == 1) {
		on_message(&m);
		done = true;
	}
	return done;
}

void attach_end(void)
{
	if (at.c) {
		client_proc_gone(at.c, (uint32_t)at.proc);
		client_del(at.c);
	}
	if (at.fd >= 0)
		close(at.fd);
	close(at.listener);
	unlink(at.path);
}

bool attach_all_gone(void)
{
	if (!at.c)
		return true;
	if (!at.gone)
		return false;
	client_free(at.c);
	at.c = NULL;
	return true;
}
