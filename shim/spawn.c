/* posix_spawn and posix_spawnp with sockets of ours: see spawn.h. */
// SPDX-License-Identifier: MIT
#include "shim/spawn.h"
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shim/explain.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "stack/base/sys.h"

struct job {
	const struct exec_target *target;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attr;
	char *const *argv, *const *envp;
	sigset_t mask; /* the caller's */
	_Atomic int *err; /* shared with the child */
};

/* ---- in the child ---- */
/* No handler of the parent may run here; an exec would take them away anyhow. Those two that the
 * shim has put there itself are left to fault_exec_begins(), which knows what they stand for. */
static void reset_signals(const struct job *j, short flags)
{
	struct sigaction sa, dfl = { .sa_handler = SIG_DFL };
	sigset_t def;

	sigemptyset(&def);
	if (flags & POSIX_SPAWN_SETSIGDEF)
		posix_spawnattr_getsigdefault(j->attr, &def);
	for (int sig = 1; sig < _NSIG; sig++) {
		if (sigismember(&def, sig) == 1)
			libc.sigaction(sig, &dfl, NULL);
		else if (!fault_guards(sig) && libc.sigaction(sig, NULL, &sa) == 0 &&
			 sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN)
			libc.sigaction(sig, &dfl, NULL);
	}
}

/* The order is glibc's. */
static int set_attributes(const struct job *j, short flags)
{
	struct sched_param param;
	pid_t group;
	int policy;

	if (!j->attr)
		return 0;
	posix_spawnattr_getschedparam(j->attr, &param);
	posix_spawnattr_getschedpolicy(j->attr, &policy);
	if (flags & POSIX_SPAWN_SETSCHEDULER) {
		if (sched_setscheduler(0, policy, &param) < 0)
			return -errno;
	} else if (flags & POSIX_SPAWN_SETSCHEDPARAM && sched_setparam(0, &param) < 0) {
		return -errno;
	}
	if (flags & POSIX_SPAWN_SETSID && setsid() < 0)
		return -errno;
	posix_spawnattr_getpgroup(j->attr, &group);
	if (flags & POSIX_SPAWN_SETPGROUP && setpgid(0, group) < 0)
		return -errno;
	if (flags & POSIX_SPAWN_RESETIDS &&
	    (libc.syscall(SYS_setresgid, -1, getgid(), -1) < 0 ||
	     libc.syscall(SYS_setresuid, -1, getuid(), -1) < 0))
		return -errno;
	return 0;
}

struct running {
	const struct job *j;
	struct exec x;
};

static int run(const char *path, void *arg)
{
	struct running *r = arg;

	libc.execve(path, r->j->argv, r->x.envp);
	return -errno;
}

static int in_child(const struct job *j)
{
	struct running r = { .j = j };
	sigset_t mask = j->mask;
	short flags = 0;
	int err;

	if (j->attr)
		posix_spawnattr_getflags(j->attr, &flags);
	reset_signals(j, flags);
	err = set_attributes(j, flags);
	if (err == 0)
		err = spawn_actions_run(j->actions);
	if (err < 0)
		return err;
	exec_begins(&r.x, j->target, j->envp);
	if (flags & POSIX_SPAWN_SETSIGMASK)
		posix_spawnattr_getsigmask(j->attr, &mask);
	libc.sigprocmask(SIG_SETMASK, &mask, NULL);
	return j->target->search ? exec_search(j->target->path, run, &r) :
				   run(j->target->path, &r);
}

/* ---- in the parent ---- */
/* A copy of this process, while whose beginnings this thread waits: until it has execed, or ended. */
static pid_t copy_process(struct job *j)
{
	pid_t pid;

	process_fork_prepare();
	pid = (pid_t)libc.syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		process_fork_child();
		atomic_store(j->err, -in_child(j));
		sys_call3(SYS_exit_group, 127, 0, 0);
	}
	process_fork_parent();
	return pid;
}

static int spawn(struct job *j, pid_t *pid)
{
	sigset_t all;
	pid_t child;
	int err;

	j->err = mmap(NULL, sizeof(*j->err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if ((void *)j->err == MAP_FAILED)
		return ENOMEM;
	sigfillset(&all);
	libc.sigprocmask(SIG_SETMASK, &all, &j->mask);
	child = copy_process(j);
	err = child < 0 ? errno : atomic_load(j->err);
	if (child > 0 && err)
		sys_call6(SYS_wait4, child, 0, 0, 0, 0, 0);
	else if (child > 0 && pid)
		*pid = child;
	libc.sigprocmask(SIG_SETMASK, &j->mask, NULL);
	munmap((void *)j->err, sizeof(*j->err));
	return err;
}

int spawn_program(pid_t *pid, const struct exec_target *target, const posix_spawn_file_actions_t *actions,
		  const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct job j = { .target = target, .actions = actions, .attr = attr, .argv = argv, .envp = envp };
	bool ours = process_is_attached() && !fdtab_bypass &&
		    (handover_is_wanted() || spawn_actions_copy_ours(actions));
	struct fault_exec f;
	int saved = errno, r;

	if (unlikely(ours) && spawn_actions_are_known(actions)) {
		r = spawn(&j, pid);
		errno = saved;
		return r;
	}
	if (ours)
		explain_kernel(CHAN_REASON_exec_unshimmed);
	fault_exec_begins(&f);
	r = target->search ? libc.posix_spawnp(pid, target->path, actions, attr, argv, envp) :
			     libc.posix_spawn(pid, target->path, actions, attr, argv, envp);
	fault_exec_failed(&f);
	return r;
}
