/* Memory back after a rush: pages of B halves that no socket uses any more. They go when half of the sockets
 * that there have been are closed, a block of ids in each turn of the data thread, so that who opens and
 * closes steadily keeps his pages. The A halves stay: F_SEAL_FUTURE_WRITE, which keeps the program from
 * writing them, keeps everybody from making holes.
 *
 * A hole reads as zeroes, like a half that was never used; what the program still writes to a half whose
 * socket is gone has no meaning, here as before, and sock_new() resets it. The worker that gives the ids out
 * is the one that makes the holes: no socket begins meanwhile. */
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include "stack/sock/sock_int.h"

enum { SHED_LEAST = 1024, SHED_PAGE = 4096 };

void sock_shed_look(struct client_worker *cw)
{
	if (cw->shed || cw->peak_socks - cw->n_socks < SHED_LEAST || cw->n_socks > cw->peak_socks / 2)
		return;
	cw->peak_socks = cw->n_socks;
	cw->shed = ARRAY_LEN(cw->block);
}

/* The whole pages of [from, to), which no socket uses. Where the kernel makes no hole the memory stays. */
static void make_hole(struct client *c, const struct chan_sock_b *from, const struct chan_sock_b *to)
{
	uint64_t base = (uint64_t)c->rb.base;
	uint64_t start = align_up((uint64_t)from - base, SHED_PAGE);
	uint64_t end = ((uint64_t)to - base) & ~(uint64_t)(SHED_PAGE - 1);

	if (start < end)
		fallocate(c->rb.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
			  (off_t)(end - start));
}

static void shed_block(struct client_worker *cw, uint32_t n)
{
	struct chan_sock_b *b = &cw->client->sock_b[n * SOCK_BLOCK];
	struct sock **s = cw->block[n];
	uint32_t from = 0;

	for (uint32_t i = 0; i < SOCK_BLOCK; i++) {
		if (!s[i])
			continue;
		make_hole(cw->client, &b[from], &b[i]);
		from = i + 1;
	}
	make_hole(cw->client, &b[from], &b[SOCK_BLOCK]);
}

void sock_shed(struct client_worker *cw)
{
	while (--cw->shed && !cw->block[cw->shed])
		;
	if (cw->block[cw->shed])
		shed_block(cw, cw->shed);
	sock_shed_look(cw); /* more may have been closed meanwhile */
}
