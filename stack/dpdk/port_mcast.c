/* The driver is asked first. Those over a kernel interface often can't: then a packet socket of our own,
 * which receives nothing, asks the kernel, and takes it back when it is closed, however the engine ends. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/port_mcast.h"
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <rte_ethdev.h>
#include "stack/base/log.h"

int port_mcast_open(uint16_t id, uint32_t ifindex, const char *name)
{
	struct packet_mreq mr = { .mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_ALLMULTI };
	int err = rte_eth_allmulticast_enable(id);

	if (err == 0)
		return -1;
	if (!ifindex) {
		LOG(dpdk, WARN, "port=%s hears no multicast groups: %s", name, strerror(-err));
		return -1;
	}
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)) < 0) {
		LOG(dpdk, WARN, "port=%s may hear no multicast groups: %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}
