/* Messages on the engine's unix socket, both sides: one struct chan_msg per SEQPACKET record with up
 * to CHAN_MSG_FDS descriptors. Raw system calls only. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/chan/layout.h"

enum { CHAN_MSG_FDS = 4 + CHAN_MAX_WORKERS };

/* Who sent a message: filled by the kernel where the receiver has set SO_PASSCRED, else pid 0. */
struct chan_creds {
	int32_t pid;
	uint32_t uid, gid;
};

/* 0 or -errno (-EAGAIN on a full non-blocking socket). Sends the used part of text only. SIGPIPE is
 * never raised. The descriptors stay the caller's. */
int chan_msg_send(int fd, const struct chan_msg *m, const int *fds, unsigned n_fds);
/* Receives one record into m (its tail zeroed) and its descriptors, CLOEXEC, into fds; *n_fds is the
 * room before and the number after; what does not fit is closed. 1, 0 at end of file, or -errno
 * (-EPROTO: not a chan_msg; nothing leaks). fds and creds may be NULL. */
int chan_msg_recv(int fd, struct chan_msg *m, int *fds, unsigned *n_fds, struct chan_creds *creds);

/* Connects to the engine at path: a CLOEXEC SEQPACKET socket, or -errno (-ECONNREFUSED, -ENOENT: no
 * engine there). Waits at most timeout_ms for the engine's answers on it. For the tool too. */
int chan_connect(const char *path, uint32_t timeout_ms);
/* Inode of this thread's network namespace, 0 when /proc can't tell. */
uint64_t chan_netns(void);
