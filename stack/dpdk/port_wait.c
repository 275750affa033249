/* Finds a pollable descriptor per receive queue. net_tap and PCI devices give one as a receive
 * interrupt; af_packet and af_xdp do not tell theirs, but it is a socket of a known domain that
 * appeared while the port was opened. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/port_wait.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <rte_ethdev.h>

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

/* Counters (eventfds of virtio and vfio) stay readable until read; a tap's descriptor must not be
 * read here. */
static bool is_counter(int fd)
{
	char path[64], link[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = 0;
	return strstr(link, "[eventfd]") != NULL;
}

void port_wait_find(struct port_wait *w, uint16_t port_id, uint16_t n_queues, bool intr,
		    const struct port_fds *before)
{
	struct search s = { .wait = w, .before = before, .want = n_queues };

	memset(w, 0, sizeof(*w));
	for (int q = 0; q < PORT_QUEUES_MAX; q++)
		w->fd[q] = -1;
	each_fd(take_socket, &s);
	if (s.n == n_queues || !intr)
		return;
	for (uint16_t q = 0; q < n_queues; q++)
		w->fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(port_id, q);
	w->intr = w->fd[0] >= 0 && is_counter(w->fd[0]);
}

void port_wait_arm(const struct port_wait *w, uint16_t port_id, uint16_t queue, bool on)
{
	uint64_t count;

	if (on) {
		rte_eth_dev_rx_intr_enable(port_id, queue);
		return;
	}
	rte_eth_dev_rx_intr_disable(port_id, queue);
	/* Non-blocking counters only: both virtio and vfio make them so. Empty is not an error. */
	if (read(w->fd[queue], &count, sizeof(count)) < 0)
		return;
}
