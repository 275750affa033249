/* Selective acknowledgements as the receiver of data: which blocks our ACKs tell (RFC 2018 4), and what
 * has arrived twice (D-SACK, RFC 2883). What the peer's blocks mean is tcp_board.c's. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

enum { SACK_HEAD = 4, SACK_BLOCK = 8, SACK_WITH_TS = 3 };

static bool inside(const struct tcp_sack_block *b, seq_t start, seq_t end)
{
	return seq_ge(b->start, start) && seq_le(b->end, end);
}

/* "The first SACK block MUST specify the contiguous block of data containing the segment which
 * triggered this ACK"; then those told most recently, so that each is told several times. */
void tcp_sack_note(struct tcp_conn *c, const struct tcp_run *r)
{
	struct tcp_sack_block last = { .start = r->start, .end = r->end };
	uint32_t kept = 0;

	if (!c->sack_ok)
		return;
	/* In the place of each one that goes the one before it is put down: all move by one. */
	for (uint32_t i = 0; i < c->n_sack; i++) {
		struct tcp_sack_block old = c->sack_recent[i];

		if (inside(&old, r->start, r->end)) /* is part of it now */
			continue;
		c->sack_recent[kept++] = last;
		last = old;
	}
	if (kept < TCP_SACK_MAX)
		c->sack_recent[kept++] = last;
	c->n_sack = (uint8_t)kept;
}

void tcp_sack_note_dup(struct tcp_conn *c, seq_t start, seq_t end)
{
	if (!c->sack_ok || !seq_lt(start, end))
		return;
	c->dsack = true;
	c->dsack_start = start;
	c->dsack_end = end;
	STAT_INC(tcp_dsack_sent);
}

void tcp_sack_received(struct tcp_conn *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->n_sack; i++) {
		if (seq_gt(c->sack_recent[i].start, c->rcv_nxt))
			c->sack_recent[kept++] = c->sack_recent[i];
	}
	c->n_sack = (uint8_t)kept;
}

/* Blocks that a segment with data has room for: never more than half of a tiny segment. */
static uint32_t blocks_with_data(const struct tcp_conn *c)
{
	uint32_t n = c->n_sack + c->dsack, half = c->mss / 2;
	uint32_t most = half < SACK_HEAD ? 0 : (half - SACK_HEAD) / SACK_BLOCK;

	return min_u32(min_u32(n, most), c->ts_ok ? SACK_WITH_TS : TCP_SACK_MAX);
}

uint32_t tcp_sack_space(const struct tcp_conn *c)
{
	uint32_t n = blocks_with_data(c);

	return n ? SACK_HEAD + n * SACK_BLOCK : 0;
}

void tcp_sack_fill(struct tcp_conn *c, struct tcp_seg *seg)
{
	uint32_t most = seg->len ? blocks_with_data(c) : TCP_SACK_MAX;
	uint32_t n = 0;

	if (c->dsack && n < most) { /* RFC 2883 4: the first block, and told once */
		c->dsack = false;
		seg->sack[n++] = (struct tcp_sack_block){ c->dsack_start, c->dsack_end };
	}
	for (uint32_t i = 0; i < c->n_sack && n < most; i++)
		seg->sack[n++] = c->sack_recent[i];
	seg->n_sack = (uint8_t)n;
}
