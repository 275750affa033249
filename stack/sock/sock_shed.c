/* Memory back after a rush: pages of halves that no socket uses any more, when half of the sockets
 * that there have been are closed, and pages of payload that no ring uses, when half of those are free.
 * A portion goes in each turn of the data thread, so that nobody waits for it, and who opens and closes
 * steadily keeps his pages. What is sealed (chan/region.h) stays.
 *
 * A hole reads as zeroes, like memory that was never used; what the program still writes there has no
 * meaning, here as before, and sock_new() resets the halves. The worker that gives ids and pages out is
 * the one that makes the holes: nobody begins to use them meanwhile. */
// SPDX-License-Identifier: MIT
#include "stack/base/bug.h"
#include "stack/sock/sock_int.h"

enum {
	SHED_LEAST = 1024,	 /* sockets */
	SHED_PAGES_LEAST = 2048, /* pages of payload */
	SHED_PAGE = 4096,
	SHED_IDS = 512,		 /* a portion: 72 pages in all */
	SHED_OVERLAP = 16,	 /* ids: of a page that begins in the portion before */
	SHED_BUDGET = 128,	 /* a portion of payload: pages, and for each hole what it costs */
	SHED_HOLE_COST = 4,
	SHED_LOOKS = 2048,	 /* ... and so many looks at what is used */
};
_Static_assert(SHED_PAGE == 1 << BUDDY_SHIFT, "a block of payload is a page");
_Static_assert(SHED_OVERLAP * sizeof(struct chan_sock_b) >= SHED_PAGE, "the larger half follows");

/* ---- halves ---- */
void sock_shed_look(struct client_worker *cw)
{
	if (cw->shed_ids || cw->peak_socks - cw->n_socks < SHED_LEAST ||
	    cw->n_socks > cw->peak_socks / 2)
		return;
	cw->peak_socks = cw->n_socks;
	cw->shed_ids = CHAN_MAX_SOCKS / SHED_IDS;
	cw->shed_rounds++;
	cw->shed = true;
}

/* The whole pages of [from, to). Where the kernel makes no hole the memory stays. */
static void make_hole(const struct region *r, const void *from, const void *to)
{
	uint64_t start = align_up((uint64_t)from - (uint64_t)r->base, SHED_PAGE);
	uint64_t end = ((uint64_t)to - (uint64_t)r->base) & ~(uint64_t)(SHED_PAGE - 1);

	if (start < end)
		region_drop(r, start, end - start);
}

static void drop_halves(const struct client *c, uint32_t from, uint32_t to)
{
	make_hole(&c->rb, &c->sock_b[from], &c->sock_b[to]);
	make_hole(&c->ra, &c->sock_a[from], &c->sock_a[to]);
}

static void shed_ids(struct client_worker *cw, uint32_t first)
{
	uint32_t block = first / SOCK_BLOCK * SOCK_BLOCK, end = first + SHED_IDS;
	struct sock **s = cw->block[first / SOCK_BLOCK];
	uint32_t from = first == block ? first : first - SHED_OVERLAP;

	for (uint32_t id = from; id < end; id++) {
		if (!s[id - block])
			continue;
		drop_halves(cw->client, from, id);
		from = id + 1;
	}
	drop_halves(cw->client, from, end);
}

static void shed_halves(struct client_worker *cw)
{
	const uint32_t portions = SOCK_BLOCK / SHED_IDS;

	while (--cw->shed_ids && !cw->block[cw->shed_ids / portions])
		;
	if (cw->block[cw->shed_ids / portions])
		shed_ids(cw, cw->shed_ids * SHED_IDS);
	sock_shed_look(cw); /* more may have been closed meanwhile */
}

/* ---- payload ---- */
/* Blocks that are freed from here on lie below the new top: the next time finds them. */
static void begin_extent(const struct client *c, struct sock_payload *p)
{
	struct buddy *b = &p->ext[p->shed - 1].buddy;

	p->shed_at = 0;
	p->shed_end = b->top;
	buddy_lower(b);
	if (!c->ext[p->ext[p->shed - 1].number].r.can_drop)
		p->shed_end = 0;
}

void sock_shed_payload_look(struct client_worker *cw, struct sock_payload *p)
{
	if (p->shed || p->peak - p->used < SHED_PAGES_LEAST || p->used > p->peak / 2)
		return;
	p->peak = p->used;
	p->shed = p->n;
	begin_extent(cw->client, p);
	cw->shed = true;
}

static void shed_payload(struct client_worker *cw, struct sock_payload *p)
{
	const struct buddy *b = &p->ext[p->shed - 1].buddy;
	const struct region *r = &cw->client->ext[p->ext[p->shed - 1].number].r;
	uint32_t budget = SHED_BUDGET, first, end;

	for (uint32_t i = 0; i < SHED_LOOKS && budget > SHED_HOLE_COST; i++) {
		if (p->shed_at >= p->shed_end)
			break;
		if (!buddy_find_free(b, p->shed_at, &first, &end)) {
			p->shed_at++;
			continue;
		}
		end = min_u32(min_u32(end, p->shed_end), p->shed_at + budget - SHED_HOLE_COST);
		region_drop(r, (size_t)p->shed_at << BUDDY_SHIFT,
			    (size_t)(end - p->shed_at) << BUDDY_SHIFT);
		budget -= end - p->shed_at + SHED_HOLE_COST;
		p->shed_at = end;
	}
	if (p->shed_at < p->shed_end)
		return;
	if (--p->shed)
		begin_extent(cw->client, p);
	else
		sock_shed_payload_look(cw, p);
}

void sock_shed(struct client_worker *cw)
{
	if (cw->shed_ids)
		shed_halves(cw);
	for (unsigned kind = 0; kind < ARRAY_LEN(cw->payload); kind++) {
		if (cw->payload[kind].shed)
			shed_payload(cw, &cw->payload[kind]);
	}
	cw->shed = cw->shed_ids || cw->payload[REGION_DOWN].shed || cw->payload[REGION_UP].shed;
}
