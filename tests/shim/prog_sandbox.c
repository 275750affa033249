/* A process that confines itself with seccomp to what a network child of sshd may do: whatever our sockets
 * need beyond that must be there before. Each case forks, and the child ends by a signal if it is caught. */
// SPDX-License-Identifier: MIT
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include "tests/shim/t.h"

#define ALLOW(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(SYS_read),
	ALLOW(SYS_write),
	ALLOW(SYS_writev),
	ALLOW(SYS_readv),
	ALLOW(SYS_poll),
	ALLOW(SYS_ppoll),
	ALLOW(SYS_select),
	ALLOW(SYS_pselect6),
	ALLOW(SYS_futex),
	ALLOW(SYS_shutdown),
	ALLOW(SYS_close),
	ALLOW(SYS_brk),
	ALLOW(SYS_mmap),
	ALLOW(SYS_mremap),
	ALLOW(SYS_munmap),
	ALLOW(SYS_mprotect),
	ALLOW(SYS_madvise),
	ALLOW(SYS_clock_gettime),
	ALLOW(SYS_gettimeofday),
	ALLOW(SYS_getpid),
	ALLOW(SYS_getrandom),
	ALLOW(SYS_rt_sigprocmask),
	ALLOW(SYS_rt_sigreturn),
	ALLOW(SYS_exit),
	ALLOW(SYS_exit_group),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static void by_prctl(void)
{
	struct sock_fprog prog = { .len = T_COUNT(filter), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(99);
}

static void by_syscall(void)
{
	struct sock_fprog prog = { .len = T_COUNT(filter), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		_exit(99);
}

static const char *end_of(pid_t pid)
{
	static char text[32];
	int status = -1;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "with %d", WEXITSTATUS(status));
	return text;
}

/* Reads what comes and sends it back until the end. */
static int echo(int fd)
{
	static char buf[30000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, r; at < n; at += r)
			if ((r = write(fd, buf + at, (size_t)(n - at))) <= 0)
				return 2;
	return n == 0 ? 0 : 1;
}

/* Feeds fd in steps with pauses, so that the other side sleeps; how much came back as it was. */
static size_t feed(int fd)
{
	static char out[4000], in[4000];
	size_t good = 0;

	for (int i = 0; i < 8; i++) {
		memset(out, 'a' + i, sizeof(out));
		t_sleep_ms(20);
		send(fd, out, sizeof(out), 0);
		if (t_read_all(fd, in, sizeof(in)) == sizeof(in) && !memcmp(in, out, sizeof(in)))
			good += sizeof(in);
	}
	shutdown(fd, SHUT_WR);
	return good;
}

static void blocking(void (*confine)(void))
{
	int a, b;

	t_pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		close(a);
		confine();
		_exit(echo(b));
	}
	close(b);
	t_out("came back: %zu", feed(a));
	t_out("the child ends %s", end_of(pid));
	close(a);
}

static void reads_and_writes(void) { blocking(by_prctl); }
static void confined_by_a_system_call(void) { blocking(by_syscall); }

/* Two connections, one of which speaks; with poll(), then select(). */
static int echo_two(const int *fd, bool by_select)
{
	char c;

	for (int n = 0; n < 10;) {
		struct pollfd p[2] = { { fd[0], POLLIN, 0 }, { fd[1], POLLIN, 0 } };
		fd_set set;

		FD_ZERO(&set);
		FD_SET(fd[0], &set);
		FD_SET(fd[1], &set);
		int r = by_select ? select(FD_SETSIZE, &set, NULL, NULL, NULL) : poll(p, 2, -1);
		if (r <= 0)
			return 1;
		for (int i = 0; i < 2; i++) {
			if (by_select ? !FD_ISSET(fd[i], &set) : !p[i].revents)
				continue;
			if (read(fd[i], &c, 1) != 1 || write(fd[i], &c, 1) != 1)
				return 2;
			n++;
		}
	}
	return 0;
}

static void two(bool by_select)
{
	int a[2], b[2], good = 0;

	t_pair(&a[0], &b[0]);
	t_pair(&a[1], &b[1]);
	pid_t pid = fork();
	if (pid == 0) {
		by_prctl();
		_exit(echo_two(b, by_select));
	}
	for (int i = 0; i < 10; i++) {
		char c = (char)i, back = -1;

		t_sleep_ms(10);
		send(a[i % 2], &c, 1, 0);
		good += t_read_all(a[i % 2], &back, 1) == 1 && back == c;
	}
	t_out("came back: %d", good);
	t_out("the child ends %s", end_of(pid));
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void polls(void) { two(false); }
static void selects(void) { two(true); }

/* What is not allowed still is not. */
static void is_confined(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		by_prctl();
		syscall(SYS_getppid);
		_exit(0);
	}
	t_out("the child ends %s", end_of(pid));
}

/* The other uses of prctl() go through. */
static void other_uses(void)
{
	char name[16] = { 0 };

	t_res("PR_SET_NAME", prctl(PR_SET_NAME, "renamed"));
	t_res("PR_GET_NAME", prctl(PR_GET_NAME, name));
	t_out("%s", name);
	t_res("PR_GET_SECCOMP", prctl(PR_GET_SECCOMP));
	t_res("a bad one", prctl(-1, 0, 0, 0, 0));
	t_res("a bad filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
}

T_MAIN(T_CASE(reads_and_writes), T_CASE(confined_by_a_system_call), T_CASE(polls), T_CASE(selects),
       T_CASE(is_confined), T_CASE(other_uses))
