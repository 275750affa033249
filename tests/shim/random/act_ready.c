/* Actions that ask for readiness: poll, select, and epoll sets that live on. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

static int some_events(struct dice *d)
{
	return chance(d, 40) ? (int)(roll(d, 0x400)) | (chance(d, 50) ? POLLRDHUP : 0)
			     : ONE_OF(d, 0, POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI, POLLRDHUP,
				      POLLIN | POLLRDHUP, POLLRDNORM, POLLWRNORM, POLLHUP);
}

static void do_poll(struct dice *d)
{
	struct pollfd p[5];
	int n = (int)roll(d, 6), slot[5];
	int ms = ONE_OF(d, 0, 0, 0, 1, 5), r;
	struct timespec t = {.tv_nsec = ms * 1000000};
	bool pp = chance(d, 30);

	for (int i = 0; i < n; i++) {
		slot[i] = pick_wild(d, K_ANY);
		p[i] = (struct pollfd){.fd = fd_of(slot[i]), .events = (short)some_events(d)};
		p[i].revents = 0x5555;
	}
	tr(" %s(%d ms)", pp ? "ppoll" : "poll", ms);
	r = pp ? ppoll(p, (nfds_t)n, &t, NULL) : poll(p, (nfds_t)n, ms);
	tr_res(r);
	for (int i = 0; i < n; i++)
		tr(" %s/%x:%x", slot_name(slot[i]), (unsigned int)p[i].events,
		   (unsigned int)p[i].revents);
}

static void tr_set(const char *name, const fd_set *set)
{
	tr(" %s:", name);
	for (int i = 0; i < SLOTS; i++)
		if (object_of(i) && FD_ISSET(fd_of(i), set))
			tr(" s%d", i);
}

static void do_select(struct dice *d)
{
	fd_set set[3];
	struct timeval t = {.tv_usec = ONE_OF(d, 0, 0, 1000)};
	int top = 0, r;

	for (int k = 0; k < 3; k++) {
		FD_ZERO(&set[k]);
		for (int i = 0; i < SLOTS; i++) {
			if (!object_of(i) || !chance(d, k == 2 ? 20 : 40))
				continue;
			FD_SET(fd_of(i), &set[k]);
			top = fd_of(i) >= top ? fd_of(i) + 1 : top;
		}
	}
	/* Closed, and below the size of any process' table: the kernel ignores bits beyond that. */
	if (chance(d, 3)) {
		FD_SET(63, &set[0]);
		top = 64;
	}
	tr(" select");
	r = select(top, chance(d, 90) ? &set[0] : NULL, &set[1], &set[2], &t);
	tr_res(r);
	if (r < 0)
		return;
	tr_set("r", &set[0]);
	tr_set("w", &set[1]);
	tr_set("e", &set[2]);
}

static void do_epoll_create(struct dice *d)
{
	int slot = empty_slot(d), fd;
	int flags = chance(d, 95) ? ONE_OF(d, 0, EPOLL_CLOEXEC) : 0x77;

	if (slot < 0)
		return;
	tr(" s%d epoll_create1(%x)", slot, flags);
	fd = tr_fd(epoll_create1(flags));
	if (fd >= 0)
		put(slot, fd, object_new(K_EPOLL));
}

static uint32_t some_epoll_events(struct dice *d, int op)
{
	uint32_t e = (uint32_t)ONE_OF(d, EPOLLIN, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT,
				      EPOLLIN | EPOLLRDHUP, EPOLLRDHUP, EPOLLPRI, 0,
				      EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, EPOLLRDNORM);

	if (chance(d, 40))
		e |= EPOLLET;
	if (chance(d, 20))
		e |= EPOLLONESHOT;
	if (chance(d, op == EPOLL_CTL_ADD ? 10 : 2))
		e |= EPOLLEXCLUSIVE;
	if (chance(d, 3))
		e |= EPOLLWAKEUP;
	return e;
}

static void do_epoll_ctl(struct dice *d)
{
	int ep = chance(d, 97) ? pick(d, K_EPOLL) : pick_wild(d, K_ANY);
	int slot = pick_wild(d, chance(d, 95) ? K_SOCKET : K_ANY);
	int op = ONE_OF(d, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
			EPOLL_CTL_MOD, EPOLL_CTL_DEL, 9);
	struct epoll_event ev = {.events = some_epoll_events(d, op), .data.u32 = (uint32_t)slot};

	if (ep < 0)
		return;
	if (op == 9 && chance(d, 80))
		op = EPOLL_CTL_ADD;
	tr(" %s epoll_ctl(%s, %s, %x)", slot_name(ep),
	   op == EPOLL_CTL_ADD	 ? "ADD"
	   : op == EPOLL_CTL_MOD ? "MOD"
	   : op == EPOLL_CTL_DEL ? "DEL"
				 : "bad",
	   slot_name(slot), ev.events);
	tr_res(epoll_ctl(fd_of(ep), op, fd_of(slot), &ev));
}

static int by_slot(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	if (x->data.u32 != y->data.u32)
		return x->data.u32 < y->data.u32 ? -1 : 1;
	return x->events < y->events ? -1 : x->events > y->events;
}

/* All events at once: which of them come first when there is no room for all, is each kernel's own.
 */
static void do_epoll_wait(struct dice *d)
{
	int ep = pick_wild(d, K_EPOLL), r, ms = ONE_OF(d, 0, 0, 1);
	int max = chance(d, 96) ? 64 : ONE_OF(d, 0, -1);
	struct epoll_event ev[64];
	struct timespec t = {.tv_nsec = ms * 1000000};
	int how = (int)roll(d, 3);

	tr(" %s epoll_%s(%d, %d ms)", slot_name(ep),
	   how == 0   ? "wait"
	   : how == 1 ? "pwait"
		      : "pwait2",
	   max, ms);
	guard_begin(true);
	r = how == 0   ? epoll_wait(fd_of(ep), ev, max, ms)
	    : how == 1 ? epoll_pwait(fd_of(ep), ev, max, ms, NULL)
		       : epoll_pwait2(fd_of(ep), ev, max, &t, NULL);
	guard_end();
	tr_res(r);
	if (r > 0)
		qsort(ev, (size_t)r, sizeof(ev[0]), by_slot);
	for (int i = 0; i < r; i++)
		tr(" s%d:%x", (int)ev[i].data.u32, ev[i].events);
}

const struct action ready_actions[] = {
	{"poll", 5, do_poll},
	{"select", 3, do_select},
	{"epoll_create", 3, do_epoll_create},
	{"epoll_ctl", 10, do_epoll_ctl},
	{"epoll_wait", 9, do_epoll_wait},
	{NULL},
};
