/* Exported: fork and its relatives, exec. libc's own fork() runs our handlers by itself
 * (process.c), so most of these only pass on. */
// SPDX-License-Identifier: MIT
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include "shim/exec.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "shim/spawn.h"

/* Which file is to be run: struct exec_target. */
#define PATH(p) { AT_FDCWD, p, false }
#define SEARCH(p) { AT_FDCWD, p, true }
#define AT(fd, p) { fd, p, false }

extern int LIBC_OURS(execv)(const char *path, char *const argv[]);
extern int LIBC_OURS(execvp)(const char *file, char *const argv[]);
extern int LIBC_OURS(execve)(const char *path, char *const argv[], char *const envp[]);

/* ---- fork ---- */
EXPORT pid_t fork(void)
{
	return libc.fork();
}
EXPORT_ALIAS(__fork, fork);
EXPORT_ALIAS(__libc_fork, fork);

/* No pthread_atfork handlers here, so ours are called by hand. */
static pid_t fork_bare(void)
{
	pid_t pid;

	process_fork_prepare();
	pid = libc._Fork();
	if (pid == 0)
		process_fork_child();
	else
		process_fork_parent();
	return pid;
}

EXPORT pid_t _Fork(void)
{
	return fork_bare();
}

/* A child that shares our memory would work on our tables: in a process with sockets of ours vfork() is
 * fork(). Elsewhere it stays what it is; it returns twice through one stack frame, hence the jump. */
pid_t process_vfork(void);
int process_vfork_must_copy(void);

__attribute__((visibility("hidden"), used)) pid_t process_vfork(void)
{
	return fork_bare();
}
__attribute__((visibility("hidden"), used)) int process_vfork_must_copy(void)
{
	return process_is_attached();
}
__asm__(".pushsection .text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	".globl __vfork\n"
	".set __vfork, vfork\n"
	"vfork:\n"
	"	endbr64\n"
	"	sub $8, %rsp\n"
	"	call process_vfork_must_copy\n"
	"	add $8, %rsp\n"
	"	test %eax, %eax\n"
	"	jz __wrap_vfork\n"
	"	jmp process_vfork\n"
	".size vfork, . - vfork\n"
	".popsection\n");

struct clone_start {
	int (*fn)(void *);
	void *arg;
};

static int clone_copied(void *p)
{
	struct clone_start *s = p;

	process_fork_child();
	return s->fn(s->arg);
}

/* Memory is shared, and without CLONE_SETTLS so is the mark; the parent sleeps (CLONE_VFORK). */
static int clone_borrowed(void *p)
{
	struct clone_start *s = p;

	fdtab_bypass = true;
	return s->fn(s->arg);
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct clone_start start = { fn, arg };
	void *ptid, *tls, *ctid;
	va_list ap;
	int r;

	va_start(ap, arg);
	ptid = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, void *);
	va_end(ap);
	if (!fn || !stack || ((flags & CLONE_VM) && !(flags & CLONE_VFORK)))
		return libc.clone(fn, stack, flags, arg, ptid, tls, ctid);
	if (flags & CLONE_VM) {
		bool before = fdtab_bypass;

		r = libc.clone(clone_borrowed, stack, flags, &start, ptid, tls, ctid);
		fdtab_bypass = before;
		return r;
	}
	process_fork_prepare();
	r = libc.clone(clone_copied, stack, flags, &start, ptid, tls, ctid);
	process_fork_parent();
	return r;
}
EXPORT_ALIAS(__clone, clone);

EXPORT int daemon(int nochdir, int noclose)
{
	return libc.daemon(nochdir, noclose);
}

/* ---- other programs: see spawn.h ---- */
EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_program(pid, &(struct exec_target)PATH(path), actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_program(pid, &(struct exec_target)SEARCH(file), actions, attr, argv, envp);
}

EXPORT int system(const char *command)
{
	return spawn_system(command);
}

EXPORT FILE *popen(const char *command, const char *type)
{
	return spawn_popen(command, type);
}

/* ---- exec: descriptors of the engine are CLOEXEC, so this process' references end with its image; what the
 * new one is to have goes by handover.c ---- */
#define WITH_EXEC(target, env, call) \
	struct exec x; \
	int r; \
\
	exec_begins(&x, &(struct exec_target)target, env); \
	r = (call); \
	exec_ends(&x); \
	return r

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	WITH_EXEC(PATH(path), envp, libc.execve(path, argv, x.envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	WITH_EXEC(PATH(path), environ, libc.execve(path, argv, x.envp));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	WITH_EXEC(SEARCH(file), environ, libc.execvpe(file, argv, x.envp));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	WITH_EXEC(SEARCH(file), envp, libc.execvpe(file, argv, x.envp));
}

EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	WITH_EXEC(AT(dirfd, path), envp, libc.execveat(dirfd, path, argv, x.envp, flags));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	WITH_EXEC(AT(fd, ""), envp, libc.fexecve(fd, argv, x.envp));
}

/* The arguments after `first`, counted up to and including the NULL. */
static size_t count_args(va_list ap)
{
	size_t n = 2;

	while (va_arg(ap, const char *))
		n++;
	return n;
}

static void take_args(char **argv, size_t n, const char *first, va_list ap)
{
	argv[0] = (char *)first;
	for (size_t i = 1; i < n; i++)
		argv[i] = va_arg(ap, char *);
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	size_t n = count_args(ap);
	va_end(ap);
	char *argv[n];

	va_start(ap, arg);
	take_args(argv, n, arg, ap);
	va_end(ap);
	return LIBC_OURS(execv)(path, argv);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	size_t n = count_args(ap);
	va_end(ap);
	char *argv[n];

	va_start(ap, arg);
	take_args(argv, n, arg, ap);
	va_end(ap);
	return LIBC_OURS(execvp)(file, argv);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	size_t n = count_args(ap);
	va_end(ap);
	char *argv[n], **envp;

	va_start(ap, arg);
	take_args(argv, n, arg, ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return LIBC_OURS(execve)(path, argv, envp);
}
