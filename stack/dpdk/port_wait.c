/* Finds a pollable descriptor per receive queue. net_tap and PCI devices give one as a receive
 * interrupt; af_packet and af_xdp do not tell theirs, but it is a socket of a known domain that
 * appeared while the port was opened. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/port_wait.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <rte_eth_vhost.h>
#include <rte_ethdev.h>
#include <rte_vhost.h>
#include "stack/base/util.h"

static bool is_packet_socket(int fd)
{
	int domain = -1;
	socklen_t n = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	       (domain == AF_PACKET || domain == AF_XDP);
}

/* Calls see(fd) for each descriptor of the process; false from it ends the walk. */
static void each_fd(bool (*see)(void *arg, int fd), void *arg)
{
	DIR *d = opendir("/proc/self/fd");

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		int fd = e->d_name[0] == '.' ? -1 : atoi(e->d_name);

		if (fd >= 0 && fd != dirfd(d) && fd < PORT_FDS_SEEN && !see(arg, fd))
			break;
	}
	closedir(d);
}

static bool note(void *arg, int fd)
{
	struct port_fds *f = arg;

	f->had[fd / 64] |= 1ull << (fd % 64);
	return true;
}

void port_fds_note(struct port_fds *f)
{
	memset(f, 0, sizeof(*f));
	each_fd(note, f);
}

struct search {
	struct port_wait *wait;
	const struct port_fds *before;
	uint16_t n, want;
};

/* The kernel lists descriptors in rising order, and drivers open them queue by queue. */
static bool take_socket(void *arg, int fd)
{
	struct search *s = arg;

	if (!(s->before->had[fd / 64] >> (fd % 64) & 1) && is_packet_socket(fd))
		s->wait->fd[s->n++] = fd;
	return s->n < s->want;
}

/* Counters (eventfds of virtio and vfio) stay readable until read, and so does vhost's set of
 * them; a tap's descriptor must not be read here. */
static enum port_wait_kind kind_of(int fd)
{
	char path[64], link[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	if (strstr(link, "[eventfd]"))
		return PORT_WAIT_COUNTER;
	return strstr(link, "[eventpoll]") ? PORT_WAIT_SET : PORT_WAIT_FRAMES;
}

/* ---- net_vhost: its descriptor is an epoll set that holds the counter of the peer of the day ----
 */
/* The driver watches the counter by level and nobody reads it: by edge the set is quiet again once
 * it has been asked. The counter is the driver's, and it is the driver that calls us. */
static void watch_by_edge(const struct port_wait *w, uint16_t q)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int vid = rte_eth_vhost_get_vid_from_port_id(w->port_id);
	struct rte_vhost_vring vring;

	/* Each queue is two rings to vhost; we receive what the peer transmits. */
	if (vid >= 0 && rte_vhost_get_vhost_vring(vid, (uint16_t)(2 * q + 1), &vring) == 0 &&
	    vring.kickfd >= 0)
		epoll_ctl(w->fd[q], EPOLL_CTL_MOD, vring.kickfd, &ev);
}

/* A data thread that slept when the peer came has armed nothing, because there was nothing to arm.
 * It is woken to do so; here the driver holds a lock that arming takes. */
static int on_peer(uint16_t port_id, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct port_wait *w = arg;
	struct rte_eth_link link = { 0 };
	const uint64_t one = 1;

	rte_eth_link_get_nowait(port_id, &link);
	for (uint16_t q = 0; link.link_status && q < w->n_queues; q++)
		watch_by_edge(w, q);
	atomic_store(&w->has_peer, link.link_status);
	return write(w->nudge_fd, &one, sizeof(one)) < 0 ? -errno : 0;
}

static const enum rte_eth_event_type peer_events[] = { RTE_ETH_EVENT_INTR_LSC,
						       RTE_ETH_EVENT_QUEUE_STATE };

static void watch_peer(struct port_wait *w)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	w->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint16_t q = 0; q < w->n_queues; q++)
		epoll_ctl(w->fd[q], EPOLL_CTL_ADD, w->nudge_fd, &ev);
	for (size_t i = 0; i < ARRAY_LEN(peer_events); i++)
		rte_eth_dev_callback_register(w->port_id, peer_events[i], on_peer, w);
	on_peer(w->port_id, RTE_ETH_EVENT_INTR_LSC, w, NULL);
}

void port_wait_find(struct port_wait *w, uint16_t port_id, uint16_t n_queues, bool intr,
		    const struct port_fds *before)
{
	struct search s = { .wait = w, .before = before, .want = n_queues };

	memset(w, 0, sizeof(*w));
	w->port_id = port_id;
	w->n_queues = n_queues;
	atomic_init(&w->has_peer, 1);
	w->nudge_fd = -1;
	for (int q = 0; q < PORT_QUEUES_MAX; q++)
		w->fd[q] = -1;
	each_fd(take_socket, &s);
	if (s.n == n_queues || !intr)
		return;
	for (uint16_t q = 0; q < n_queues; q++)
		w->fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(port_id, q);
	w->kind = w->fd[0] >= 0 ? kind_of(w->fd[0]) : PORT_WAIT_FRAMES;
	if (w->kind == PORT_WAIT_SET)
		watch_peer(w);
}

void port_wait_fini(struct port_wait *w)
{
	if (w->nudge_fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(peer_events); i++)
		rte_eth_dev_callback_unregister(w->port_id, peer_events[i], on_peer, w);
	close(w->nudge_fd);
	w->nudge_fd = -1;
}

void port_wait_arm(struct port_wait *w, uint16_t queue, bool on)
{
	bool has_peer = atomic_load_explicit(&w->has_peer, memory_order_relaxed);
	struct epoll_event ev[2];
	uint64_t count;

	if (on) {
		if (has_peer)
			rte_eth_dev_rx_intr_enable(w->port_id, queue);
		return;
	}
	if (has_peer)
		rte_eth_dev_rx_intr_disable(w->port_id, queue);
	/* Takes the event back, so that the next sleep is one. Neither waits: virtio and vfio make
	 * their counters non-blocking; to have nothing to take is not an error. */
	if (w->kind == PORT_WAIT_SET ? epoll_wait(w->fd[queue], ev, ARRAY_LEN(ev), 0) < 0 :
				       read(w->fd[queue], &count, sizeof(count)) < 0)
		return;
}
