/* Signal lines, the application's side: see line.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/line.h"
#include <errno.h>
#include "stack/chan/lane.h"

int chan_line_open(struct chan_app *app, uint32_t *line, int *fd)
{
	struct chan_msg m = { .type = CHAN_MSG_EVQ_OPEN, .kind = 1 };
	int err = chan_request(app, &m, fd);

	if (err)
		return err;
	if (m.number >= CHAN_MAX_EVQS) {
		sys_close(*fd);
		return -EPROTO;
	}
	*line = m.number;
	return 0;
}

void chan_line_close(struct chan_app *app, uint32_t line)
{
	struct chan_msg m = { .type = CHAN_MSG_EVQ_CLOSE, .kind = 1, .number = line };

	if (chan_alive(app))
		chan_msg_send(app->fd, &m, NULL, 0);
}

void chan_line_use(struct chan_app *app, uint32_t id, uint32_t line)
{
	struct chan_sock_b *b = chan_sock_b(app, id);
	uint32_t old = atomic_exchange_explicit(&b->line, line + 1, memory_order_acq_rel);

	atomic_fetch_or_explicit(&b->flags, CHAN_B_SIGNALS, memory_order_seq_cst);
	chan_lane_muffle(chan_sock_a(app, id)); /* signals are the engine's to send */
	if (old)
		chan_line_close(app, old - 1);
	chan_mark(app, id); /* what came too early for it can be told now */
}
