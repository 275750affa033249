/* Tickets that a process shows here, but that the engine before this one has given out: it is asked, and its
 * answer passed on. See chan/ticket.h. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "stack/chan/hello.h"
#include "stack/chan/ticket.h"
#include "stack/host/control_int.h"
#include "stack/host/upgrade.h"

enum { ANSWER_MS = 500 };

/* Its loop never waits for ours, so this can't go round in a circle. */
static int ask(const struct conn *conn, struct chan_msg *r, int *fds, unsigned *n)
{
	struct chan_msg m = { .type = UPGRADE_CLAIM, .version = CHAN_VERSION, .number = conn->pid,
			      .size = (uint64_t)conn->uid << 32 | conn->gid };
	const struct timeval wait = { .tv_usec = ANSWER_MS * 1000 };
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return -errno;
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	host_nonblock(s[1]);
	const int give[2] = { s[1], conn->in[0] };
	int err = chan_msg_send(conn->ctl->h->takeover_fd, &m, give, 2);
	close(s[1]);
	if (!err) {
		int got = chan_msg_recv(s[0], r, fds, n, NULL);

		err = got == 1 ? 0 : got < 0 ? got : -ECONNRESET;
	}
	close(s[0]);
	return err;
}

bool claim_of_guest(struct conn *conn)
{
	int fds[CHAN_TICKET_FDS];
	unsigned n = CHAN_TICKET_FDS;
	struct chan_msg r;

	if (ask(conn, &r, fds, &n) < 0) {
		r = (struct chan_msg){ .type = CHAN_MSG_CLAIM, .err = ENOENT };
		n = 0;
	}
	/* Its clients have other numbers than ours: none that the process could know. */
	r.number = UINT32_MAX;
	bool sent = attach_answer(conn, &r, fds, n);
	while (n > 0)
		close(fds[--n]);
	return sent;
}

void claim_for_host(struct control *ctl, const struct chan_msg *m, int fd, int ticket)
{
	const struct chan_msg claim = { .type = CHAN_MSG_CLAIM, .version = CHAN_VERSION };
	struct conn *conn = conn_new(ctl, fd, CONN_NEW);

	if (!conn) {
		close(fd);
		close(ticket);
		return;
	}
	conn->pid = m->number;
	conn->uid = (uint32_t)(m->size >> 32);
	conn->gid = (uint32_t)m->size;
	conn->in[0] = ticket;
	conn->n_in = 1;
	attach_message(conn, &claim, m->number);
	if (conn->in[0] >= 0)
		close(conn->in[0]);
	conn->n_in = 0;
	conn_gone(conn);
}
