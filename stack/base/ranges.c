/* Interval sets: a sorted array, small enough that linear search beats anything clever. */
// SPDX-License-Identifier: MIT
#include "stack/base/ranges.h"
#include <string.h>

static bool before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }

static uint32_t earlier(uint32_t a, uint32_t b) { return before(a, b) ? a : b; }

static uint32_t later(uint32_t a, uint32_t b) { return before(a, b) ? b : a; }

/* Index of the first range that ends after pos; n when there is none. */
static uint32_t first_ending_after(const struct ranges *s, uint32_t pos)
{
	uint32_t i = 0;

	while (i < s->n && !before(pos, s->r[i].end))
		i++;
	return i;
}

/* Replaces ranges [i, j) by the k ranges at with; k - (j - i) slots must be there. */
static void replace(struct ranges *s, uint32_t i, uint32_t j, const struct range *with, uint32_t k)
{
	memmove(&s->r[i + k], &s->r[j], (s->n - j) * sizeof(s->r[0]));
	if (k)
		memcpy(&s->r[i], with, k * sizeof(s->r[0]));
	s->n = s->n - (j - i) + k;
}

bool ranges_add(struct ranges *s, uint32_t start, uint32_t end)
{
	if (!before(start, end))
		return true;
	/* [i, j): the ranges that overlap or touch the new one. */
	uint32_t i = 0;
	while (i < s->n && before(s->r[i].end, start))
		i++;
	uint32_t j = i;
	while (j < s->n && !before(end, s->r[j].start))
		j++;
	if (i == j && s->n == RANGES_MAX)
		return false;
	struct range all = { start, end };
	if (i < j) {
		all.start = earlier(start, s->r[i].start);
		all.end = later(end, s->r[j - 1].end);
	}
	replace(s, i, j, &all, 1);
	return true;
}

void ranges_trim(struct ranges *s, uint32_t upto)
{
	uint32_t i = first_ending_after(s, upto);

	replace(s, 0, i, NULL, 0);
	if (s->n)
		s->r[0].start = later(s->r[0].start, upto);
}

bool ranges_remove(struct ranges *s, uint32_t start, uint32_t end)
{
	if (!before(start, end))
		return true;
	uint32_t i = first_ending_after(s, start);
	uint32_t j = i;
	while (j < s->n && before(s->r[j].start, end))
		j++;
	if (i == j)
		return true;
	struct range keep[2];
	uint32_t k = 0;
	if (before(s->r[i].start, start))
		keep[k++] = (struct range){ s->r[i].start, start };
	if (before(end, s->r[j - 1].end))
		keep[k++] = (struct range){ end, s->r[j - 1].end };
	if (s->n - (j - i) + k > RANGES_MAX)
		return false;
	replace(s, i, j, keep, k);
	return true;
}

bool ranges_contain(const struct ranges *s, uint32_t start, uint32_t end)
{
	if (!before(start, end))
		return true;
	/* Ranges never touch, so one of them must hold it all. */
	uint32_t i = first_ending_after(s, start);
	return i < s->n && !before(start, s->r[i].start) && !before(s->r[i].end, end);
}

bool ranges_overlap(const struct ranges *s, uint32_t start, uint32_t end)
{
	if (!before(start, end))
		return false;
	uint32_t i = first_ending_after(s, start);
	return i < s->n && before(s->r[i].start, end);
}

uint32_t ranges_total(const struct ranges *s)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < s->n; i++)
		total += s->r[i].end - s->r[i].start;
	return total;
}
