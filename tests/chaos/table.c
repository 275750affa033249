/* The shared table, chance, and the bytes of a stream. */
// SPDX-License-Identifier: MIT
#include "tests/chaos/chaos.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct table *table;
uint32_t my_id, my_root;
static struct slot *my_slot;

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void table_open(void)
{
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, TABLE_FD, 0);
	if (table == MAP_FAILED) {
		perror("chaos: table");
		exit(2);
	}
}

uint32_t table_join(uint32_t root, int group)
{
	my_id = atomic_fetch_add(&table->next_id, 1) + 1;
	my_root = root ? root : my_id;
	my_slot = NULL;
	for (int i = 0; i < SLOTS && my_id < IDS; i++) {
		struct slot *s = &table->slot[i];
		int none = 0;

		/* -1: taken, not to be killed yet */
		if (!atomic_compare_exchange_strong(&s->pid, &none, -1))
			continue;
		atomic_store(&s->id, my_id);
		atomic_store(&s->root, my_root);
		atomic_store(&s->group, group);
		atomic_store(&s->pid, getpid());
		my_slot = s;
		dice_init(table->seed * 1000003 + my_id);
		return my_id;
	}
	error("no slot for another process");
	_exit(3);
}

void table_leave(void)
{
	if (my_slot)
		atomic_store(&my_slot->pid, 0);
}

void error(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n = snprintf(line, sizeof(line), "chaos: pid %d id %u of %u: ", getpid(), my_id, my_root);

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n = n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : n;
	line[n++] = '\n';
	atomic_fetch_add(&table->errors, 1);
	if (write(2, line, (size_t)n) < 0)
		return;
}

/* ---- splitmix64 ---- */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t state;
void dice_init(uint64_t seed) { state = mix(seed + 0x9e3779b97f4a7c15u); }

uint32_t dice(uint32_t n)
{
	state += 0x9e3779b97f4a7c15u;
	return (uint32_t)((mix(state) >> 32) * n >> 32);
}

void stream_fill(uint8_t *p, uint64_t seed, uint64_t pos, size_t n)
{
	for (size_t i = 0; i < n; i++, pos++)
		p[i] = (uint8_t)(mix(seed + pos / 8 * 0x9e3779b97f4a7c15u) >> (pos % 8 * 8));
}

bool stream_check(const uint8_t *p, uint64_t seed, uint64_t pos, size_t n)
{
	uint8_t want[512];

	while (n) {
		size_t k = n < sizeof(want) ? n : sizeof(want);

		stream_fill(want, seed, pos, k);
		if (memcmp(p, want, k) != 0)
			return false;
		p += k;
		pos += k;
		n -= k;
	}
	return true;
}
