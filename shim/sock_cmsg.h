/* Control data of recvmsg(), element by element into the program's buffer. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>

/* buf, room: as the program gave them; used: bytes written, what msg_controllen becomes; flags: MSG_CTRUNC
 * once something did not fit. */
struct cmsg_out {
	char *buf;
	size_t room, used;
	int flags;
};

/* Linux's put_cmsg(): cut to what fits, which MSG_CTRUNC tells; 0 or -EFAULT. */
int cmsg_put(struct cmsg_out *c, int level, int type, const void *data, size_t len);
