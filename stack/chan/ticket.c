/* Tickets, the application's side: see ticket.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/ticket.h"
#include <errno.h>
#include "stack/chan/lane.h"

enum { TIMEOUT_MS = 5000 };

int chan_ticket_open(struct chan_app *app, struct chan_msg *m, const int *with, unsigned n, int *fd)
{
	struct chan_fds fds = { .out = with, .n_out = n, .in = fd, .n_in = 1 };
	int err;

	m->type = CHAN_MSG_TICKET;
	uint32_t id = m->number;

	err = chan_exchange(app, m, &fds);
	/* Who reads it without the shim is told by the engine. */
	if (!err && id < CHAN_MAX_SOCKS)
		chan_lane_muffle(chan_sock_a(app, id));
	return err == 0 && fds.n_in == 0 ? -EPROTO : err;
}

int chan_ticket_claim(struct chan_app *app, int fd, struct chan_msg *m, int *fds, unsigned *n)
{
	struct chan_fds x = { .out = &fd, .n_out = 1, .in = fds, .n_in = *n };
	int err;

	*m = (struct chan_msg){ .type = CHAN_MSG_CLAIM, .version = CHAN_VERSION };
	err = chan_exchange(app, m, &x);
	*n = err ? 0 : x.n_in;
	return err;
}

int chan_ticket_claim_at(const char *path, int fd, struct chan_msg *m, int *fds, unsigned *n)
{
	int s = chan_connect(path, TIMEOUT_MS), err;

	if (s < 0)
		return s;
	*m = (struct chan_msg){ .type = CHAN_MSG_CLAIM, .version = CHAN_VERSION };
	err = chan_msg_send(s, m, &fd, 1);
	if (!err)
		err = chan_msg_recv(s, m, fds, n, NULL);
	sys_close(s);
	if (err <= 0)
		return err == 0 ? -ECONNREFUSED : err;
	err = m->type != CHAN_MSG_CLAIM ? -EPROTO : -m->err;
	while (err && *n > 0)
		sys_close(fds[--*n]);
	return err;
}
