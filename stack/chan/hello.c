/* One chan_msg per SEQPACKET record, with descriptors: see hello.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/hello.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include "stack/base/sys.h"

union control {
	char buf[CMSG_SPACE(sizeof(int) * CHAN_MSG_FDS) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

int chan_msg_send(int fd, const struct chan_msg *m, const int *fds, unsigned n_fds)
{
	uint32_t len = m->len < sizeof(m->text) ? m->len : sizeof(m->text);
	struct iovec iov = { (void *)(uintptr_t)m, offsetof(struct chan_msg, text) + len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c;
	long err;

	if (n_fds > CHAN_MSG_FDS)
		return -EINVAL;
	if (n_fds) {
		memset(&c, 0, sizeof(c));
		h.msg_control = c.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	do {
		err = sys_sendmsg(fd, &h, MSG_NOSIGNAL);
	} while (err == -EINTR);
	return err < 0 ? (int)err : 0;
}

/* Descriptors of one control message: kept while there is room, closed otherwise. */
static void take_fds(const struct cmsghdr *cm, int *fds, unsigned room, unsigned *n)
{
	unsigned count = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));

	for (unsigned i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
		if (fds && *n < room)
			fds[(*n)++] = fd;
		else
			sys_close(fd);
	}
}

int chan_msg_recv(int fd, struct chan_msg *m, int *fds, unsigned *n_fds, struct chan_creds *creds)
{
	struct iovec iov = { m, sizeof(*m) };
	union control c;
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
			    .msg_controllen = sizeof(c.buf) };
	unsigned room = fds && n_fds ? *n_fds : 0, n = 0;
	long len;

	if (n_fds)
		*n_fds = 0;
	if (creds)
		*creds = (struct chan_creds){ 0 };
	do {
		len = sys_recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	} while (len == -EINTR);
	if (len < 0)
		return (int)len;
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(&h); cm; cm = CMSG_NXTHDR(&h, cm)) {
		struct ucred u;

		if (cm->cmsg_level != SOL_SOCKET)
			continue;
		if (cm->cmsg_type == SCM_RIGHTS)
			take_fds(cm, fds, room, &n);
		if (cm->cmsg_type == SCM_CREDENTIALS && creds) {
			memcpy(&u, CMSG_DATA(cm), sizeof(u));
			*creds = (struct chan_creds){ u.pid, u.uid, u.gid };
		}
	}
	bool bad = len < (long)offsetof(struct chan_msg, text) || (h.msg_flags & MSG_TRUNC);
	if (!bad) {
		memset((char *)m + len, 0, sizeof(*m) - (size_t)len);
		bad = m->len > (uint32_t)len - offsetof(struct chan_msg, text);
	}
	if (len == 0 || bad) {
		while (n > 0)
			sys_close(fds[--n]);
		return len == 0 ? 0 : -EPROTO;
	}
	if (n_fds)
		*n_fds = n;
	return 1;
}

int chan_connect(const char *path, uint32_t timeout_ms)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	size_t n = strlen(path);

	if (n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, n + 1);
	int fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	int err;
	do {
		err = sys_connect(fd, &sa, sizeof(sa));
	} while (err == -EINTR);
	if (err < 0) {
		sys_close(fd);
		return err;
	}
	return fd;
}

uint64_t chan_netns(void)
{
	struct stat st;

	return sys_stat("/proc/thread-self/ns/net", &st) < 0 ? 0 : st.st_ino;
}
