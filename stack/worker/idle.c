/* When there is no work: spin a little where that has paid off lately, then sleep until a port, an
 * application, another thread or a timer wants something.
 *
 * A sleeper says so first (S1), then looks at everything once more, then sleeps; who gives it work does
 * so first, then looks whether it sleeps. With a full fence on both sides one of them always notices.
 * Ports need no fence: their descriptors are level-triggered. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <errno.h>
#include <pthread.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/giveway.h"
#include "stack/base/log.h"
#include "stack/base/sys.h"
#include "stack/net/ip4_frag.h"
#include "stack/net/ip6_frag.h"
#include "stack/net/mld.h"
#include "stack/net/ndp.h"
#include "stack/net/neigh.h"
#include "stack/worker/worker_int.h"

enum {
	EVENTS = 32,
	PORT_FDS = 4,
	WAKE_COST_US = 40,	/* a gap that was slept through looks longer by this */
};

struct worker_idle {
	uint64_t since_ns;	/* no work since then, 0: busy */
	uint64_t spin_ns;	/* how long to spin now, learned */
	bool slept;		/* since since_ns */
	bool naps;		/* a port gives no descriptor */
	struct giveway way;
};

uint64_t worker_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

int worker_add_fd(struct worker *w, int fd, enum worker_fd kind)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (kind == WORKER_FD_CLIENT ? EPOLLET : 0),
		.data.fd = fd,
	};

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

void worker_del_fd(struct worker *w, int fd) { epoll_ctl(w->epfd, EPOLL_CTL_DEL, fd, NULL); }

int worker_watch_ports(struct worker *w)
{
	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		struct netif *nif = w->conf.netif[i];
		int fds[PORT_FDS], n = 0;

		if (w->conf.number >= nif->n_queues)
			continue;
		if (nif->ops->rx_fds)
			n = nif->ops->rx_fds(nif, (uint16_t)w->conf.number, fds, PORT_FDS);
		if (n <= 0) {
			w->idle->naps = true;
			LOG(worker, INFO, "port=%s can't be slept on: worker=%u naps for %d to %d us",
			    nif->name, w->conf.number, WORKER_NAP_MIN_US, WORKER_NAP_MAX_US);
		}
		for (int j = 0; j < n; j++) {
			int err = worker_add_fd(w, fds[j], WORKER_FD_PORT);

			if (err < 0 && err != -EEXIST)
				return err;
		}
	}
	return 0;
}

int idle_init(struct worker *w)
{
	w->idle = calloc(1, sizeof(*w->idle));
	if (!w->idle)
		return -ENOMEM;
	w->idle->spin_ns = w->conf.spin_us * NSEC_PER_USEC;
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epfd < 0)
		return -errno;
	int err = worker_add_fd(w, w->wake_fd, WORKER_FD_CLIENT);
	return err < 0 ? err : worker_watch_ports(w);
}

void idle_fini(struct worker *w)
{
	if (w->epfd >= 0)
		close(w->epfd);
	w->epfd = -1;
	free(w->idle);
	w->idle = NULL;
}

static void publish_cpu(struct worker *w)
{
	int cpu = sched_getcpu();

	if (cpu >= 0 && (uint32_t)cpu != atomic_load_explicit(&w->shared->cpu, memory_order_relaxed))
		atomic_store_explicit(&w->shared->cpu, (uint32_t)cpu, memory_order_relaxed);
}

void idle_thread_start(struct worker *w)
{
	if (w->conf.cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(w->conf.cpu, &set);
		int err = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
		if (err)
			LOG(worker, WARN, "worker=%u can't be pinned to cpu=%d: errno=%d",
			    w->conf.number, w->conf.cpu, err);
	}
	/* Timers of 50 us more than asked for would show in every retransmission. */
	prctl(PR_SET_TIMERSLACK, 1);
	publish_cpu(w);
}

/* Spinning: who wants this processor shall have it. What others had of the time does not count as spent
 * without work. */
static void give_way(struct worker *w)
{
	struct worker_idle *id = w->idle;

	if (!giveway_due(&id->way, w->now_ns)) {
		cpu_relax();
		return;
	}
	uint64_t left = worker_clock_ns();

	sys_sched_yield();
	id->since_ns += giveway_back(&id->way, left, worker_clock_ns());
	publish_cpu(w);
}

static bool spin(struct worker *w)
{
	struct worker_idle *id = w->idle;

	if (id->slept || (int64_t)(w->now_ns - id->since_ns) >= (int64_t)id->spin_ns)
		return false;
	if (unlikely(giveway_barred(&id->way)))
		return false;
	give_way(w);
	return true;
}

/* How long to nap when nothing has come for idle_ns: the next frame is noticed late by a fraction of
 * the time since the last one. */
static uint64_t nap_ns(uint64_t idle_ns)
{
	return min_u64(max_u64(idle_ns / 4, WORKER_NAP_MIN_US * NSEC_PER_USEC),
		       WORKER_NAP_MAX_US * NSEC_PER_USEC);
}

/* Work has come after gap_ns without any: was it, or would it have been, right to spin? */
static void learn_gap(struct worker *w, uint64_t gap_ns)
{
	struct worker_idle *id = w->idle;
	uint64_t most = w->conf.spin_us * NSEC_PER_USEC;
	uint64_t limit = most + (id->slept ? WAKE_COST_US * NSEC_PER_USEC : 0) +
			 (id->naps ? nap_ns(gap_ns) : 0);

	if (gap_ns <= limit)
		id->spin_ns = min_u64(most, max_u64(id->spin_ns * 2, gap_ns + NSEC_PER_USEC));
	else
		id->spin_ns -= id->spin_ns / 4;
	if (id->spin_ns < NSEC_PER_USEC)
		id->spin_ns = 0;
}

static uint64_t next_timer_ns(const struct worker *w)
{
	uint64_t t = tcp_next_ns(&w->sock.tcp);

	t = min_u64(t, neigh_next_ns(w->neigh));
	t = min_u64(t, group_next_ns(w));
	t = min_u64(t, sock_next_ns(&w->sock));
	t = min_u64(t, ip6_reass_next_ns(w->reass6));
	if (w->ndp)
		t = min_u64(t, ndp_next_ns(w->ndp));
	if (w->mld)
		t = min_u64(t, mld_next_ns(w->mld));
	return min_u64(t, ip4_reass_next_ns(w->reass));
}

static void arm_ports(struct worker *w, bool on)
{
	for (uint32_t i = 0; i < w->conf.n_netif; i++) {
		struct netif *nif = w->conf.netif[i];

		if (nif->ops->rx_arm && w->conf.number < nif->n_queues)
			nif->ops->rx_arm(nif, (uint16_t)w->conf.number, on);
	}
}

/* Everything that may have come while we were making up our mind. Frames are received at once: a
 * driver has no other way to tell. */
static bool something_came(struct worker *w)
{
	return atomic_load(&w->stop) || !rte_ring_empty(w->mailbox) ||
	       !rte_ring_empty(w->steered) || loop_pending(w) || local_pending(w) ||
	       group_pending(w) || tx_pending(w) ||
	       sock_has_work(&w->sock) || (w->bridge && bridge_pending(w)) || rx_ports(w) > 0;
}

static void wait_events(struct worker *w)
{
	struct epoll_event ev[EVENTS];
	struct timespec ts, *timeout = NULL;
	uint64_t now = worker_clock_ns(), due = next_timer_ns(w);

	if (w->idle->naps)
		due = min_u64(due, now + nap_ns(now - w->idle->since_ns));
	if (due <= now)
		return;
	if (due != UINT64_MAX) {
		ts.tv_sec = (time_t)((due - now) / NSEC_PER_SEC);
		ts.tv_nsec = (long)((due - now) % NSEC_PER_SEC);
		timeout = &ts;
	}
	STAT_INC(worker_sleeps);
	/* Which descriptor it was does not matter: the loop looks at all sources. Errors neither: EINTR
	 * is a wake-up like any other. */
	epoll_pwait2(w->epfd, ev, EVENTS, timeout, NULL);
}

/* True: there was work instead. */
static bool worker_sleep(struct worker *w)
{
	bool work;

	arm_ports(w, true);
	/* S1: pairs with W1 in mail.c and with the application's fence after its dirty mark. */
	atomic_store_explicit(&w->shared->sleeping, 1, memory_order_relaxed);
	if (unlikely(w->bridge))
		bridge_asleep(w, true);
	atomic_thread_fence(memory_order_seq_cst);
	w->now_ns = w->sock.now_ns = w->net.now_ns = worker_clock_ns();
	work = something_came(w);
	if (!work) {
		wait_events(w);
		w->idle->slept = true;
	}
	atomic_store_explicit(&w->shared->sleeping, 0, memory_order_relaxed);
	if (unlikely(w->bridge))
		bridge_asleep(w, false);
	arm_ports(w, false);
	publish_cpu(w);
	return work;
}

void idle_step(struct worker *w, bool busy)
{
	struct worker_idle *id = w->idle;

	if (busy) {
		if (id->since_ns && w->conf.poll == WORKER_POLL_ADAPTIVE)
			learn_gap(w, max_u64(w->now_ns, id->since_ns) - id->since_ns);
		id->since_ns = 0;
		id->slept = false;
		return;
	}
	if (w->conf.poll == WORKER_POLL_BUSY) {
		cpu_relax();
		return;
	}
	if (!id->since_ns) {
		id->since_ns = w->now_ns;
		giveway_count(&id->way, w->now_ns);
		giveway_begin(&id->way, w->now_ns);
	}
	if (w->conf.poll == WORKER_POLL_ADAPTIVE && spin(w))
		return;
	if (worker_sleep(w))
		id->since_ns = 0;
}
