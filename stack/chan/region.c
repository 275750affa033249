/* Sealed memfds: see region.h. Raw system calls, for the half that the shim uses. */
// SPDX-License-Identifier: MIT
#include "stack/chan/region.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "stack/base/sys.h"

int region_create(struct region *r, const char *name, size_t size, enum region_kind kind)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = (int)sys_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
	int err;

	if (fd < 0)
		return fd;
	err = (int)sys_call3(SYS_ftruncate, fd, (long)size, 0);
	if (err < 0)
		goto fail_fd;
	void *base = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (sys_is_err(base)) {
		err = (int)(long)base;
		goto fail_fd;
	}
	/* Our own writable mapping exists: from now on no other can be made. */
	if (kind == REGION_DOWN)
		seals |= F_SEAL_FUTURE_WRITE;
	err = sys_fcntl(fd, F_ADD_SEALS, seals);
	if (err < 0)
		goto fail_map;
	*r = (struct region){ .base = base, .size = size, .fd = fd, .kind = kind,
			      .can_drop = kind == REGION_UP };
	return 0;
fail_map:
	sys_munmap(base, size);
fail_fd:
	sys_close(fd);
	return err;
}

void region_destroy(struct region *r)
{
	region_unmap(r);
	if (r->fd >= 0)
		sys_close(r->fd);
	r->fd = -1;
}

int region_drop(const struct region *r, size_t off, size_t len)
{
	return r->can_drop ? sys_madvise((char *)r->base + off, len, MADV_REMOVE) : -EPERM;
}

static int file_size(int fd, size_t *size)
{
	struct stat st;
	int err = sys_fstat(fd, &st);

	if (err < 0)
		return err;
	*size = (size_t)st.st_size;
	return st.st_size <= 0 ? -EINVAL : 0;
}

/* At `at`, replacing what is there, or anywhere. */
static int map_at(struct region *r, void *at, size_t size, int fd, enum region_kind kind)
{
	int prot = kind == REGION_UP ? PROT_READ | PROT_WRITE : PROT_READ;
	void *base = sys_mmap(at, size, prot, MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, 0);

	if (sys_is_err(base))
		return (int)(long)base;
	sys_madvise(base, size, MADV_DONTDUMP);
	*r = (struct region){ .base = base, .size = size, .fd = -1, .kind = kind };
	return 0;
}

int region_map(struct region *r, int fd, enum region_kind kind)
{
	size_t size;
	int err = file_size(fd, &size);

	return err ? err : map_at(r, NULL, size, fd, kind);
}

int region_map_behind(struct region *r, int fd, enum region_kind kind, struct region *next, int next_fd,
		      enum region_kind next_kind)
{
	struct region first, second;
	size_t size, next_size;
	int err = file_size(fd, &size);

	if (!err)
		err = file_size(next_fd, &next_size);
	if (err)
		return err;
	char *at = sys_mmap(NULL, size + next_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	if (sys_is_err(at))
		return (int)(long)at;
	err = map_at(&first, at, size, fd, kind);
	if (!err)
		err = map_at(&second, at + size, next_size, next_fd, next_kind);
	if (err) {
		sys_munmap(at, size + next_size);
		return err;
	}
	*r = first;
	*next = second;
	return 0;
}

void region_unmap(struct region *r)
{
	if (r->base)
		sys_munmap(r->base, r->size);
	r->base = NULL;
}
