/* net_af_packet joins its sockets to a fanout group that reassembles IP fragments, into frames that its ring
 * then cuts off: no datagram above one frame would arrive. The stack wants the fragments, and the hash gives
 * all of a datagram to one queue. The driver has no option for it, so the linker (--wrap) leads its
 * setsockopt() here. */
// SPDX-License-Identifier: MIT
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

/* The names are the linker's. */
int __real_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *val, socklen_t len);

int __wrap_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	int arg;

	if (level != SOL_PACKET || name != PACKET_FANOUT || len != sizeof(arg))
		return __real_setsockopt(fd, level, name, val, len);
	memcpy(&arg, val, sizeof(arg));
	arg &= (int)~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16);
	return __real_setsockopt(fd, level, name, &arg, sizeof(arg));
}
