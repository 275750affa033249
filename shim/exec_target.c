/* Which file an exec will run, and whether it can be given the shim: not if it is linked
 * statically, of another architecture, or run with more rights than its caller has (ld.so(8),
 * secure execution). */
// SPDX-License-Identifier: MIT
#include <elf.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "shim/exec.h"
#include "shim/libc.h"
#include "stack/base/util.h"

enum { HEAD = 256 /* BINPRM_BUF_SIZE */, INTERPRETERS = 5, PROGRAM_HEADERS = 64 };

/* ---- PATH ---- */
static bool goes_on(int err)
{
	return err == -EACCES || err == -ENOENT || err == -ESTALE || err == -ENOTDIR ||
	       err == -ENODEV || err == -ETIMEDOUT;
}

int exec_search(const char *file, int (*try)(const char *path, void *arg), void *arg)
{
	const char *path = getenv("PATH");
	size_t len = strlen(file);
	bool denied = false;
	char full[4096];
	int err = -ENOENT;

	if (strchr(file, '/'))
		return try(file, arg);
	if (len == 0)
		return -ENOENT;
	if (!path)
		path = "/bin:/usr/bin";
	for (const char *end; path; path = *end ? end + 1 : NULL) {
		size_t n;

		end = strchrnul(path, ':');
		n = (size_t)(end - path);
		if (n + len + 2 > sizeof(full))
			continue;
		memcpy(full, path, n);
		if (n)
			full[n++] = '/';
		memcpy(full + n, file, len + 1);
		err = try(full, arg);
		if (err == 0 || !goes_on(err))
			return err;
		denied |= err == -EACCES;
	}
	return denied ? -EACCES : err;
}

static int open_if_executable(const char *path, void *arg)
{
	struct stat st;
	int *fd = arg;

	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 || stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	*fd = libc.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	return 0;
}

/* ---- what it is ---- */
/* Does ld.so ignore LD_PRELOAD? */
static bool is_secure(int fd)
{
	struct stat st;
	char cap;

	if (getuid() != geteuid() || getgid() != getegid())
		return true;
	if (fstat(fd, &st) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != getuid())
		return true;
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
		return true;
	return getuid() != 0 && (fgetxattr(fd, "security.capability", &cap, 0) > 0);
}

/* The interpreter of a script whose beginning is in head; false: none is named. */
static bool interpreter(char *head, char **name)
{
	char *p = head + 2;

	p += strspn(p, " \t");
	p[strcspn(p, " \t\n")] = '\0';
	*name = p;
	return *p != '\0';
}

/* Is there a dynamic linker? */
static bool is_dynamic(int fd, const char *head, size_t n)
{
	Elf64_Phdr ph[PROGRAM_HEADERS];
	Elf64_Ehdr eh;
	ssize_t r;

	if (n < sizeof(eh))
		return false;
	memcpy(&eh, head, sizeof(eh));
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_phentsize != sizeof(ph[0]))
		return false;
	r = libc.pread64(fd, ph, min_u64(eh.e_phnum, PROGRAM_HEADERS) * sizeof(ph[0]),
			 (off64_t)eh.e_phoff);
	for (ssize_t i = 0; i < r / (ssize_t)sizeof(ph[0]); i++)
		if (ph[i].p_type == PT_INTERP)
			return true;
	return false;
}

/* fd: the file, is closed. */
static bool takes_shim(int fd)
{
	char head[HEAD + 1], *name;
	bool yes = true;

	for (int i = 0; fd >= 0 && i < INTERPRETERS; i++) {
		ssize_t n = libc.pread64(fd, head, HEAD, 0);

		head[n > 0 ? n : 0] = '\0';
		if (n > 2 && !memcmp(head, "#!", 2)) {
			libc.close(fd);
			fd = interpreter(head, &name) ?
				     libc.openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
			continue;
		}
		yes = n <= SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0 ||
		      (is_dynamic(fd, head, (size_t)n) && !is_secure(fd));
		break;
	}
	if (fd >= 0)
		libc.close(fd);
	return yes;
}

bool exec_target_takes_shim(const struct exec_target *t)
{
	int saved = errno, fd = -1;
	bool yes;

	if (t->search)
		exec_search(t->path, open_if_executable, &fd);
	else if (!t->path || !*t->path)
		fd = libc.fcntl(t->dirfd, F_DUPFD_CLOEXEC, 0);
	else
		fd = libc.openat(t->dirfd, t->path, O_RDONLY | O_CLOEXEC);
	/* What can't be read is taken for an ordinary program: most are. */
	yes = takes_shim(fd);
	errno = saved;
	return yes;
}
