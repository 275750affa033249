/* Exported: what says which file a descriptor is. The numbers of several sockets of the stack may be of one
 * file, the anchor; programs that compare inodes must see a socket each. What the kernel sees (/proc/self/fd)
 * stays as it is, and so does a datagram socket, which has a kernel socket of its own. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "shim/libc.h"
#include "shim/sock.h"
#include "stack/chan/user.h"

int __fxstat(int version, int fd, struct stat *st);
int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags);

enum { STAT_LINUX = 1 }; /* the version on x86-64 */

/* The socket's number, 0: fd has an inode of its own. *fd as sock_enter() leaves it. */
static uint64_t inode_of(int *fd)
{
	struct sock *s = sock_enter(fd);
	uint64_t n;

	if (likely(!s))
		return 0;
	n = sock_is_dgram(s) || sock_mode(s) == SOCK_KERNEL ? 0 : s->number;
	sock_put(s);
	return n;
}

/* Does the call mean a descriptor of ours itself? (Without one nobody has armed the copy.) */
static bool is_ours_itself(int fd, const char *path, int flags)
{
	char first;

	return flags & AT_EMPTY_PATH && unlikely(fdtab_has(fd)) &&
	       (!path || (user_get(&first, path, 1) == 0 && first == '\0'));
}

/* struct stat64 is struct stat. What has a version programs call that were built with a glibc before 2.33. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "LP64");

static int of_fd(int fd, struct stat *st)
{
	uint64_t inode = inode_of(&fd);
	int r = libc.fstat(fd, st);

	if (unlikely(inode) && r == 0)
		st->st_ino = inode;
	return r;
}

static int of_path(int fd, const char *path, struct stat *st, int flags)
{
	uint64_t inode = is_ours_itself(fd, path, flags) ? inode_of(&fd) : 0;
	int r = libc.fstatat(fd, path, st, flags);

	if (unlikely(inode) && r == 0)
		st->st_ino = inode;
	return r;
}

EXPORT int fstat(int fd, struct stat *st)
{
	return of_fd(fd, st);
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	return of_fd(fd, (struct stat *)st);
}

EXPORT int __fxstat(int version, int fd, struct stat *st)
{
	return fdtab_has(fd) && version == STAT_LINUX ? of_fd(fd, st) : libc.__fxstat(version, fd, st);
}
EXPORT_ALIAS(__fxstat64, __fxstat);

EXPORT int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	return of_path(fd, path, st, flags);
}

EXPORT int fstatat64(int fd, const char *path, struct stat64 *st, int flags)
{
	return of_path(fd, path, (struct stat *)st, flags);
}

EXPORT int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags)
{
	return fdtab_has(fd) && version == STAT_LINUX ? of_path(fd, path, st, flags) :
							libc.__fxstatat(version, fd, path, st, flags);
}
EXPORT_ALIAS(__fxstatat64, __fxstatat);

EXPORT int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	uint64_t inode = is_ours_itself(fd, path, flags) ? inode_of(&fd) : 0;
	int r = libc.statx(fd, path, flags, mask, st);

	if (unlikely(inode) && r == 0)
		st->stx_ino = inode;
	return r;
}
