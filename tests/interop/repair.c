/* Where sequence numbers and timestamps of the kernel's end begin: what TCP_REPAIR lets root do. */
// SPDX-License-Identifier: MIT
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "tests/interop/streams.h"

static void set(int fd, int option, uint32_t value)
{
	if (setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) < 0) {
		perror("streams: TCP_REPAIR");
		exit(1);
	}
}

static uint32_t get(int fd, int option)
{
	uint32_t value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, IPPROTO_TCP, option, &value, &len) < 0) {
		perror("streams: TCP_REPAIR");
		exit(1);
	}
	return value;
}

void seq_start_at(int fd, uint32_t seq)
{
	set(fd, TCP_REPAIR, TCP_REPAIR_ON);
	set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	set(fd, TCP_QUEUE_SEQ, seq);
	set(fd, TCP_REPAIR, TCP_REPAIR_OFF);
}

uint32_t seq_received(int fd)
{
	uint32_t seq;

	set(fd, TCP_REPAIR, TCP_REPAIR_ON);
	set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	seq = get(fd, TCP_QUEUE_SEQ);
	set(fd, TCP_REPAIR, (uint32_t)TCP_REPAIR_OFF_NO_WP);
	return seq;
}

bool clock_set_ahead(int fd, uint32_t ticks)
{
	bool ahead = (int32_t)(ticks - get(fd, TCP_TIMESTAMP)) > 0;

	if (ahead) {
		set(fd, TCP_REPAIR, TCP_REPAIR_ON);
		set(fd, TCP_TIMESTAMP, ticks);
		set(fd, TCP_REPAIR, (uint32_t)TCP_REPAIR_OFF_NO_WP);
	}
	return ahead;
}
