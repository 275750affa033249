/* poll() and select() over descriptors of ours and of the kernel at once. */
// SPDX-License-Identifier: MIT
#pragma once
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/select.h>
#include <time.h>

struct chan_app;
/* Is any of these numbers ours? (Also looks whether fds can be read at all.) */
bool poll_has_ours(struct pollfd *fds, nfds_t n);
/* Count or -errno. deadline_ns: 0 = don't wait, WAIT_FOREVER; mask may be NULL. */
int poll_mixed(struct pollfd *fds, nfds_t n, uint64_t deadline_ns, const sigset_t *mask);

bool select_has_ours(int n, const fd_set *r, const fd_set *w, const fd_set *x);
int select_mixed(int n, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline_ns,
		 const sigset_t *mask);

/* Makes sure that one thread can wait for sockets of app without asking the engine for anything. */
void poll_prepare(struct chan_app *app);
/* In the child of a fork: the event queues are the parent's. */
void poll_fork_child(void);
