/* Looks for a socket in /proc: see whohas.h. */
// SPDX-License-Identifier: MIT
#include "stack/host/whohas.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has(const char *pid, const char *link, size_t len)
{
	char path[64], to[64];
	const struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d)))
		found = readlinkat(dirfd(d), e->d_name, to, sizeof(to)) == (ssize_t)len &&
			!memcmp(to, link, len);
	if (d)
		closedir(d);
	return found;
}

bool whohas_socket(uint64_t ino)
{
	char link[40];
	int len = snprintf(link, sizeof(link), "socket:[%llu]", (unsigned long long)ino);
	DIR *d = opendir("/proc");
	const struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = isdigit((unsigned char)e->d_name[0]) && has(e->d_name, link, (size_t)len);
	if (d)
		closedir(d);
	return found;
}
