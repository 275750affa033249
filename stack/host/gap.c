/* Frames that come while a port that can't be open twice changes hands. Between the two engines nobody
 * but the kernel receives on the interface; a packet socket sees what the kernel sees, and the new engine
 * gets it when it serves. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/host/gap.h"

enum { BUFFER = 8 << 20, FRAME_MAX = 65536, FRAMES_MAX = 16384 };

int gap_open(uint32_t ifindex)
{
	const struct sockaddr_ll sa = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
					.sll_ifindex = (int)ifindex };
	const int size = BUFFER;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	LOG(host, INFO, "frames that come meanwhile are lost: %s", strerror(errno));
	close(fd);
	return -1;
}

uint32_t gap_close(int fd, struct worker *w, const struct netif *nif)
{
	static uint8_t frame[FRAME_MAX];
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	uint32_t n = 0;
	ssize_t r;

	if (fd < 0)
		return 0;
	while (n < FRAMES_MAX && (r = recvfrom(fd, frame, sizeof(frame), MSG_TRUNC,
					       (struct sockaddr *)&from, &len)) >= 0) {
		len = sizeof(from);
		if (from.sll_pkttype == PACKET_OUTGOING || (size_t)r > sizeof(frame))
			continue;
		n += worker_inject(w, nif, frame, (uint32_t)r);
	}
	close(fd);
	return n;
}
