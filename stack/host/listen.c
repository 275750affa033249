/* The engine's unix socket and the lock beside it. The lock file is removed by its owner while the
 * lock is held, so whoever gets a lock checks that the file is still the one with that name. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/chan/start.h"
#include "stack/host/host.h"

enum { BACKLOG = 512, LOCK_TRIES = 20 };

/* Makes the directory of a default path. 0 or -errno. */
static int make_dir(const char *path, mode_t mode)
{
	char dir[CHAN_PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = 0;
	if (mkdir(dir, mode) == 0)
		return chmod(dir, mode) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	/* /run/user/UID is there already; any other must be ours. */
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() ? 0 : -EPERM;
}

/* 0, -EBUSY, or -errno. */
static int try_lock(struct host *h)
{
	struct stat by_fd, by_name;

	snprintf(h->lock_path, sizeof(h->lock_path), "%s.lock", h->socket_path);
	for (int i = 0; i < LOCK_TRIES; i++) {
		int fd = open(h->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

			close(fd);
			return err;
		}
		if (fstat(fd, &by_fd) == 0 && stat(h->lock_path, &by_name) == 0 &&
		    by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev) {
			h->lock_fd = fd;
			return 0;
		}
		close(fd);
	}
	return -EBUSY;
}

static int lock_failed(struct host *h, int err)
{
	if (err == -EBUSY)
		return host_fail(h, err,
				 "another engine serves %s; stop it with 'fastnet engine stop', "
				 "or give this one its own --socket",
				 h->socket_path);
	return host_fail(h, err,
			 "can't use the socket path %s: %s; choose another one with --socket",
			 h->socket_path, strerror(-err));
}

int host_lock(struct host *h)
{
	const char *given = config_str(&h->config, CONFIG_socket);
	struct chan_paths paths;
	int err = -ENOENT;

	if (strlen(given) >= CHAN_PATH_MAX)
		return host_fail(h, -ENAMETOOLONG,
				 "socket path is longer than %d characters; choose a "
				 "shorter one with --socket",
				 CHAN_PATH_MAX - 1);
	chan_engine_paths(&paths, given);
	/* A user's engine does not even try the system's place; a root that may not write there
	 * does as a user does. */
	for (uint32_t i = !*given && geteuid() != 0 ? 1 : 0; i < paths.n; i++) {
		snprintf(h->socket_path, sizeof(h->socket_path), "%s", paths.path[i]);
		err = *given ? 0 : make_dir(h->socket_path, i == 0 ? 0755 : 0700);
		if (!err)
			err = try_lock(h);
		if (!err || err == -EBUSY)
			break;
	}
	return err ? lock_failed(h, err) : 0;
}

int host_listen(struct host *h)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;

	/* What a dead engine left; anything else with that name is not ours to remove. */
	if (lstat(h->socket_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(h->socket_path);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", h->socket_path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return host_fail(h, -errno, "can't make a unix socket: %s", strerror(errno));
	/* Who may attach is decided by credentials: allow-uids. */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(h->socket_path, 0666) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		int err = -errno;

		close(fd);
		return host_fail(h, err,
				 "can't listen on %s: %s; choose another path with --socket",
				 h->socket_path, strerror(-err));
	}
	h->listen_fd = fd;
	return 0;
}

void host_unlisten(struct host *h)
{
	if (h->listen_fd < 0)
		return;
	close(h->listen_fd);
	unlink(h->socket_path);
	h->listen_fd = -1;
}

void host_unlock(struct host *h)
{
	if (h->lock_fd >= 0) {
		host_secret_forget(h);
		unlink(h->lock_path);
		close(h->lock_fd);
	}
	h->lock_fd = -1;
}
