/* An engine that has handed over: it serves what it still has by way of the new one, tells it from time
 * to time what that is, and ends when nothing is left. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/sys.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"
#include "stack/host/control_int.h"
#include "stack/host/upgrade.h"
#include "stack/sock/sock_drain.h"

enum {
	ROUND_MS = 10,	    /* between two looks while listeners are about to run dry, ... */
	ROUND_MAX_MS = 200, /* ... and while there is nothing to hurry for */
	QUICK_ROUNDS = 100, /* at first all is quick */
	DGRAM_WAIT_S = 60,  /* for programs with datagram sockets that do not come by */
};

struct drain {
	struct control *ctl;
	ev_io io;
	ev_timer round, limit;
	ev_tstamp since;
	_Atomic uint32_t running; /* data threads that have not finished the round */
	struct upgrade_state told;
	struct sock_drain look;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void look(struct sock_env *env, void *p)
{
	struct drain *d = p;

	sock_drain_look(env, &d->look);
	atomic_fetch_sub(&d->running, 1);
}

static void begin_round(struct drain *d)
{
	struct host *h = d->ctl->h;

	d->look.round++;
	d->look.conns = d->look.listeners = d->look.dgrams = d->look.unread = d->look.wet = 0;
	atomic_store(&d->running, h->n_workers);
	for (uint32_t i = 0; i < h->n_workers; i++) {
		const struct sock_mail m = { .type = SOCK_MAIL_CALL, .p = d, .fn = look };

		if (!worker_mail(h->worker[i], &m)) {
			/* Very busy: this round says that there is something. */
			atomic_fetch_add(&d->look.conns, 1);
			atomic_fetch_sub(&d->running, 1);
		}
	}
}

static void tell(struct drain *d, const struct upgrade_state *s)
{
	struct chan_msg m = { .type = UPGRADE_STATE, .version = CHAN_VERSION, .len = sizeof(*s) };

	if (!memcmp(&d->told, s, sizeof(*s)))
		return;
	memcpy(m.text, s, sizeof(*s));
	if (chan_msg_send(d->io.fd, &m, NULL, 0) == 0)
		d->told = *s;
}

static uint32_t count(const struct list *l)
{
	uint32_t n = 0;

	list_for_each(it, l)
		n++;
	return n;
}

/* A whole round is in: is anything left? */
static bool is_drained(struct drain *d)
{
	struct control *ctl = d->ctl;
	struct upgrade_state s = {
		.pid = (uint32_t)getpid(),
		.conns = d->look.conns,
		.listeners = d->look.listeners + d->look.wet,
		.dgrams = d->look.dgrams,
		.tickets = count(&ctl->tickets) + count(&ctl->relays),
	};

	tell(d, &s);
	if (ev_now(ctl->loop) - d->since > DGRAM_WAIT_S)
		s.dgrams = 0;
	return !s.conns && !s.listeners && !s.dgrams && !s.tickets && !d->look.unread &&
	       d->look.round > 3;
}

static void on_round(struct ev_loop *loop, ev_timer *t, int events)
{
	struct drain *d = t->data;

	if (atomic_load(&d->running)) /* a data thread is late */
		return;
	if (d->look.round && is_drained(d)) {
		LOG(host, INFO, "drained: pid=%d", getpid());
		control_stop(d->ctl);
		return;
	}
	ports_sweep(d->ctl->h->ports, now_ns());
	begin_round(d);
	bool quick = d->look.round < QUICK_ROUNDS || d->look.wet;
	ev_timer_stop(loop, t);
	ev_timer_set(t, (quick ? ROUND_MS : ROUND_MAX_MS) / 1e3,
		     (quick ? ROUND_MS : ROUND_MAX_MS) / 1e3);
	ev_timer_start(loop, t);
}

/* The new engine says nothing: it has ended. Without it there is no way to anybody. */
static void on_host(struct ev_loop *loop, ev_io *io, int events)
{
	struct drain *d = io->data;
	struct chan_msg m;
	int r, fds[2];
	unsigned n = 2;

	while ((r = chan_msg_recv(io->fd, &m, fds, &n, NULL)) == 1) {
		if (m.type == UPGRADE_CLAIM && n == 2) {
			claim_for_host(d->ctl, &m, fds[0], fds[1]);
			n = 0;
		}
		while (n > 0)
			close(fds[--n]);
		n = 2;
	}
	if (r == -EAGAIN || r == -EINTR)
		return;
	ev_io_stop(loop, io);
	control_stop(d->ctl);
}

static void on_limit(struct ev_loop *loop, ev_timer *t, int events)
{
	struct drain *d = t->data;

	LOG(host, WARN, "the time to drain is over: what is left is closed");
	control_stop(d->ctl);
}

/* Whoever sleeps in the shim looks whether its sockets have moved. */
static void wake_everyone(struct control *ctl)
{
	struct chan_engine *e = ctl->h->engine.base;

	atomic_fetch_or(&e->flags, CHAN_ENGINE_MOVED);
	sys_futex_wake(&e->alive, INT_MAX);
	list_for_each(it, &ctl->clients)
		client_ring_all(container_of(it, struct attached, link)->c);
}

void drain_start(struct control *ctl, int fd, uint32_t limit_s)
{
	struct drain *d = calloc(1, sizeof(*d));

	control_moved(ctl);
	wake_everyone(ctl);
	if (!d) { /* it serves on until the new engine ends, or somebody asks it to */
		LOG(host, ERROR, "out of memory: this engine does not end by itself");
		return;
	}
	d->ctl = ctl;
	d->since = ev_now(ctl->loop);
	d->look.theirs = bridge_view(&ctl->h->bridge, false);
	ctl->guest = d;
	ev_io_init(&d->io, on_host, fd, EV_READ);
	ev_timer_init(&d->round, on_round, ROUND_MS / 1e3, ROUND_MS / 1e3);
	ev_timer_init(&d->limit, on_limit, limit_s, 0.);
	d->io.data = d->round.data = d->limit.data = d;
	ev_io_start(ctl->loop, &d->io);
	ev_timer_start(ctl->loop, &d->round);
	if (limit_s)
		ev_timer_start(ctl->loop, &d->limit);
}

void drain_fini(struct control *ctl)
{
	struct drain *d = ctl->guest;

	if (!d)
		return;
	ev_io_stop(ctl->loop, &d->io);
	ev_timer_stop(ctl->loop, &d->round);
	ev_timer_stop(ctl->loop, &d->limit);
	close(d->io.fd);
	free(d);
	ctl->guest = NULL;
}
