/* Clients on the control thread: memory, processes, event queues, and the end. See client.h. */
// SPDX-License-Identifier: MIT
#include "stack/sock/client.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/bug.h"
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/chan/layout_d.h"
#include "stack/sock/client_down.h"
#include "stack/sock/sock_int.h"

enum { MAIL_TRIES = 2000, MAIL_PAUSE_NS = 500000 };

/* Data threads empty their mailboxes every loop, so a full one has room soon. */
void client_mail_to(struct client *c, uint32_t worker, const struct sock_mail *m)
{
	struct timespec pause = { .tv_nsec = MAIL_PAUSE_NS };

	for (int i = 0; i < MAIL_TRIES; i++) {
		if (c->conf.mail(c->conf.mail_arg, worker, m))
			return;
		nanosleep(&pause, NULL);
	}
	LOG(sock, ERROR, "worker=%u does not take mail, lost type=%u", worker, m->type);
}

static void mail_all(struct client *c, struct sock_mail m)
{
	m.from = UINT32_MAX;
	m.p = m.type == SOCK_MAIL_CALL ? m.p : c;
	for (uint32_t w = 0; w < c->conf.n_workers; w++)
		client_mail_to(c, w, &m);
}

/* ---- memory ---- */
int client_engine_create(struct region *r, uint32_t n_workers)
{
	int err = region_create(r, "fastnet-engine", align_up(sizeof(struct chan_engine), 4096),
				REGION_DOWN);

	if (err)
		return err;
	struct chan_engine *e = r->base;
	e->magic = CHAN_MAGIC;
	e->version = CHAN_VERSION;
	e->pid = (uint32_t)getpid();
	e->n_workers = n_workers;
	return 0;
}

static int create_down(const struct client *c, struct region *r, const char *name, uint64_t size)
{
	if (!c->conf.sealed && client_down_create(r, size) == 0)
		return 0;
	return region_create(r, name, size, REGION_DOWN);
}

static int create_a(struct client *c)
{
	uint32_t n = c->conf.n_workers;
	uint64_t off_call = align_up(sizeof(struct chan_a), 4096);
	uint64_t off_sock = align_up(off_call + CHAN_MAX_CALLS * sizeof(struct chan_call_a), 4096);
	uint64_t off_evq = off_sock + (uint64_t)CHAN_MAX_SOCKS * sizeof(struct chan_sock_a);
	uint64_t size = align_up(off_evq + CHAN_MAX_EVQS * chan_evq_stride(n), 4096);
	int err = create_down(c, &c->ra, "fastnet-a", size);

	if (err)
		return err;
	uint8_t *base = c->ra.base;
	c->a = c->ra.base;
	c->call_a = (void *)(base + off_call);
	c->sock_a = (void *)(base + off_sock);
	c->evq_a = base + off_evq;
	c->evq_stride = chan_evq_stride(n);
	c->a->magic = CHAN_MAGIC;
	c->a->version = CHAN_VERSION;
	c->a->client = c->conf.number;
	c->a->key = c->conf.key;
	c->a->n_workers = n;
	c->a->max_socks = CHAN_MAX_SOCKS;
	c->a->max_procs = CHAN_MAX_PROCS;
	c->a->max_evqs = CHAN_MAX_EVQS;
	c->a->off_call = off_call;
	c->a->off_sock = off_sock;
	c->a->off_evq = off_evq;
	c->a->size = size;
	return 0;
}

static int create_b(struct client *c)
{
	uint32_t n = c->conf.n_workers;
	int err = region_create(&c->rb, "fastnet-b", align_up(chan_b_size(n), 4096), REGION_UP);

	if (err)
		return err;
	uint8_t *base = c->rb.base;
	c->b = c->rb.base;
	c->held = (void *)(base + chan_b_off_held(n));
	c->call_b = (void *)(base + chan_b_off_call(n));
	c->evq_b = (void *)(base + chan_b_off_evq(n));
	c->sock_b = (void *)(base + chan_b_off_sock(n));
	c->proc_b = (void *)(base + chan_b_off_proc(n));
	return 0;
}

/* A payload extent in the next free number, not yet known to its worker. */
static int create_payload(struct client *c, uint32_t worker, enum region_kind kind)
{
	uint32_t n = c->n_ext;

	if (n >= CHAN_MAX_EXTENTS)
		return -ENOBUFS;
	struct region *r = &c->ext[n].r;
	int err = kind == REGION_UP ? region_create(r, "fastnet-tx", CLIENT_EXTENT_BYTES, kind) :
				      create_down(c, r, "fastnet-rx", CLIENT_EXTENT_BYTES);
	if (err)
		return err;
	c->ext[n].worker = worker;
	c->n_ext++;
	return (int)n;
}

static int create_worker(struct client *c, uint32_t w)
{
	c->cw[w] = client_worker_new(c);
	if (!c->cw[w])
		return -ENOMEM;
	c->event_fd[w] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event_fd[w] < 0)
		return -errno;
	for (int kind = REGION_DOWN; kind <= REGION_UP; kind++) {
		int n = create_payload(c, w, (enum region_kind)kind);

		if (n < 0)
			return n;
		int err = sock_payload_add(c->cw[w], (enum region_kind)kind, (uint32_t)n,
					   c->ext[n].r.base, CLIENT_EXTENT_BYTES);
		if (err)
			return err;
	}
	return 0;
}

struct client *client_new(const struct client_conf *conf, int *err)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		*err = -ENOMEM;
		return NULL;
	}
	CHECK(conf->n_workers >= 1 && conf->n_workers <= CHAN_MAX_WORKERS);
	c->conf = *conf;
	if (c->conf.max_socks == 0 || c->conf.max_socks > CHAN_MAX_SOCKS)
		c->conf.max_socks = CHAN_MAX_SOCKS;
	c->ra.fd = c->rb.fd = c->rd.fd = -1;
	for (uint32_t w = 0; w < CHAN_MAX_WORKERS; w++)
		c->event_fd[w] = -1;
	*err = create_a(c);
	if (!*err)
		*err = create_b(c);
	if (!*err)
		*err = region_create(&c->rd, "fastnet-d", CHAN_D_SIZE, REGION_UP);
	for (uint32_t w = 0; w < conf->n_workers && !*err; w++)
		*err = create_worker(c, w);
	if (*err) {
		client_free(c);
		return NULL;
	}
	return c;
}

void client_start(struct client *c)
{
	mail_all(c, (struct sock_mail){ .type = SOCK_MAIL_CLIENT_ADD });
}

void client_free(struct client *c)
{
	for (uint32_t i = 0; i < CHAN_MAX_EVQS; i++) {
		if (c->evq_kick[i])
			close(c->evq_kick[i] - 1);
		if (c->line_fd[i])
			close(c->line_fd[i] - 1);
		if (c->evq_fd[i])
			close(c->evq_fd[i] - 1);
	}
	for (uint32_t w = 0; w < CHAN_MAX_WORKERS; w++) {
		client_worker_free(c->cw[w]);
		if (c->event_fd[w] >= 0)
			close(c->event_fd[w]);
	}
	for (uint32_t i = 0; i < c->n_ext; i++)
		region_destroy(&c->ext[i].r);
	region_destroy(&c->ra);
	region_destroy(&c->rb);
	/* Programs that it had lanes to have it mapped as long as they live. */
	if (c->rd.base)
		region_drop(&c->rd, 0, CHAN_D_SIZE);
	region_destroy(&c->rd);
	free(c->peers);
	free(c);
}

unsigned client_welcome_fds(const struct client *c, int *fds)
{
	unsigned n = 0;

	fds[n++] = c->conf.engine->fd;
	fds[n++] = c->ra.fd;
	fds[n++] = c->rb.fd;
	fds[n++] = c->rd.fd;
	for (uint32_t w = 0; w < c->conf.n_workers; w++)
		fds[n++] = c->event_fd[w];
	return n;
}

int client_extent(const struct client *c, uint32_t number, uint64_t *size, uint32_t *kind)
{
	if (number >= c->n_ext)
		return -EINVAL;
	*size = c->ext[number].r.size;
	*kind = c->ext[number].r.kind == REGION_UP;
	return c->ext[number].r.fd;
}

struct new_extent {
	struct client *c;
	uint32_t number, worker;
};

static void add_extent(struct sock_env *env, void *p)
{
	struct new_extent *x = p;
	struct client_worker *cw = x->c->cw[x->worker];
	const struct region *r = &x->c->ext[x->number].r;

	if (!cw->deleting)
		sock_payload_add(cw, r->kind, x->number, r->base, r->size);
	free(x);
}

int client_extent_wanted(struct client *c, uint32_t worker, enum region_kind kind)
{
	struct new_extent *x;

	if (worker >= c->conf.n_workers || c->deleting)
		return -EINVAL;
	x = malloc(sizeof(*x));
	if (!x)
		return -ENOMEM;
	int n = create_payload(c, worker, kind);
	if (n < 0) {
		free(x);
		return n;
	}
	*x = (struct new_extent){ c, (uint32_t)n, worker };
	struct sock_mail m = { .type = SOCK_MAIL_CALL, .from = UINT32_MAX, .p = x,
			       .fn = add_extent };
	client_mail_to(c, worker, &m);
	return 0;
}

/* ---- processes ---- */
/* A number whose last owner's end every worker has seen: its bits go. */
static void proc_recycle(struct client *c, uint32_t proc)
{
	uint32_t blocks = atomic_load_explicit(&c->next_block, memory_order_relaxed);
	uint32_t words = min_u32(blocks, CHAN_MAX_SOCKS / SOCK_BLOCK) * (SOCK_BLOCK / 64);

	/* Reads only touch pages that are there already or nearly so; writes where there is a bit. */
	for (uint32_t i = 0; i < words; i++) {
		if (atomic_load_explicit(&c->held[proc].word[i], memory_order_relaxed))
			atomic_store_explicit(&c->held[proc].word[i], 0, memory_order_relaxed);
	}
	c->proc_state[proc] = CLIENT_PROC_FREE;
}

int client_add_proc(struct client *c)
{
	for (uint32_t p = 0; p < CHAN_PROC_NONE; p++) {
		if (c->proc_state[p] == CLIENT_PROC_ENDED &&
		    atomic_load_explicit(&c->proc_passed[p], memory_order_acquire))
			proc_recycle(c, p);
		if (c->proc_state[p] != CLIENT_PROC_FREE)
			continue;
		c->proc_state[p] = CLIENT_PROC_LIVE;
		atomic_store_explicit(&c->proc_passed[p], false, memory_order_relaxed);
		atomic_fetch_or_explicit(&c->live[p / 64], 1ull << (p % 64), memory_order_release);
		c->n_procs++;
		return (int)p;
	}
	STAT_INC(client_full);
	return -ENOBUFS;
}

void client_hold(struct client *c, uint32_t proc, uint32_t id)
{
	atomic_fetch_or_explicit(&c->held[proc].word[id / 64], 1ull << (id % 64), memory_order_seq_cst);
}

bool client_is_held_beside(const struct client *c, uint32_t proc, uint32_t id)
{
	for (uint32_t p = 0; p < CHAN_MAX_PROCS; p++)
		if (p != proc && c->proc_state[p] == CLIENT_PROC_LIVE &&
		    atomic_load_explicit(&c->held[p].word[id / 64], memory_order_relaxed) >> (id % 64) & 1)
			return true;
	return false;
}

struct let_go {
	struct client_worker *cw;
	uint32_t id;
};

static void check_held(struct sock_env *env, void *p)
{
	struct let_go *g = p;
	struct sock *s = g->cw->deleting ? NULL : sock_find(g->cw, g->id);

	if (s)
		sock_check_held(s);
	free(g);
}

void client_unhold(struct client *c, uint32_t proc, uint32_t id)
{
	uint32_t worker = *(volatile uint32_t *)&c->sock_a[id].worker;
	struct let_go *g = worker < c->conf.n_workers ? malloc(sizeof(*g)) : NULL;

	atomic_fetch_and_explicit(&c->held[proc].word[id / 64], ~(1ull << (id % 64)),
				  memory_order_seq_cst);
	if (!g)
		return;
	*g = (struct let_go){ c->cw[worker], id };
	client_mail_to(c, worker, &(struct sock_mail){ .type = SOCK_MAIL_CALL, .from = UINT32_MAX, .p = g,
						.fn = check_held });
}

/* Call slots that the process had taken when it ended (call.c says why `proc` can be trusted). No worker has
 * a call of it before it any more: the next taker's request must not be read for the dead one's. */
static void free_calls(struct client *c, uint32_t proc)
{
	for (uint32_t i = 0; i < CHAN_MAX_CALLS; i++) {
		uint64_t bit = 1ull << (i % 64);

		if ((atomic_load_explicit(&c->b->call_free[i / 64], memory_order_acquire) & bit) &&
		    *(volatile uint32_t *)&c->call_b[i].proc == proc) {
			c->call_b[i].proc = UINT32_MAX;
			atomic_fetch_and_explicit(&c->b->call_free[i / 64], ~bit,
						  memory_order_release);
		}
	}
}

/* ---- event queues ---- */
enum { NO_PROC = UINT16_MAX };

static int free_number(struct client *c)
{
	uint32_t n = 0;

	while (n < CHAN_MAX_EVQS && atomic_load_explicit(&c->evq_fd[n], memory_order_relaxed))
		n++;
	return n == CHAN_MAX_EVQS || c->deleting ? -ENOBUFS : (int)n;
}

static int opened(struct client *c, uint32_t n, uint32_t proc, int ours)
{
	c->evq_proc[n] = (uint16_t)proc;
	if (n >= atomic_load_explicit(&c->n_evqs, memory_order_relaxed))
		atomic_store_explicit(&c->n_evqs, n + 1, memory_order_relaxed);
	atomic_store_explicit(&c->evq_fd[n], ours + 1, memory_order_release);
	return (int)n;
}

int client_evq_open(struct client *c, uint32_t proc, int kick, int *fd)
{
	int p[2], n = free_number(c);

	if (n < 0)
		return n;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*fd = p[0];
	c->evq_kick[n] = kick + 1;
	return opened(c, (uint32_t)n, proc, p[1]);
}

int client_evq_kick(const struct client *c, uint64_t evq)
{
	return evq < CHAN_MAX_EVQS && c->evq_kick[evq] ? c->evq_kick[evq] - 1 : -ENOENT;
}

int client_line_open(struct client *c, int *fd)
{
	int p[2], least = 1, n = free_number(c);

	if (n < 0)
		return n;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) < 0)
		return -errno;
	*fd = fcntl(p[1], F_DUPFD_CLOEXEC, 0);
	/* Room for one write only: it is filled and emptied for each POLL_OUT. */
	if (*fd < 0 || setsockopt(p[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) < 0) {
		int err = -errno;

		if (*fd >= 0)
			close(*fd);
		close(p[0]);
		close(p[1]);
		return err;
	}
	atomic_store_explicit(&c->line_fd[n], p[1] + 1, memory_order_relaxed);
	return opened(c, (uint32_t)n, NO_PROC, p[0]);
}

/* What all workers must have passed before something goes: the last one to pass does it. */
struct passage {
	_Atomic uint32_t left;
	struct client *client;
	int fd, line_fd;	/* to close, or -1 */
	uint32_t proc;		/* whose end they have seen, or NO_PROC */
	bool is_gone;		/* the client: to be reported */
};

static void pass(struct sock_env *env, void *p)
{
	struct passage *g = p;

	if (atomic_fetch_sub_explicit(&g->left, 1, memory_order_acq_rel) > 1)
		return;
	/* The program's end first: it must not see ours go, which would be a signal. */
	if (g->line_fd >= 0)
		close(g->line_fd);
	if (g->fd >= 0)
		close(g->fd);
	if (g->proc != NO_PROC) {
		free_calls(g->client, g->proc);
		atomic_store_explicit(&g->client->proc_passed[g->proc], true, memory_order_release);
	}
	if (g->is_gone) {
		struct sock_mail m = { .type = SOCK_MAIL_CLIENT_GONE, .from = env->worker,
				       .p = g->client, .a = 1 };

		while (!env->host->mail(env->host_arg, UINT32_MAX, &m))
			sched_yield();
	}
	free(g);
}

static void passage_start(struct passage what)
{
	struct client *c = what.client;
	struct passage *g = malloc(sizeof(*g));

	CHECK(g);
	*g = what;
	g->left = c->conf.n_workers;
	mail_all(c, (struct sock_mail){ .type = SOCK_MAIL_CALL, .p = g, .fn = pass });
}

void client_ring_all(struct client *c)
{
	uint32_t n = atomic_load_explicit(&c->n_evqs, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		int fd = atomic_load_explicit(&c->evq_fd[i], memory_order_acquire) - 1;
		bool is_line = atomic_load_explicit(&c->line_fd[i], memory_order_acquire) != 0;

		/* Full: it is about to wake anyway. */
		if (fd >= 0 && !is_line && write(fd, "", 1) < 0)
			continue;
	}
}

static void close_number(struct client *c, uint32_t number)
{
	int fd, line_fd;

	if (c->deleting)
		return;
	if (c->evq_kick[number])
		close(c->evq_kick[number] - 1);
	c->evq_kick[number] = 0;
	/* A worker may be about to write: the number must not mean another file before it has. */
	line_fd = atomic_exchange_explicit(&c->line_fd[number], 0, memory_order_acq_rel);
	fd = atomic_exchange_explicit(&c->evq_fd[number], 0, memory_order_acq_rel);
	/* A process that was killed has not said so itself: take_over() asks. */
	atomic_store_explicit(&c->evq_b[number].in_use, 0, memory_order_release);
	if (fd)
		passage_start((struct passage){ .client = c, .fd = fd - 1, .line_fd = line_fd - 1,
						.proc = NO_PROC });
}

void client_evq_close(struct client *c, uint32_t proc, uint32_t number)
{
	if (number < CHAN_MAX_EVQS && c->evq_proc[number] == proc)
		close_number(c, number);
}

void client_line_close(struct client *c, uint32_t number)
{
	if (number < CHAN_MAX_EVQS &&
	    atomic_load_explicit(&c->line_fd[number], memory_order_relaxed))
		close_number(c, number);
}

/* A process that has ended did not get to close them. Not those of others, though their doorbells may be
 * closed already: what they say of the number would reach the next one's queue. */
static void reap_evqs(struct client *c, uint32_t proc)
{
	uint32_t n = atomic_load_explicit(&c->n_evqs, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++) {
		if (c->evq_proc[i] == proc && atomic_load_explicit(&c->evq_fd[i], memory_order_relaxed))
			close_number(c, i);
	}
}

/* ---- the end ---- */
void client_proc_gone(struct client *c, uint32_t proc)
{
	if (proc >= CHAN_MAX_PROCS || c->proc_state[proc] != CLIENT_PROC_LIVE)
		return;
	c->proc_state[proc] = CLIENT_PROC_ENDED;
	c->n_procs--;
	STAT_INC(client_died);
	atomic_fetch_and_explicit(&c->live[proc / 64], ~(1ull << (proc % 64)),
				  memory_order_release);
	reap_evqs(c, proc);
	mail_all(c, (struct sock_mail){ .type = SOCK_MAIL_PROC_GONE, .a = proc });
	passage_start((struct passage){ .client = c, .fd = -1, .line_fd = -1, .proc = proc });
}

void client_del(struct client *c)
{
	if (c->deleting)
		return;
	c->deleting = true;
	atomic_store_explicit(&c->a->detached, 1, memory_order_release);
	mail_all(c, (struct sock_mail){ .type = SOCK_MAIL_CLIENT_DEL });
}

/* Two rounds: when all workers have let go, mail among them about the client may still lie in
 * mailboxes; a passage through all of them is behind it. */
bool client_gone(struct client *c)
{
	if (++c->n_gone == c->conf.n_workers)
		passage_start((struct passage){ .client = c, .fd = -1, .line_fd = -1,
						.proc = NO_PROC, .is_gone = true });
	return c->n_gone > c->conf.n_workers;
}
