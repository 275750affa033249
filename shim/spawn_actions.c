/* Exported: posix_spawn_file_actions_*. libc's object is opaque, so a list of our own hangs at it,
 * in the part that glibc leaves unused; a list that is not as long as libc's is not believed. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "shim/spawn.h"

extern int LIBC_OURS(dup2)(int fd, int to);
extern void LIBC_OURS(closefrom)(int low);

enum action_kind {
	ACTION_OPEN, ACTION_CLOSE, ACTION_DUP2, ACTION_CHDIR, ACTION_FCHDIR, ACTION_CLOSEFROM,
	ACTION_TCSETPGRP,
};
struct action {
	enum action_kind kind;
	int fd, to, flags;
	mode_t mode;
	char *path;
};
struct actions {
	int n, room;
	struct action *list;
};

/* Where the list hangs: the end of the unused part. */
static struct actions *actions_of(const posix_spawn_file_actions_t *a)
{
	struct actions *mine;

	_Static_assert(sizeof(a->__pad) >= sizeof(mine), "room");
	memcpy(&mine, (const char *)a->__pad + sizeof(a->__pad) - sizeof(mine), sizeof(mine));
	return mine;
}

static void hang(posix_spawn_file_actions_t *a, struct actions *mine)
{
	memcpy((char *)a->__pad + sizeof(a->__pad) - sizeof(mine), &mine, sizeof(mine));
}

/* libc has added one; what can't be noted makes the list too short for good. */
static int note(posix_spawn_file_actions_t *a, int r, struct action add, const char *path)
{
	struct actions *mine = actions_of(a);
	struct action *list;

	if (r != 0)
		return r;
	if (!mine) {
		mine = calloc(1, sizeof(*mine));
		if (!mine)
			return 0;
		hang(a, mine);
	}
	if (mine->n != a->__used - 1)
		return 0;
	add.path = path ? strdup(path) : NULL;
	if (path && !add.path)
		return 0;
	if (mine->n == mine->room) {
		list = realloc(mine->list, (size_t)(mine->room + 8) * sizeof(*list));
		if (!list) {
			free(add.path);
			return 0;
		}
		mine->list = list;
		mine->room += 8;
	}
	mine->list[mine->n++] = add;
	return 0;
}

EXPORT int posix_spawn_file_actions_init(posix_spawn_file_actions_t *a)
{
	int r = libc.posix_spawn_file_actions_init(a);

	if (r == 0)
		hang(a, NULL);
	return r;
}

EXPORT int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *a)
{
	struct actions *mine = actions_of(a);

	for (int i = 0; mine && i < mine->n; i++)
		free(mine->list[i].path);
	if (mine)
		free(mine->list);
	free(mine);
	hang(a, NULL);
	return libc.posix_spawn_file_actions_destroy(a);
}

EXPORT int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *a, int fd, const char *path,
					    int flags, mode_t mode)
{
	return note(a, libc.posix_spawn_file_actions_addopen(a, fd, path, flags, mode),
		    (struct action){ ACTION_OPEN, .fd = fd, .flags = flags, .mode = mode }, path);
}

EXPORT int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *a, int fd)
{
	return note(a, libc.posix_spawn_file_actions_addclose(a, fd),
		    (struct action){ ACTION_CLOSE, .fd = fd }, NULL);
}

EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *a, int fd, int to)
{
	return note(a, libc.posix_spawn_file_actions_adddup2(a, fd, to),
		    (struct action){ ACTION_DUP2, .fd = fd, .to = to }, NULL);
}

EXPORT int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *a, const char *path)
{
	return note(a, libc.posix_spawn_file_actions_addchdir_np(a, path),
		    (struct action){ ACTION_CHDIR }, path);
}

EXPORT int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *a, int fd)
{
	return note(a, libc.posix_spawn_file_actions_addfchdir_np(a, fd),
		    (struct action){ ACTION_FCHDIR, .fd = fd }, NULL);
}

EXPORT int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *a, int low)
{
	return note(a, libc.posix_spawn_file_actions_addclosefrom_np(a, low),
		    (struct action){ ACTION_CLOSEFROM, .fd = low }, NULL);
}

EXPORT int posix_spawn_file_actions_addtcsetpgrp_np(posix_spawn_file_actions_t *a, int fd)
{
	return note(a, libc.posix_spawn_file_actions_addtcsetpgrp_np(a, fd),
		    (struct action){ ACTION_TCSETPGRP, .fd = fd }, NULL);
}

/* ---- looking at them ---- */
bool spawn_actions_are_known(const posix_spawn_file_actions_t *a)
{
	struct actions *mine = a ? actions_of(a) : NULL;

	return !a || a->__used == (mine ? mine->n : 0);
}

static bool is_sock(int fd)
{
	struct sock *s = sock_get(fd);

	if (s)
		sock_put(s);
	return s != NULL;
}

bool spawn_actions_copy_ours(const posix_spawn_file_actions_t *a)
{
	struct actions *mine = a ? actions_of(a) : NULL;

	for (int i = 0; mine && i < mine->n; i++)
		if (mine->list[i].kind == ACTION_DUP2 && is_sock(mine->list[i].fd))
			return true;
	return false;
}

/* ---- carrying them out, as posix_spawn(3) and glibc do ---- */
static int run_open(const struct action *x)
{
	int fd;

	LIBC_OURS(close)(x->fd); /* may not be open */
	fd = libc.open64(x->path, x->flags, x->mode);
	if (fd < 0)
		return -errno;
	fdtab_fresh(fd);
	if (fd == x->fd)
		return 0;
	if (LIBC_OURS(dup2)(fd, x->fd) < 0)
		return -errno;
	libc.close(fd);
	return 0;
}

static int run_dup2(const struct action *x)
{
	int flags;

	if (x->fd != x->to)
		return LIBC_OURS(dup2)(x->fd, x->to) < 0 ? -errno : 0;
	/* POSIX: then it shall be open in the child. */
	flags = fdtab_is_hidden(x->fd) ? -1 : libc.fcntl(x->fd, F_GETFD);
	if (flags < 0)
		return -EBADF;
	return libc.fcntl(x->fd, F_SETFD, flags & ~FD_CLOEXEC) < 0 ? -errno : 0;
}

static int run_one(const struct action *x)
{
	switch (x->kind) {
	case ACTION_OPEN:
		return run_open(x);
	case ACTION_CLOSE:
		LIBC_OURS(close)(x->fd); /* one that is not open is no error */
		return 0;
	case ACTION_DUP2:
		return run_dup2(x);
	case ACTION_CHDIR:
		return chdir(x->path) < 0 ? -errno : 0;
	case ACTION_FCHDIR:
		return fchdir(x->fd) < 0 ? -errno : 0;
	case ACTION_CLOSEFROM:
		LIBC_OURS(closefrom)(x->fd);
		return 0;
	case ACTION_TCSETPGRP:
		return tcsetpgrp(x->fd, getpgrp()) < 0 ? -errno : 0;
	}
	return 0;
}

int spawn_actions_run(const posix_spawn_file_actions_t *a)
{
	struct actions *mine = a ? actions_of(a) : NULL;
	int r = 0;

	for (int i = 0; mine && i < mine->n && r == 0; i++)
		r = run_one(&mine->list[i]);
	return r;
}
