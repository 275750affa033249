/* Writing control messages: see sock_cmsg.h. */
// SPDX-License-Identifier: MIT
#include "shim/sock_cmsg.h"
#include <errno.h>
#include <sys/socket.h>
#include "stack/base/util.h"
#include "stack/chan/user.h"

int cmsg_put(struct cmsg_out *c, int level, int type, const void *data, size_t len)
{
	size_t room = c->room - c->used, full = CMSG_LEN(len);
	struct cmsghdr h = { .cmsg_level = level, .cmsg_type = type };

	if (!c->buf || room < sizeof(h)) {
		c->flags |= MSG_CTRUNC;
		return 0;
	}
	if (room < full)
		c->flags |= MSG_CTRUNC;
	h.cmsg_len = min_u64(room, full);
	if (user_put(c->buf + c->used, &h, sizeof(h)) < 0 ||
	    user_put(c->buf + c->used + CMSG_LEN(0), data, h.cmsg_len - CMSG_LEN(0)) < 0)
		return -EFAULT;
	c->used += min_u64(CMSG_SPACE(len), room);
	return 0;
}
