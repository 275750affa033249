/* system() and popen() with sockets of ours: see spawn.h. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "shim/spawn.h"
#include "stack/chan/lock.h"

extern int LIBC_OURS(sigaction)(int sig, const struct sigaction *act, struct sigaction *old);

/* ---- system(): POSIX.1 ---- */
/* SIGINT and SIGQUIT are ignored while any thread is in system(). */
static _Atomic uint32_t lock;
static unsigned users;
static struct sigaction saved_int, saved_quit;

struct shell {
	pid_t pid;
	sigset_t mask;
};

static void enter(struct shell *s)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };
	sigset_t chld;

	chan_lock(&lock);
	if (users++ == 0) {
		LIBC_OURS(sigaction)(SIGINT, &ign, &saved_int);
		LIBC_OURS(sigaction)(SIGQUIT, &ign, &saved_quit);
	}
	chan_unlock(&lock);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	libc.pthread_sigmask(SIG_BLOCK, &chld, &s->mask);
}

static void leave(struct shell *s)
{
	chan_lock(&lock);
	if (--users == 0) {
		LIBC_OURS(sigaction)(SIGINT, &saved_int, NULL);
		LIBC_OURS(sigaction)(SIGQUIT, &saved_quit, NULL);
	}
	chan_unlock(&lock);
	libc.pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
}

static void cancelled(void *arg)
{
	struct shell *s = arg;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	leave(s);
	pthread_setcancelstate(state, NULL);
}

static int start(struct shell *s, const char *command)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	struct exec_target sh = { AT_FDCWD, "/bin/sh", false };
	posix_spawnattr_t attr;
	sigset_t def;
	int err;

	sigemptyset(&def);
	if (saved_int.sa_handler != SIG_IGN)
		sigaddset(&def, SIGINT);
	if (saved_quit.sa_handler != SIG_IGN)
		sigaddset(&def, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &s->mask);
	posix_spawnattr_setsigdefault(&attr, &def);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	err = spawn_program(&s->pid, &sh, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return err;
}

static int system_ours(const char *command)
{
	struct shell s = { 0 };
	volatile int status = -1;
	int err, st = -1;

	enter(&s);
	err = start(&s, command);
	if (err == 0) {
		pthread_cleanup_push(cancelled, &s);
		while (waitpid(s.pid, &st, 0) < 0)
			if (errno != EINTR) {
				st = -1;
				break;
			}
		status = st;
		pthread_cleanup_pop(0);
	} else {
		status = W_EXITCODE(127, 0); /* as if the shell had not been able to start */
	}
	leave(&s);
	if (err)
		errno = err;
	return status;
}

int spawn_system(const char *command)
{
	struct fault_exec f;
	int r;

	if (command && unlikely(handover_is_wanted()) && process_is_attached())
		return system_ours(command);
	fault_exec_begins(&f);
	r = libc.system(command);
	fault_exec_failed(&f);
	return r;
}

/* ---- popen(): the stream must be libc's, for pclose(). Its child changes nothing but 0 or 1, where the new
 * program then sees no socket, so the bundle can be made here. ---- */
FILE *spawn_popen(const char *command, const char *type)
{
	struct exec_target sh = { AT_FDCWD, "/bin/sh", false };
	struct exec x;
	FILE *f;

	exec_begins(&x, &sh, environ);
	if (x.envp != environ) {
		handover_undo(&x.hand);
		explain_kernel(CHAN_REASON_exec_unshimmed);
	}
	f = libc.popen(command, type);
	exec_ends(&x);
	return f;
}
