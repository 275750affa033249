/* exec of other programs with sockets: a shell, python, and one that is linked statically. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

extern char **environ;

static void shell(void)
{
	int a, b;
	char script[128], buf[64] = { 0 };
	t_pair(&a, &b);
	int low = dup2(a, 9);
	close(a);
	fcntl(b, F_SETFD, FD_CLOEXEC);
	snprintf(script, sizeof(script), "read line <&%d; echo shell: $line >&%d; cat <&%d >&%d", low, low,
		 low, low);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", script, (char *)NULL);
		_exit(99);
	}
	close(low);
	send(b, "first\n", 6, 0);
	t_res("answer", t_read_all(b, buf, 13));
	t_out("%.12s", buf);
	t_ask(b, "by cat");
	shutdown(b, SHUT_WR);
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

static void python(void)
{
	int a, b;
	char script[160];
	t_pair(&a, &b);
	fcntl(b, F_SETFD, FD_CLOEXEC);
	snprintf(script, sizeof(script),
		 "import socket\ns = socket.socket(fileno=%d)\ns.sendall(s.recv(100))\n", a);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execlp("python3", "python3", "-c", script, (char *)NULL);
		_exit(99);
	}
	close(a);
	t_ask(b, "python");
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

/* The file beside this one. */
static const char *beside(const char *name)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash = n > 0 ? (path[n] = '\0', strrchr(path, '/')) : NULL;
	if (!slash)
		return name;
	strcpy(slash + 1, name);
	return path;
}

static void run_static(int fd, const char *arg)
{
	execl(beside("static_echo"), "static_echo", arg, (char *)NULL);
	_exit(99);
}

static void a_static_program(void)
{
	int a, b;
	t_pair(&a, &b);
	fcntl(b, F_SETFD, FD_CLOEXEC);
	send(b, "early", 5, 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(a, 0);
		run_static(0, "0");
	}
	close(a);
	char buf[16] = { 0 };
	t_res("answer", t_read_all(b, buf, 5));
	t_out("%s", buf);
	t_ask(b, "static");
	shutdown(b, SHUT_WR);
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

static void a_static_program_that_is_not_there(void)
{
	/* An interpreter that does not exist: looked at, and refused. */
	char name[] = "/tmp/fastnet-exec-XXXXXX", *argv[] = { "x", NULL };
	int a, b, f = mkstemp(name);
	char c;
	t_pair(&a, &b);
	send(b, "unread", 6, 0);
	char *huge = malloc(1 << 21), *big[] = { "x", huge, NULL };
	memset(huge, 'x', (1 << 21) - 1);
	huge[(1 << 21) - 1] = '\0';
	t_res("too many arguments", execve(beside("static_echo"), big, environ));
	free(huge);
	t_res("read", t_read_all(a, &c, 1));
	t_ask(a, "");
	write(f, "#!/nonexistent/interpreter\n", 27);
	fchmod(f, 0700);
	close(f);
	t_res("no interpreter", execve(name, argv, environ));
	unlink(name);
	t_res("read", t_read_all(a, &c, 1));
	close(a);
	t_out("peer: %s", t_mask((uint32_t)t_until(b, POLLRDHUP | POLLHUP)));
	close(b);
}

T_MAIN(T_CASE(shell), T_CASE(python), T_CASE(a_static_program),
       T_CASE(a_static_program_that_is_not_there))
