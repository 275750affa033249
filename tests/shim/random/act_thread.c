/* Actions with a second thread: it blocks in a call, the first one does something to the socket. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

enum call { RECV, READ, POLL, ACCEPT, CALLS };
static const char *const call_name[] = {"recv", "read", "poll", "accept"};

struct blocked {
	pthread_t thread;
	enum call call;
	int fd, tid;
	ssize_t result;
	int error;
	uint32_t mask;
	unsigned char byte[8];
	bool done;
};

static void on_user(int sig) {}

static void *blocking_call(void *arg)
{
	struct blocked *b = arg;
	struct pollfd p = {.fd = b->fd, .events = POLLIN | POLLRDHUP};

	__atomic_store_n(&b->tid, t_self(), __ATOMIC_RELEASE);
	switch (b->call) {
	case RECV:
		b->result = recv(b->fd, b->byte, 1, 0);
		break;
	case READ:
		b->result = read(b->fd, b->byte, 1);
		break;
	case POLL:
		b->result = poll(&p, 1, 5000);
		b->mask = (uint32_t)p.revents;
		break;
	default:
		b->result = accept(b->fd, NULL, NULL);
	}
	b->error = errno;
	__atomic_store_n(&b->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool wait_done(struct blocked *b, int ms)
{
	uint64_t end = t_now_ms() + (uint64_t)ms;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE) && t_now_ms() < end)
		t_sleep_ms(1);
	return __atomic_load_n(&b->done, __ATOMIC_ACQUIRE);
}

/* Asleep for a few looks in a row, or done. */
static void until_asleep(struct blocked *b)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", b->tid);
	for (int i = 0, asleep = 0; i < 500 && asleep < 4 && !wait_done(b, 3); i++) {
		FILE *f = fopen(path, "re");
		const char *p = f && fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
		asleep = p && p[2] == 'S' ? asleep + 1 : 0;
		if (f)
			fclose(f);
	}
}

/* What the first thread does meanwhile; the peer's slot is -1 if it has none. */
static void disturb(struct dice *d, int slot, int peer)
{
	struct object *p = object_of(peer);
	uint32_t r = roll(d, 7);

	if (p && r < 2) {
		unsigned char c;
		fill_pattern(&c, p->tx, 1);
		tr(" peer sends");
		if (tr_res(send(fd_of(peer), &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
			p->tx++;
	} else if (p && r == 2) {
		tr(" peer shuts down");
		tr_res(shutdown(fd_of(peer), SHUT_WR));
	} else if (p && r == 3) {
		tr(" peer resets");
		t_reset(fd_of(peer));
		forget(peer);
	} else if (r == 4) {
		tr(" shutdown RD");
		object_of(slot)->shut = true;
		tr_res(shutdown(fd_of(slot), SHUT_RD));
	} else if (r == 5) {
		tr(" shutdown RDWR");
		object_of(slot)->shut = true;
		tr_res(shutdown(fd_of(slot), SHUT_RDWR));
	} else {
		tr(" nothing");
	}
}

static int slot_of(const struct object *o)
{
	for (int i = 0; o && i < SLOTS; i++)
		if (object_of(i) == o)
			return i;
	return -1;
}

static void finish(struct blocked *b, struct object *o)
{
	/* The signal may come just before the call: again and again. */
	for (int i = 0; i < 100 && !wait_done(b, 20); i++)
		pthread_kill(b->thread, SIGUSR1);
	pthread_join(b->thread, NULL);
	errno = b->error;
	if (b->call == ACCEPT && b->result >= 0) {
		tr(" accepted");
		close((int)b->result);
		return;
	}
	tr_res(b->result);
	if (b->call == POLL)
		tr(" %s", t_mask(b->mask));
	if (b->call <= READ && b->result > 0) {
		if (!o->loose)
			tr(" %s", check_pattern(b->byte, o->rx, 1));
		o->rx++;
	}
}

static void do_blocked(struct dice *d)
{
	struct blocked b = {.call = (enum call)roll(d, CALLS)};
	int slot = pick(d, b.call == ACCEPT ? K_LISTENER : K_CONNECTED), peer;
	struct sigaction a = {.sa_handler = on_user};
	struct object *o = object_of(slot);

	if (slot < 0)
		return;
	sigaction(SIGUSR1, &a, NULL);
	b.fd = fd_of(slot);
	peer = slot_of(o->peer);
	tr(" s%d %s", slot, call_name[b.call]);
	if (pthread_create(&b.thread, NULL, blocking_call, &b))
		_exit(3);
	while (!__atomic_load_n(&b.tid, __ATOMIC_ACQUIRE))
		t_sleep_ms(1);
	until_asleep(&b);
	tr(" %s;", wait_done(&b, 0) ? "returns" : "sleeps");
	if (!wait_done(&b, 0)) {
		disturb(d, slot, peer);
		/* A busy machine may need long to let it run: then it is not asleep. */
		settle_engine();
		if (!wait_done(&b, 60))
			until_asleep(&b);
		tr(" %s", wait_done(&b, 0) ? "woke it" : "does not wake it");
	}
	finish(&b, o);
}

const struct action thread_actions[] = {
	{"blocked", 1, do_blocked},
	{NULL},
};
