/* Files that programs can't write though they are not sealed: see client_down.h. By numbers of system calls,
 * because glibc before 2.36 has no names for them. */
// SPDX-License-Identifier: MIT
#include "stack/sock/client_down.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The roots of the tmpfs by both mounts; -1: not made yet. They are the engine's until it ends. */
static struct {
	int rw, ro;
} mounts = { -1, -1 };

static int config(int fs, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

/* Without a limit, as memfds are: who writes beyond it gets SIGBUS. */
static int make_tmpfs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), fd = -1;

	if (fs < 0)
		return -1;
	if (config(fs, FSCONFIG_SET_STRING, "size", "0") == 0 &&
	    config(fs, FSCONFIG_SET_STRING, "nr_inodes", "0") == 0 &&
	    config(fs, FSCONFIG_SET_STRING, "mode", "0700") == 0 &&
	    config(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return fd;
}

static int make_mounts(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int rw = make_tmpfs(), ro, err;

	if (rw < 0)
		return -errno;
	ro = (int)syscall(SYS_open_tree, rw, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (ro >= 0 && syscall(SYS_mount_setattr, ro, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0) {
		mounts.rw = rw;
		mounts.ro = ro;
		return 0;
	}
	err = -errno;
	if (ro >= 0)
		close(ro);
	close(rw);
	return err;
}

/* One file by both mounts, and no name any more. */
static int make_file(int *rw, int *ro)
{
	static const char name[] = "x";
	int err = 0;

	*rw = openat(mounts.rw, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (*rw < 0)
		return -errno;
	*ro = openat(mounts.ro, name, O_RDONLY | O_CLOEXEC);
	if (*ro < 0)
		err = -errno;
	if (unlinkat(mounts.rw, name, 0) < 0 && !err) {
		err = -errno;
		close(*ro);
	}
	if (err)
		close(*rw);
	return err;
}

int client_down_create(struct region *r, uint64_t size)
{
	void *base = MAP_FAILED;
	int rw = -1, ro = -1, err = mounts.rw < 0 ? make_mounts() : 0;

	if (!err)
		err = make_file(&rw, &ro);
	if (err)
		return err;
	if (ftruncate(rw, (off_t)size) == 0)
		base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, rw, 0);
	err = base == MAP_FAILED ? -errno : 0;
	close(rw); /* the mapping is the only way to write that there is */
	if (err) {
		close(ro);
		return err;
	}
	*r = (struct region){ .base = base, .size = size, .fd = ro, .kind = REGION_DOWN,
			      .can_drop = true };
	return 0;
}
