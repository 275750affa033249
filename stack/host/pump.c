/* The relay's helper process: pumps bytes between sockets of one client and the tickets that stand
 * for them. See relay.h. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stack/base/list.h"
#include "stack/base/util.h"
#include "stack/chan/evq.h"
#include "stack/chan/hello.h"
#include "stack/chan/stream.h"
#include "stack/host/relay.h"

enum { BUFFER = 65536, EVENTS = 64, IDS = 1024 };

/* Bytes on their way in one direction. */
struct flow {
	uint32_t at, n; /* in buf */
	bool ended;	/* its end has been passed on */
	uint8_t buf[BUFFER];
};
struct pump {
	struct list link;
	uint32_t id, gen;
	int fd;
	struct flow in, out; /* to the ticket, from it */
};
struct helper {
	struct chan_app app;
	struct list pumps;
	struct pump *by_id[CHAN_MAX_SOCKS];
	uint32_t evq, overflow;
	int bell, ep;
};
enum step { STEP_ON, STEP_WAIT, STEP_OVER };

/* ---- bytes ---- */
/* The socket's side has no more: an error ends all, an EOF only this direction. */
static enum step in_ends(struct helper *h, struct pump *p)
{
	const struct chan_sock_a *a = chan_sock_a(&h->app, p->id);
	struct chan_sock_b *b = chan_sock_b(&h->app, p->id);

	if (chan_take_error(a, b))
		return STEP_OVER;
	if (!chan_rx_eof(a, b))
		return STEP_WAIT;
	shutdown(p->fd, SHUT_WR);
	p->in.ended = true;
	return STEP_WAIT;
}

static enum step step_in(struct helper *h, struct pump *p)
{
	struct flow *f = &p->in;
	ssize_t n;

	if (f->ended)
		return STEP_WAIT;
	if (f->at == f->n) {
		struct iovec v = { f->buf, sizeof(f->buf) };

		n = chan_rx_read(&h->app, p->id, &v, 1, CHAN_RX_PAST_MARK, 0);
		if (n <= 0)
			return in_ends(h, p);
		f->at = 0;
		f->n = (uint32_t)n;
	}
	n = send(p->fd, f->buf + f->at, f->n - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? STEP_WAIT : STEP_OVER;
	f->at += (uint32_t)n;
	return STEP_ON;
}

static enum step out_status(enum chan_status s)
{
	return s == CHAN_OK ? STEP_ON : s == CHAN_SHOULD_WAIT ? STEP_WAIT : STEP_OVER;
}

static enum step step_out(struct helper *h, struct pump *p)
{
	struct chan_handle at = { p->id, p->gen };
	struct flow *f = &p->out;
	enum chan_status s;
	size_t done = 0;

	if (f->ended)
		return STEP_WAIT;
	if (f->at == f->n) {
		ssize_t n = recv(p->fd, f->buf, sizeof(f->buf), MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? STEP_WAIT : STEP_OVER;
		f->at = 0;
		f->n = (uint32_t)n;
	}
	if (f->n == 0) {
		s = chan_write(&h->app, at, CHAN_WRITE_HALF_CLOSE, NULL, 0, NULL);
		f->ended = s == CHAN_OK || s == CHAN_CLOSED_HERE;
		return f->ended ? STEP_WAIT : out_status(s);
	}
	struct iovec v = { f->buf + f->at, f->n - f->at };
	s = chan_write(&h->app, at, 0, &v, 1, &done);
	f->at += (uint32_t)done;
	return out_status(s);
}

/* Nobody has the ticket any more, and all that was written to it is on its way. */
static bool is_left(const struct pump *p)
{
	return p->out.ended && send(p->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

static void end(struct helper *h, struct pump *p)
{
	struct chan_msg m = { .type = CHAN_MSG_TICKET, .version = CHAN_VERSION, .number = p->id };

	chan_unsubscribe(&h->app, p->id, h->evq);
	chan_unhold(&h->app, p->id);
	h->by_id[p->id] = NULL;
	close(p->fd);
	list_del(&p->link);
	free(p);
	chan_msg_send(RELAY_CONTROL, &m, NULL, 0);
}

static void progress(struct helper *h, struct pump *p)
{
	enum step in, out;

	do {
		in = step_in(h, p);
		out = in == STEP_OVER ? STEP_OVER : step_out(h, p);
	} while (in != STEP_OVER && out != STEP_OVER && (in == STEP_ON || out == STEP_ON));
	if (in == STEP_OVER || out == STEP_OVER || (p->in.ended && p->out.ended) || is_left(p))
		end(h, p);
}

/* ---- control ---- */
static void begin(struct helper *h, const struct chan_msg *m, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct pump *p = m->number < CHAN_MAX_SOCKS && !h->by_id[m->number] ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		close(fd);
		chan_msg_send(RELAY_CONTROL, m, NULL, 0);
		return;
	}
	p->id = m->number;
	p->gen = (uint32_t)m->size;
	p->fd = fd;
	list_push(&h->pumps, &p->link);
	h->by_id[p->id] = p;
	chan_hold(&h->app, p->id);
	chan_subscribe(&h->app, p->id, h->evq);
	ev.data.u32 = p->id;
	epoll_ctl(h->ep, EPOLL_CTL_ADD, fd, &ev);
	progress(h, p);
}

/* False: the engine has nothing more for us. */
static bool listen_to(struct helper *h)
{
	struct chan_msg m;

	for (;;) {
		int fd = -1, r;
		unsigned n = 1;

		r = chan_msg_recv(RELAY_CONTROL, &m, &fd, &n, NULL);
		if (r == -EAGAIN || r == -EINTR)
			return true;
		if (r <= 0)
			return false;
		if (n == 1)
			begin(h, &m, fd);
	}
}

/* ---- the loop ---- */
static void all(struct helper *h)
{
	list_for_each_safe(it, next, &h->pumps)
		progress(h, container_of(it, struct pump, link));
}

static void drain(struct helper *h)
{
	uint32_t ids[IDS], n;
	bool lost;

	do {
		n = chan_evq_drain(&h->app, h->evq, ids, IDS, &h->overflow, &lost);
		if (lost)
			all(h);
		for (uint32_t i = 0; i < n; i++)
			if (h->by_id[ids[i]])
				progress(h, h->by_id[ids[i]]);
	} while (n > IDS - 64);
}

enum { AT_CONTROL = CHAN_MAX_SOCKS, AT_BELL };

static bool handle(struct helper *h, const struct epoll_event *ev)
{
	char junk[64];

	if (ev->data.u32 == AT_CONTROL)
		return listen_to(h);
	if (ev->data.u32 == AT_BELL) {
		while (read(h->bell, junk, sizeof(junk)) == sizeof(junk))
			;
		chan_evq_heard(&h->app, h->evq);
	} else if (h->by_id[ev->data.u32]) {
		progress(h, h->by_id[ev->data.u32]);
	}
	return true;
}

static void run(struct helper *h)
{
	struct epoll_event ev[EVENTS];
	bool go_on = true;

	while (go_on && chan_alive(&h->app)) {
		bool empty;
		int n;

		drain(h);
		empty = chan_evq_sleep(&h->app, h->evq, h->overflow);
		n = epoll_wait(h->ep, ev, EVENTS, empty ? -1 : 0);
		chan_evq_awake(&h->app, h->evq);
		for (int i = 0; i < n && go_on; i++)
			go_on = handle(h, &ev[i]);
	}
}

/* ---- start ---- */
static bool become_user(const char *uid, const char *gid)
{
	uid_t u = (uid_t)strtoul(uid, NULL, 10);
	gid_t g = (gid_t)strtoul(gid, NULL, 10);

	if (geteuid() != 0 || u == 0)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(g, g, g) == 0 && setresuid(u, u, u) == 0;
}

static bool watch(struct helper *h, int fd, uint32_t what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = what };

	return epoll_ctl(h->ep, EPOLL_CTL_ADD, fd, &ev) == 0;
}

int pump_main(int argc, char **argv)
{
	static struct helper h;

	if (argc != 4 || !become_user(argv[2], argv[3]))
		return 1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	fcntl(RELAY_CONTROL, F_SETFL, O_NONBLOCK);
	list_init(&h.pumps);
	h.ep = epoll_create1(EPOLL_CLOEXEC);
	if (h.ep < 0 || chan_app_image(&h.app, RELAY_TOKEN) < 0 ||
	    chan_evq_open(&h.app, &h.evq, &h.bell, -1) < 0 || !watch(&h, RELAY_CONTROL, AT_CONTROL) ||
	    !watch(&h, h.bell, AT_BELL))
		return 1;
	run(&h);
	return 0;
}
