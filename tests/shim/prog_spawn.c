/* posix_spawn, system, popen: children with sockets at the numbers that the file actions give them. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <spawn.h>

extern char **environ;

static void own(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Runs a command line; returns how posix_spawn() ended. */
static int shell(pid_t *pid, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr,
		 const char *command)
{
	char *argv[] = { "sh", "-c", (char *)command, NULL };
	return posix_spawnp(pid, "sh", fa, attr, argv, environ);
}

static void end(int b, pid_t pid)
{
	shutdown(b, SHUT_WR);
	t_out("ends with %d", t_finish(pid));
	t_out("after its end: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void at_its_number(void)
{
	int a, b;
	pid_t pid = -1;
	t_pair(&a, &b);
	int nine = dup2(a, 9);
	close(a);
	own(b);
	t_res("spawn", shell(&pid, NULL, NULL, "cat <&9 >&9"));
	close(nine);
	t_ask(b, "number");
	end(b, pid);
}

static void as_standard_streams(void)
{
	int a, b;
	pid_t pid = -1;
	posix_spawn_file_actions_t fa;
	t_pair(&a, &b);
	own(a);
	own(b);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, a, 0);
	posix_spawn_file_actions_adddup2(&fa, a, 1);
	char *argv[] = { "cat", NULL };
	t_res("spawn", posix_spawnp(&pid, "cat", &fa, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&fa);
	close(a);
	t_ask(b, "inetd");
	end(b, pid);
}

static void every_action(void)
{
	int a, b, c, d;
	pid_t pid = -1;
	posix_spawn_file_actions_t fa;
	t_pair(&a, &b);
	t_pair(&c, &d);
	own(b);
	own(d);
	int eight = dup2(c, 8);
	close(c);
	posix_spawn_file_actions_init(&fa);
	t_res("dup2", posix_spawn_file_actions_adddup2(&fa, a, 7));
	t_res("close", posix_spawn_file_actions_addclose(&fa, a));
	t_res("close of nothing", posix_spawn_file_actions_addclose(&fa, 77));
	t_res("open", posix_spawn_file_actions_addopen(&fa, 8, "/dev/null", O_RDWR, 0));
	t_res("chdir", posix_spawn_file_actions_addchdir_np(&fa, "/usr"));
	t_res("closefrom", posix_spawn_file_actions_addclosefrom_np(&fa, 9));
	t_res("bad number", posix_spawn_file_actions_adddup2(&fa, -1, 3));
	t_res("spawn", shell(&pid, &fa, NULL,
			     "read x <&7; echo $x in $PWD >&7; echo nowhere >&8; cat <&7 >&7"));
	posix_spawn_file_actions_destroy(&fa);
	close(a);
	close(eight);
	t_out("closed for the child: %s", t_mask((uint32_t)t_until(d, POLLRDHUP)));
	char buf[64] = { 0 };
	send(b, "here\n", 5, 0);
	t_res("answer", t_read_all(b, buf, 13));
	t_out("%.12s", buf);
	end(b, pid);
	close(d);
}

static void without_close_on_exec(void)
{
	int a, b;
	pid_t pid = -1;
	posix_spawn_file_actions_t fa;
	t_pair(&a, &b);
	own(b);
	int six = fcntl(a, F_DUPFD_CLOEXEC, 20);
	int nine = dup3(six, 9, O_CLOEXEC);
	close(a);
	close(six);
	posix_spawn_file_actions_init(&fa);
	/* To itself: the child has it. */
	posix_spawn_file_actions_adddup2(&fa, nine, nine);
	t_res("spawn", shell(&pid, &fa, NULL, "cat <&9 >&9"));
	posix_spawn_file_actions_destroy(&fa);
	close(nine);
	t_ask(b, "itself");
	end(b, pid);
}

static void failures(void)
{
	int a, b;
	char c;
	pid_t pid = 4711;
	char *argv[] = { "x", NULL };
	posix_spawn_file_actions_t fa;
	t_pair(&a, &b);
	t_out("no such file: %s", t_errname(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ)));
	t_out("not in PATH: %s", t_errname(posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ)));
	t_out("no program: %s", t_errname(posix_spawn(&pid, "/etc/passwd", NULL, NULL, argv, environ)));
	t_out("a directory: %s", t_errname(posix_spawnp(&pid, "/etc", NULL, NULL, argv, environ)));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, 777, 5);
	t_out("dup2 of nothing: %s", t_errname(shell(&pid, &fa, NULL, "exit 0")));
	posix_spawn_file_actions_destroy(&fa);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 5, "/nonexistent/x", O_RDONLY, 0);
	t_out("open of nothing: %s", t_errname(shell(&pid, &fa, NULL, "exit 0")));
	posix_spawn_file_actions_destroy(&fa);
	t_out("pid is untouched: %d", pid == 4711);
	t_res("no child is left", waitpid(-1, NULL, WNOHANG));
	send(b, "x", 1, 0);
	t_res("the socket lives", t_read_all(a, &c, 1));
	close(a);
	close(b);
}

static void attributes(void)
{
	int a, b;
	char buf[64] = { 0 };
	pid_t pid = -1;
	sigset_t set, def;
	posix_spawnattr_t attr;
	t_pair(&a, &b);
	int nine = dup2(a, 9);
	close(a);
	own(b);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigemptyset(&def);
	sigaddset(&def, SIGUSR2);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	posix_spawnattr_setsigmask(&attr, &set);
	posix_spawnattr_setsigdefault(&attr, &def);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					POSIX_SPAWN_SETPGROUP);
	t_res("spawn", shell(&pid, NULL, &attr, "cat <&9 >/dev/null; kill -USR2 $$"));
	t_out("group of its own: %d", getpgid(pid) == pid);
	t_out("mask here: %d", ({ sigset_t m; sigprocmask(SIG_BLOCK, NULL, &m);
		sigismember(&m, SIGUSR1); }));
	shutdown(b, SHUT_WR);
	t_out("killed by USR2: %d", t_finish(pid) == 1000 + SIGUSR2);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	t_res("spawn", shell(&pid, NULL, &attr,
			     "kill -USR1 $$; kill -USR2 $$; kill -HUP $$; echo alive >&9"));
	t_res("read", t_read_all(b, buf, 6));
	t_out("%.5s, ends with %d", buf, t_finish(pid));
	signal(SIGUSR2, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	posix_spawnattr_destroy(&attr);
	close(nine);
	close(b);
}

static void by_system(void)
{
	int a, b;
	char buf[64] = { 0 };
	t_pair(&a, &b);
	int nine = dup2(a, 9);
	close(a);
	own(b);
	send(b, "line\n", 5, 0);
	t_out("ends with %d", WEXITSTATUS(system("read x <&9; echo system: $x >&9; exit 4")));
	t_res("answer", t_read_all(b, buf, 13));
	t_out("%.12s", buf);
	int st = system("kill -INT $$");
	t_out("killed by INT: %d", WIFSIGNALED(st) && WTERMSIG(st) == SIGINT);
	t_out("a shell: %d", system(NULL) != 0);
	t_out("no command: %d", WEXITSTATUS(system("/nonexistent/command 2>/dev/null")));
	t_out("mask: %d", ({ sigset_t m; sigprocmask(SIG_BLOCK, NULL, &m);
		sigismember(&m, SIGCHLD); }));
	close(nine);
	t_out("nobody has it: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void *in_system(void *arg)
{
	system("echo ready >&9; exec sleep 100");
	return NULL;
}

static void cancelled_system(void)
{
	int a, b;
	char buf[8];
	void *r = NULL;
	pthread_t t;
	t_pair(&a, &b);
	int nine = dup2(a, 9);
	close(a);
	own(b);
	pthread_create(&t, NULL, in_system, NULL);
	t_res("started", t_read_all(b, buf, 6));
	pthread_cancel(t);
	pthread_join(t, &r);
	t_out("cancelled %d", r == PTHREAD_CANCELED);
	t_res("no child is left", waitpid(-1, NULL, WNOHANG));
	close(nine);
	t_out("nobody has it: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void by_popen(void)
{
	int a, b;
	char buf[64] = { 0 }, line[64] = { 0 };
	t_pair(&a, &b);
	int nine = dup2(a, 9);
	close(a);
	own(b);
	send(b, "word\n", 5, 0);
	FILE *f = popen("read x <&9; echo popen: $x; echo to the socket >&9; exit 5", "r");
	t_out("%s", fgets(line, sizeof(line), f) ? strtok(line, "\n") : "nothing");
	t_out("pclose %d", WEXITSTATUS(pclose(f)));
	t_res("read", t_read_all(b, buf, 14));
	t_out("%.13s", buf);
	f = popen("cat >&9", "w");
	fputs("written\n", f);
	t_out("pclose %d", pclose(f));
	t_res("read", t_read_all(b, buf, 8));
	t_out("%.7s", buf);
	dup2(nine, 0);
	f = popen("cat; exit 3", "w");
	fputs("0 is the pipe\n", f);
	fflush(stdout);
	t_out("pclose %d", WEXITSTATUS(pclose(f)));
	close(0);
	open("/dev/null", O_RDONLY);
	close(nine);
	t_out("nobody has it: %s", t_mask((uint32_t)t_until(b, POLLRDHUP)));
	close(b);
}

static void by_vfork(void)
{
	int a, b;
	t_pair(&a, &b);
	own(a);
	own(b);
	pid_t pid = vfork();
	if (pid == 0) {
		dup2(a, 0);
		dup2(a, 1);
		execlp("cat", "cat", (char *)NULL);
		_exit(99);
	}
	close(a);
	t_ask(b, "vfork");
	end(b, pid);
}

static void python_subprocess(void)
{
	int a, b;
	char script[400], *argv[] = { "python3", "-c", script, NULL };
	pid_t pid = -1;
	t_pair(&a, &b);
	own(b);
	snprintf(script, sizeof(script),
		 "import socket, subprocess\ns = socket.socket(fileno=%d)\n"
		 "subprocess.run(['cat'], stdin=s, stdout=s)\n"
		 "s.set_inheritable(True)\n"
		 "subprocess.run(['sh', '-c', 'echo passed >&%d'], pass_fds=[%d])\n", a, a, a);
	t_res("spawn", posix_spawnp(&pid, "python3", NULL, NULL, argv, environ));
	close(a);
	t_ask(b, "subprocess");
	char buf[16] = { 0 };
	shutdown(b, SHUT_WR);
	t_res("read", t_read_all(b, buf, 7));
	t_out("%.6s, ends with %d", buf, t_finish(pid));
	close(b);
}

T_MAIN(T_CASE(at_its_number), T_CASE(as_standard_streams), T_CASE(every_action),
       T_CASE(without_close_on_exec), T_CASE(failures), T_CASE(attributes), T_CASE(by_system),
       T_CASE(cancelled_system), T_CASE(by_popen), T_CASE(by_vfork), T_CASE(python_subprocess))
