/* Items of epoll sets: epoll_ctl() with Linux's errors, and what becomes of an item when its socket
 * gets its place in the engine, gets a kernel twin, goes to the kernel or is closed. */
// SPDX-License-Identifier: MIT
#include "shim/epoll.h"
#include <sys/mman.h>
#include "shim/fault.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "stack/chan/evq.h"
#include "stack/chan/lock.h"
#include "stack/chan/user.h"

/* ---- the pool of items, under epoll_lock; memory is never given back ---- */
enum { CHUNK = 256, CHUNKS = 4096 };
static _Atomic(struct epoll_item *) chunks[CHUNKS];
static uint32_t n_items;
static struct epoll_item *free_items;
/* Items whose socket was released in a signal handler while the lock was held below it. */
static _Atomic bool orphans;

struct epoll_item *epoll_item_nth(uint32_t i)
{
	struct epoll_item *c;

	if (i >= CHUNK * CHUNKS)
		return NULL;
	c = atomic_load_explicit(&chunks[i / CHUNK], memory_order_acquire);
	return c ? &c[i % CHUNK] : NULL;
}

static struct epoll_item *item_new(void)
{
	struct epoll_item *it = free_items;
	uint32_t index;

	if (it) {
		free_items = it->next_inner;
	} else {
		if (n_items % CHUNK == 0) {
			void *p = n_items / CHUNK >= CHUNKS ? MAP_FAILED :
				  mmap(NULL, CHUNK * sizeof(*it), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				return NULL;
			atomic_store_explicit(&chunks[n_items / CHUNK], p, memory_order_release);
		}
		it = epoll_item_nth(n_items);
		it->index = n_items++;
	}
	index = it->index;
	*it = (struct epoll_item){ .index = index };
	return it;
}

static void item_free(struct epoll_item *it)
{
	it->set = NULL;
	it->sock = NULL;
	it->inner = NULL;
	it->next_inner = free_items;
	free_items = it;
}

/* ---- lists ---- */
static void unlink_fd(struct epoll_item *it)
{
	struct epoll_item **p = &it->set->by_fd[it->fd];

	while (*p && *p != it)
		p = &(*p)->next_fd;
	if (*p)
		*p = it->next_fd;
}

static void unlink_id(struct epoll_item *it)
{
	struct epoll_item **p = &it->queue->by_id[it->id];

	while (*p && *p != it)
		p = &(*p)->next_id;
	if (*p)
		*p = it->next_id;
}

static void unlink_owner(struct epoll_item *it)
{
	struct epoll_item **p;

	if (!it->sock && !it->inner)
		return; /* an orphan */
	p = it->sock ? &it->sock->epoll_items : &it->inner->outer_items;
	while (*p && *p != it)
		p = &(*p)->next_owner;
	if (*p)
		*p = it->next_owner;
}

static void unlink_inner(struct epoll_item *it)
{
	struct epoll_item **p = &it->set->inner_items;

	while (*p && *p != it)
		p = &(*p)->next_inner;
	if (*p)
		*p = it->next_inner;
}

static struct epoll_item *find(struct epoll_set *set, int fd, const struct object *o)
{
	struct epoll_item *it = (unsigned)fd < FDTAB_SIZE ? set->by_fd[fd] : NULL;

	for (; it; it = it->next_fd)
		if ((it->sock && &it->sock->obj == o) || (it->inner && &it->inner->obj == o))
			return it;
	return NULL;
}

/* ---- the kernel's set and the engine's queue ---- */
int epoll_item_cookie(struct epoll_item *it)
{
	struct epoll_set *set = it->set;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
				  .data.u64 = set->cookie + EPOLL_COOKIE_ITEM + it->index };

	if (it->sock && it->events & EPOLLEXCLUSIVE)
		ev.events |= EPOLLEXCLUSIVE;
	if (libc.epoll_ctl(epoll_set_fd(set), EPOLL_CTL_ADD, it->fd, &ev) < 0)
		return -errno;
	it->flags |= ITEM_COOKIE;
	set->kernel_fds++;
	return 0;
}

static void unsubscribe(struct epoll_item *it)
{
	struct epoll_queue *q = it->queue;

	if (it->flags & ITEM_UNHEARD) {
		it->flags &= ~(uint32_t)ITEM_UNHEARD;
		it->set->unheard--;
	}
	if (!q)
		return;
	unlink_id(it);
	it->queue = NULL;
	if (!q->by_id[it->id] && !atomic_load(&it->set->stale))
		chan_unsubscribe(q->app, it->id, q->evq);
}

void epoll_item_subscribe(struct epoll_item *it)
{
	struct sock *s = it->sock;
	struct epoll_queue *q;

	if (it->queue && it->id == s->id && it->queue->app == s->app)
		return;
	unsubscribe(it);
	if (sock_is_dead(s))
		return;
	q = epoll_queue_get(it->set, s->app);
	if (!q) {
		it->flags |= ITEM_UNHEARD;
		it->set->unheard++;
		return;
	}
	it->queue = q;
	it->id = s->id;
	it->next_id = q->by_id[it->id];
	q->by_id[it->id] = it;
	chan_subscribe(q->app, it->id, q->evq);
}

void epoll_item_remove(struct epoll_item *it)
{
	struct epoll_set *set = it->set;
	const struct object *o = it->sock  ? &it->sock->obj :
				 it->inner ? &it->inner->obj :
					     NULL;
	int epfd = epoll_set_fd(set);

	unsubscribe(it);
	epoll_item_unqueue(it);
	unlink_fd(it);
	unlink_owner(it);
	if (it->inner) {
		unlink_inner(it);
		for (uint32_t i = atomic_load(&set->sleeping); i > 0; i--)
			epoll_set_rest_end(it->inner);
	}
	if (it->flags & ITEM_COOKIE) {
		/* With the last descriptor closed the kernel has forgotten it by itself. */
		if (o && epfd >= 0 && !atomic_load(&set->stale) &&
		    atomic_load(&fdtab[it->fd]) == o)
			libc.epoll_ctl(epfd, EPOLL_CTL_DEL, it->fd, NULL);
		set->kernel_fds--;
	}
	set->n_items--;
	item_free(it);
}

static void sweep_orphans(void)
{
	struct epoll_item *it;

	if (likely(!atomic_load_explicit(&orphans, memory_order_relaxed)))
		return;
	atomic_store(&orphans, false);
	for (uint32_t i = 0; (it = epoll_item_nth(i)) && i < n_items; i++) {
		struct epoll_set *set = it->set;

		if (!set || it->sock || it->inner || epoll_lock_take(&set->lock) < 0)
			continue;
		epoll_item_remove(it);
		epoll_lock_give(&set->lock);
	}
}

/* ---- epoll_ctl ---- */
static int add_inner(struct epoll_item *it)
{
	int r = epoll_item_cookie(it); /* ELOOP, EINVAL: the kernel checks the nesting */

	if (r < 0)
		return r;
	it->next_inner = it->set->inner_items;
	it->set->inner_items = it;
	it->next_owner = it->inner->outer_items;
	it->inner->outer_items = it;
	it->inner_edges = it->inner->edges - 1;
	for (uint32_t i = atomic_load(&it->set->sleeping); i > 0; i--)
		epoll_set_rest_begin(it->inner);
	return 0;
}

bool epoll_watches_twin(const struct sock *s)
{
	return sock_has(s, SOCK_TWIN) && (sock_is_dgram(s) || sock_has(s, SOCK_LISTENING));
}

static void add_sock(struct epoll_item *it)
{
	struct sock *s = it->sock;

	it->next_owner = s->epoll_items;
	atomic_signal_fence(memory_order_seq_cst); /* release in a signal handler walks the list */
	s->epoll_items = it;
	/* Pairs with each_of_sock(): either it sees the item or we see what sock.c has done. */
	atomic_thread_fence(memory_order_seq_cst);
	if (sock_is_attached(s))
		epoll_item_subscribe(it);
	if (epoll_watches_twin(s))
		epoll_item_cookie(it);
}

/* The events of a registration, as given to ADD or MOD. */
static void set_events(struct epoll_item *it, const struct epoll_event *ev)
{
	it->events = ev->events | EPOLLERR | EPOLLHUP;
	it->data = ev->data.u64;
	if (unlikely(it->events & EPOLLET && it->events & EPOLL_OUT) && it->sock && sock_is_dgram(it->sock))
		atomic_fetch_or(&it->sock->flags, SOCK_EDGE_OUT);
}

static int ctl_add(struct epoll_set *set, int fd, struct object *o, const struct epoll_event *ev)
{
	struct epoll_item *it;
	int r = epoll_set_enliven(set);

	if (r < 0)
		return r;
	if (find(set, fd, o))
		return -EEXIST;
	it = item_new();
	if (!it)
		return -ENOMEM;
	it->set = set;
	it->fd = fd;
	if (o->ops->type == OBJECT_SOCK) {
		it->sock = sock_of(o);
		set_events(it, ev);
		add_sock(it);
	} else {
		it->inner = container_of(o, struct epoll_set, obj);
		set_events(it, ev);
		r = add_inner(it);
		if (r < 0) {
			item_free(it);
			return r;
		}
	}
	it->next_fd = set->by_fd[fd];
	set->by_fd[fd] = it;
	set->n_items++;
	if (epoll_item_mask(it))
		epoll_item_queue(it);
	return 0;
}

static int ctl_mod(struct epoll_set *set, int fd, struct object *o, const struct epoll_event *ev)
{
	struct epoll_item *it = atomic_load(&set->live) ? find(set, fd, o) : NULL;

	if (!it)
		return -ENOENT;
	if (it->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	set_events(it, ev);
	if (epoll_item_mask(it))
		epoll_item_queue(it);
	return 0;
}

static int ctl_del(struct epoll_set *set, int fd, struct object *o)
{
	struct epoll_item *it = atomic_load(&set->live) ? find(set, fd, o) : NULL;

	if (!it)
		return -ENOENT;
	epoll_item_remove(it);
	return 0;
}

static int ctl_locked(struct epoll_set *set, int op, int fd, struct object *o,
		      const struct epoll_event *ev)
{
	if (atomic_load(&set->stale))
		epoll_adopt(set);
	if (unlikely(set->queue_died))
		epoll_queues_bury(set);
	switch (op) {
	case EPOLL_CTL_ADD:
		return ctl_add(set, fd, o, ev);
	case EPOLL_CTL_MOD:
		return ctl_mod(set, fd, o, ev);
	case EPOLL_CTL_DEL:
		return ctl_del(set, fd, o);
	default:
		return -EINVAL;
	}
}

static bool is_exclusive_ok(int op, const struct object *o, uint32_t events)
{
	const uint32_t ok = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET |
			    EPOLLEXCLUSIVE;

	if (!(events & EPOLLEXCLUSIVE))
		return true;
	return op != EPOLL_CTL_MOD && o->ops->type != OBJECT_EPOLL && !(events & ~ok);
}

/* o: what fd stands for. */
static int ctl_ours(struct epoll_set *set, int op, int fd, struct object *o,
		    const struct epoll_event *ev)
{
	int r;

	if (op != EPOLL_CTL_DEL && !is_exclusive_ok(op, o, ev->events))
		return -EINVAL;
	/* Only a handler that could not wait (signal_hold.c) meets EDEADLK: out of memory is the error
	 * that every caller knows. */
	if (epoll_lock_take(&epoll_lock) < 0)
		return -ENOMEM;
	sweep_orphans();
	r = -ENOMEM;
	if (o->ops->type == OBJECT_SOCK && sock_mode(sock_of(o)) == SOCK_KERNEL) {
		r = EPOLL_TO_KERNEL; /* decided meanwhile, and epoll_sock_to_kernel() has been here */
	} else if (epoll_lock_take(&set->lock) == 0) {
		r = ctl_locked(set, op, fd, o, ev);
		epoll_set_wake(set);
		epoll_lock_give(&set->lock);
	}
	epoll_lock_give(&epoll_lock);
	return r;
}

/* A set made behind our back (an inline system call) gets its object with the first socket of ours. */
static struct epoll_set *late_set(int epfd, int fd)
{
	struct epoll_set *set;

	if (fdtab_has(epfd) || libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) == 0 ||
	    errno != ENOENT)
		return NULL;
	epoll_set_made(epfd);
	set = epoll_set_get(epfd);
	if (set)
		set->kernel_fds = 1; /* who knows what is in it */
	return set;
}

/* The kernel's part: a descriptor that is the kernel's alone. */
static int ctl_kernel(struct epoll_set *set, int epfd, int op, int fd, struct epoll_event *ev)
{
	int r;

	if (!atomic_load_explicit(&set->live, memory_order_acquire) &&
	    !atomic_load(&set->stale)) {
		r = libc.epoll_ctl(epfd, op, fd, ev);
		if (r == 0 && op == EPOLL_CTL_ADD)
			set->kernel_fds++;
		return r < 0 ? -errno : 0;
	}
	if (epoll_lock_take(&epoll_lock) < 0)
		return -ENOMEM;
	if (epoll_lock_take(&set->lock) < 0) {
		epoll_lock_give(&epoll_lock);
		return -ENOMEM;
	}
	if (atomic_load(&set->stale))
		epoll_adopt(set);
	r = libc.epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
	if (r == 0 && op == EPOLL_CTL_ADD)
		set->kernel_fds++;
	else if (r == 0 && op == EPOLL_CTL_DEL && set->kernel_fds > 0)
		set->kernel_fds--;
	epoll_lock_give(&set->lock);
	epoll_lock_give(&epoll_lock);
	return r;
}

int epoll_set_ctl(int epfd, int op, int fd, struct epoll_event *user)
{
	struct object *o;
	struct epoll_event own, *ev = &own;
	struct epoll_set *set;
	int r;

	fault_arm(); /* a set may be ours before the first socket is */
	fault_thread();
	if (op == EPOLL_CTL_DEL)
		ev = NULL;
	else if (user_get(&own, user, sizeof(own)) < 0)
		return -EFAULT;
	o = fdtab_get(fd);
	if (o && o->ops->type == OBJECT_HIDDEN) {
		fdtab_put(o);
		o = NULL;
		fd = -1;
	}
	set = epoll_set_get(epfd);
	if (!o && !set)
		return EPOLL_TO_KERNEL;
	if (!set && o->ops->type == OBJECT_SOCK)
		set = late_set(epfd, fd);
	if (!set) {
		/* Not an epoll descriptor: the kernel says it best, for any number that is open. */
		r = libc.epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
	} else if (!o || (o->ops->type == OBJECT_SOCK && sock_mode(sock_of(o)) == SOCK_KERNEL)) {
		r = ctl_kernel(set, epfd, op, fd, ev);
	} else if (o == &set->obj) {
		r = -EINVAL;
	} else {
		r = ctl_ours(set, op, fd, o, ev);
	}
	if (set)
		epoll_set_put(set);
	if (o)
		fdtab_put(o);
	return r;
}

/* ---- what sock.c tells ---- */
/* Calls f for each item of s with both locks held. f may remove the item. */
static void each_of_sock(struct sock *s, void (*f)(struct epoll_item *it))
{
	struct epoll_item *it, *next;

	atomic_thread_fence(memory_order_seq_cst); /* pairs with add_sock() */
	if (!s->epoll_items || epoll_lock_take(&epoll_lock) < 0)
		return;
	for (it = s->epoll_items; it; it = next) {
		struct epoll_set *set = it->set;

		next = it->next_owner;
		if (epoll_lock_take(&set->lock) < 0)
			continue;
		if (atomic_load(&set->stale))
			epoll_adopt(set);
		f(it);
		epoll_set_wake(set);
		epoll_lock_give(&set->lock);
	}
	epoll_lock_give(&epoll_lock);
}

static void item_attached(struct epoll_item *it)
{
	epoll_item_subscribe(it);
	epoll_item_attached(it);
}

void epoll_sock_attached(struct sock *s)
{
	each_of_sock(s, item_attached);
}

static void item_twin(struct epoll_item *it)
{
	if (!(it->flags & ITEM_COOKIE))
		epoll_item_cookie(it);
}

void epoll_sock_twin(struct sock *s)
{
	each_of_sock(s, item_twin);
}

void epoll_sock_changed(struct sock *s)
{
	each_of_sock(s, epoll_item_queue);
}

static void item_sent(struct epoll_item *it)
{
	if (it->events & EPOLLET && it->events & EPOLL_OUT)
		epoll_item_queue(it);
}

/* Linux: the buffer of a datagram that has left is room again, which is news, however much there was
 * (sock_def_write_space()). */
void epoll_sock_sent(struct sock *s)
{
	each_of_sock(s, item_sent);
}

static void item_to_kernel(struct epoll_item *it)
{
	struct epoll_set *set = it->set;
	struct epoll_event ev = { .events = it->events, .data.u64 = it->data };
	int epfd = epoll_set_fd(set), fd = it->fd;
	int first = it->flags & ITEM_COOKIE ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	/* An EXCLUSIVE registration can't be changed, only made anew. */
	if (first == EPOLL_CTL_MOD && it->events & EPOLLEXCLUSIVE) {
		libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
		first = EPOLL_CTL_ADD;
	}
	if (it->events & EPOLLONESHOT && !(it->events & ~(uint32_t)EPOLL_PRIVATE))
		ev.events = EPOLLONESHOT;
	if (libc.epoll_ctl(epfd, first, fd, &ev) < 0)
		libc.epoll_ctl(epfd, first == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
			       &ev);
	set->kernel_fds++;
	if (it->flags & ITEM_COOKIE)
		set->kernel_fds--;
	it->flags &= ~(uint32_t)ITEM_COOKIE;
	epoll_item_remove(it);
}

void epoll_sock_to_kernel(struct sock *s)
{
	each_of_sock(s, item_to_kernel);
}

void epoll_sock_released(struct sock *s)
{
	struct epoll_item *it = s->epoll_items, *next;

	if (!it)
		return;
	if (epoll_lock_take(&epoll_lock) < 0)
		goto orphan;
	for (; it; it = next) {
		struct epoll_set *set = it->set;

		next = it->next_owner;
		if (epoll_lock_take(&set->lock) < 0)
			goto orphan_locked;
		epoll_item_remove(it);
		epoll_lock_give(&set->lock);
	}
	epoll_lock_give(&epoll_lock);
	return;
orphan_locked:
	epoll_lock_give(&epoll_lock);
orphan:
	/* We are a signal handler on top of our own code: leave the items without a socket, whoever has
	 * the lock next takes them out. */
	for (it = s->epoll_items; it; it = it->next_owner)
		it->sock = NULL;
	s->epoll_items = NULL;
	atomic_store(&orphans, true);
}
