/* The secret of the engines of one socket path, in a file beside it that outlives each of them while there
 * are clients, and that only their user can read: by it an engine knows the keys that its predecessor gave to
 * its clients. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/host/host.h"

/* 0 when what was there is taken, 1: a new one is there, or -errno. */
static int read_or_write(int fd, struct siphash_key *secret)
{
	struct siphash_key old;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	if (pread(fd, &old, sizeof(old), 0) == sizeof(old)) {
		*secret = old;
		return 0;
	}
	return pwrite(fd, secret, sizeof(*secret), 0) == sizeof(*secret) ? 1 : -EIO;
}

void host_secret(struct host *h)
{
	char path[sizeof(h->socket_path) + 8];

	if (getrandom(&h->secret, sizeof(h->secret), 0) != sizeof(h->secret))
		LOG(host, WARN, "no random numbers: programs do not outlive this engine together");
	snprintf(path, sizeof(path), "%s.key", h->socket_path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : read_or_write(fd, &h->secret);
	if (fd >= 0)
		close(fd);
	h->secret_is_needless = r == 1;
	if (r < 0)
		LOG(host, WARN, "can't keep a key in %s: %s; processes that share a listener will not "
		    "share it again under the next engine", path, strerror(-r));
}

void host_secret_forget(const struct host *h)
{
	char path[sizeof(h->socket_path) + 8];

	if (!h->secret_is_needless)
		return;
	snprintf(path, sizeof(path), "%s.key", h->socket_path);
	unlink(path);
}

uint64_t host_key_mac(const struct host *h, const struct chan_key *key)
{
	return siphash(&h->secret, key, offsetof(struct chan_key, mac));
}
