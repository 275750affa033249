/* Extents: sealed memfds, created by the engine, mapped by both. Down: the application can only map it
 * read-only (F_SEAL_FUTURE_WRITE, set after the engine's own writable mapping exists); up: both write.
 * No one can shrink one, so no access of the engine can fault. Sparse: a page costs when touched. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum region_kind { REGION_DOWN, REGION_UP };

struct region {
	void *base; /* NULL: not mapped */
	size_t size;
	int fd; /* kept by the engine to pass it on; -1 on the application's side */
	enum region_kind kind;
	bool can_drop; /* region_drop() works: not where F_SEAL_FUTURE_WRITE keeps everybody from it */
};

/* 0 or -errno; on failure *r is untouched and nothing leaks. */
int region_create(struct region *r, const char *name, size_t size, enum region_kind kind);
void region_destroy(struct region *r);
/* Engine: gives whole pages back to the kernel; they read as zeroes then. 0 or -errno. */
int region_drop(const struct region *r, size_t off, size_t len);
/* Application: maps fd, which stays the caller's; left out of core dumps. The size is what the file
 * has; *r is untouched on failure. */
int region_map(struct region *r, int fd, enum region_kind kind);
/* Two of them, the second one right behind the first one's last page. Each is unmapped by itself. */
int region_map_behind(struct region *r, int fd, enum region_kind kind, struct region *next, int next_fd,
		      enum region_kind next_kind);
void region_unmap(struct region *r);
