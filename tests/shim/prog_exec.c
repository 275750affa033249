/* exec with sockets: what has no CLOEXEC is the new program's, at its number and as it was. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "shim/handover.h"

extern char **environ;

/* This program again, in the role named; numbers become arguments, -1 ends them. */
static void become(const char *role, int fd, int other)
{
	char a[16], b[16];
	snprintf(a, sizeof(a), "%d", fd);
	snprintf(b, sizeof(b), "%d", other);
	execl("/proc/self/exe", "prog_exec", "exec", role, a, b, (char *)NULL);
	_exit(99);
}

static pid_t start(const char *role, int fd, int other)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		become(role, fd, other);
	return pid;
}

/* ---- roles ---- */
static int role_echo(int fd, int other)
{
	char buf[64];
	ssize_t n = read(fd, buf, sizeof(buf));
	t_res("new program reads", n);
	return n > 0 && write(fd, buf, (size_t)n) == n ? 7 : 1;
}

static int role_cat(int fd, int other)
{
	char buf[64];
	ssize_t n;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return 1;
	return n == 0 ? 8 : 2;
}

static int role_look(int fd, int other)
{
	struct sockaddr_in sa = { 0 };
	socklen_t len = sizeof(sa);
	char c;
	t_res("getsockname", getsockname(fd, (struct sockaddr *)&sa, &len));
	t_out("of this run's address: %d", sa.sin_addr.s_addr == t_addr(0).sin_addr.s_addr);
	len = sizeof(sa);
	t_res("getpeername", getpeername(fd, (struct sockaddr *)&sa, &len));
	t_out("nonblock %d", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	t_out("events %s", t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLRDHUP)));
	t_res("read", recv(fd, &c, 1, MSG_DONTWAIT));
	return 0;
}

static int role_closed(int fd, int other)
{
	char c;
	t_res("read of a closed one", read(fd, &c, 1));
	return 0;
}

static int role_dups(int fd, int other)
{
	char c;
	t_res("set by one", fcntl(fd, F_SETFL, O_NONBLOCK));
	t_out("seen by the other: %d", !!(fcntl(other, F_GETFL) & O_NONBLOCK));
	t_res("close one", close(fd));
	t_res("other reads", read(other, &c, 1));
	t_res("nothing more", read(other, &c, 1));
	return 0;
}

static int role_serve(int fd, int other)
{
	char c;
	t_out("listening %d", ({ int v = 0; socklen_t l = sizeof(v);
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &l); v; }));
	for (int i = 0; i < 2; i++) {
		int s = accept(fd, NULL, NULL);
		if (s < 0 || read(s, &c, 1) != 1 || send(s, &c, 1, 0) != 1)
			return 1;
		close(s);
	}
	return 0;
}

static int role_datagram(int fd, int other)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[64];
	ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
	t_res("datagram", n);
	if (n > 0)
		t_res("answer", sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len));
	return 0;
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	return getsockopt(fd, level, name, &v, &len) < 0 ? -errno : v;
}

static int role_options(int fd, int other)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	t_out("nodelay %d keepalive %d idle %d lowat %d tos %d timeout %ld ms mark %d",
	      get(fd, IPPROTO_TCP, TCP_NODELAY), get(fd, SOL_SOCKET, SO_KEEPALIVE),
	      get(fd, IPPROTO_TCP, TCP_KEEPIDLE), get(fd, SOL_SOCKET, SO_RCVLOWAT),
	      get(fd, IPPROTO_IP, IP_TOS), tv.tv_sec * 1000 + tv.tv_usec / 1000,
	      get(fd, SOL_SOCKET, SO_PRIORITY));
	return 0;
}

static int role_connect(int fd, int port)
{
	struct sockaddr_in addr = t_addr(port);
	char c = 0;
	t_res("connect", connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	t_out("keepalive %d", get(fd, SOL_SOCKET, SO_KEEPALIVE));
	return send(fd, "c", 1, 0) == 1 && t_read_all(fd, &c, 1) == 1 && c == 'c' ? 0 : 1;
}

static int role_again(int fd, int other)
{
	char c;
	t_res("first hop reads", read(fd, &c, 1));
	fflush(stdout);
	become("echo", fd, other);
	return 98;
}

static int role_both(int fd, int other)
{
	char c = 0;
	t_res("send", send(fd, "w", 1, 0));
	t_res("read", t_read_all(other, &c, 1));
	t_out("%c", c);
	t_res("close", close(fd));
	t_out("its peer: %s", t_mask((uint32_t)t_until(other, POLLRDHUP)));
	return 0;
}

static int role_signal(int fd, int other)
{
	struct timespec limit = { .tv_sec = 5 };
	sigset_t set;
	char c;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	t_out("owner is us: %d", fcntl(fd, F_GETOWN) == getpid());
	write(fd, "r", 1);
	t_out("signal %d", sigtimedwait(&set, NULL, &limit) == SIGIO);
	t_res("read", t_read_all(fd, &c, 1));
	return 0;
}

static const struct role {
	const char *name;
	int (*run)(int fd, int other);
} roles[] = {
	{ "echo", role_echo }, { "cat", role_cat }, { "look", role_look },
	{ "closed", role_closed }, { "dups", role_dups }, { "serve", role_serve },
	{ "datagram", role_datagram }, { "options", role_options }, { "connect", role_connect },
	{ "again", role_again }, { "both", role_both }, { "signal", role_signal },
};

/* ---- cases ---- */
static void at_its_number(void)
{
	int a, b;
	t_pair(&a, &b);
	pid_t pid = start("echo", a, -1);
	close(a);
	t_ask(b, "number");
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

static void as_standard_input(void)
{
	int a, b;
	t_pair(&a, &b);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(a, 0);
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		become("cat", 0, -1);
	}
	close(a);
	t_ask(b, "inetd");
	t_ask(b, "style");
	shutdown(b, SHUT_WR);
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

static void close_on_exec(void)
{
	int a, b;
	t_pair(&a, &b);
	fcntl(a, F_SETFD, FD_CLOEXEC);
	fcntl(b, F_SETFD, FD_CLOEXEC);
	t_out("ends with %d", t_finish(start("closed", a, -1)));
	int c = fcntl(a, F_DUPFD, 0);
	t_out("a copy without: ends with %d", t_finish(start("look", c, -1)));
	close(c);
	t_ask(b, "");
	close(a);
	t_gone(b);
	close(b);
}

static void copies_share_the_file(void)
{
	int a, b;
	t_pair(&a, &b);
	int c = dup(a);
	send(b, "x", 1, 0);
	t_out("ends with %d", t_finish(start("dups", a, c)));
	t_out("here, too: nonblock %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
	close(a);
	close(c);
	t_gone(b);
	close(b);
}

static void failed_exec(void)
{
	int a, b;
	char c, *argv[] = { "x", NULL };
	t_pair(&a, &b);
	t_res("execve", execve("/nonexistent", argv, environ));
	t_res("execvp", execvp("no-such-program-anywhere", argv));
	t_res("execve of no program", execve("/etc/passwd", argv, environ));
	send(b, "x", 1, 0);
	t_res("read", t_read_all(a, &c, 1));
	close(a);
	t_gone(b);
	close(b);
}

static void listener(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), good = 0;
	/* One waits in the queue across the exec. */
	int early = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_res("early", connect(early, (struct sockaddr *)&addr, sizeof(addr)));
	pid_t pid = start("serve", l, -1);
	close(l);
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(late, (struct sockaddr *)&addr, sizeof(addr));
	for (int i = 0; i < 2; i++) {
		char c = 0;
		int fd = i ? late : early;
		good += send(fd, "q", 1, 0) == 1 && t_read_all(fd, &c, 1) == 1 && c == 'q';
	}
	t_out("late %d, answered %d, ends with %d", r, good, t_finish(pid));
	close(early);
	close(late);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	t_res("nobody listens", connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	close(fd);
}

static void datagrams(void)
{
	struct sockaddr_in addr = t_addr(0);
	socklen_t len = sizeof(addr);
	char buf[16] = { 0 };
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	t_res("bind", bind(a, (struct sockaddr *)&addr, sizeof(addr)));
	getsockname(a, (struct sockaddr *)&addr, &len);
	t_res("connect", connect(b, (struct sockaddr *)&addr, sizeof(addr)));
	send(b, "early", 5, 0);
	t_out("ends with %d", t_finish(start("datagram", a, -1)));
	t_res("answer", recv(b, buf, sizeof(buf), 0));
	t_out("%s", buf);
	len = sizeof(addr);
	getsockname(b, (struct sockaddr *)&addr, &len);
	t_res("connect back", connect(a, (struct sockaddr *)&addr, sizeof(addr)));
	pid_t pid = start("datagram", a, -1);
	close(a);
	send(b, "late", 4, 0);
	t_out("ends with %d", t_finish(pid));
	t_res("answer", recv(b, buf, sizeof(buf), 0));
	close(b);
}

static void unread_and_half_closed(void)
{
	int a, b;
	t_pair(&a, &b);
	send(b, "before", 6, 0);
	t_until(a, POLLIN);
	t_out("ends with %d", t_finish(start("echo", a, -1)));
	char buf[16] = { 0 };
	t_res("answer", t_read_all(b, buf, 6));
	t_out("%s", buf);
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	send(b, "half", 4, 0);
	t_until(a, POLLIN);
	t_out("ends with %d", t_finish(start("look", a, -1)));
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	t_out("ends with %d", t_finish(start("look", a, -1)));
	close(a);
	close(b);
	t_pair(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_out("ends with %d", t_finish(start("look", a, -1)));
	t_reset(b);
	t_until(a, POLLHUP);
	t_out("ends with %d", t_finish(start("look", a, -1)));
	close(a);
}

static void options_stay(void)
{
	struct timeval tv = { .tv_usec = 250000 };
	int a, b, one = 1, v;
	t_pair(&a, &b);
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(a, IPPROTO_TCP, TCP_KEEPIDLE, (v = 77, &v), sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_RCVLOWAT, (v = 3, &v), sizeof(v));
	setsockopt(a, IPPROTO_IP, IP_TOS, (v = 16, &v), sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_PRIORITY, (v = 5, &v), sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_out("connected: ends with %d", t_finish(start("options", a, -1)));
	close(a);
	close(b);
	a = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(a, SOL_SOCKET, SO_PRIORITY, (v = 3, &v), sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_out("fresh: ends with %d", t_finish(start("options", a, -1)));
	close(a);
}

static void fresh_socket_connects(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr), one = 1;
	char c;
	fcntl(l, F_SETFD, FD_CLOEXEC);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	pid_t pid = start("connect", fd, ntohs(addr.sin_port));
	close(fd);
	int s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (read(s, &c, 1) == 1)
		send(s, &c, 1, 0);
	t_out("ends with %d", t_finish(pid));
	t_gone(s);
	close(s);
	close(l);
}

static void two_hops(void)
{
	int a, b;
	t_pair(&a, &b);
	pid_t pid = start("again", a, -1);
	close(a);
	send(b, "1", 1, 0);
	t_ask(b, "second");
	t_out("ends with %d", t_finish(pid));
	t_gone(b);
	close(b);
}

static void both_ends(void)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int a, b;
		t_pair(&a, &b);
		become("both", a, b);
	}
	t_out("ends with %d", t_finish(pid));
}

static void empty_environment(void)
{
	int a, b;
	char num[16], *argv[] = { "prog_exec", "exec", "echo", num, "-1", NULL };
	/* What a sanitizer in the program needs to know. */
	const char *asan = getenv("ASAN_OPTIONS");
	char keep[256], *envp[] = { asan ? keep : NULL, NULL };
	snprintf(keep, sizeof(keep), "ASAN_OPTIONS=%s", asan ? asan : "");
	t_pair(&a, &b);
	snprintf(num, sizeof(num), "%d", a);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execve("/proc/self/exe", argv, envp);
		_exit(99);
	}
	close(a);
	t_ask(b, "empty");
	t_out("ends with %d", t_finish(pid));
	close(b);
}

static void signals(void)
{
	int a, b;
	char c;
	t_pair(&a, &b);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGIO);
		sigprocmask(SIG_BLOCK, &set, NULL);
		fcntl(a, F_SETOWN, getpid());
		fcntl(a, F_SETFL, O_ASYNC);
		become("signal", a, -1);
	}
	close(a);
	t_res("it is ready", t_read_all(b, &c, 1));
	send(b, "s", 1, 0);
	t_out("ends with %d", t_finish(pid));
	close(b);
}

static void *reader(void *arg)
{
	int *fd = arg;
	char c;
	__atomic_store_n(&fd[1], t_self(), __ATOMIC_RELEASE);
	read(fd[0], &c, 1);
	return NULL;
}

/* Another thread sleeps in a call on the socket; it just ends. */
static void threads(void)
{
	int a, b, done[2];
	char c;
	t_pair(&a, &b);
	if (pipe2(done, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int arg[2] = { a, 0 }, tid;
		pthread_t t;
		pthread_create(&t, NULL, reader, arg);
		while ((tid = __atomic_load_n(&arg[1], __ATOMIC_ACQUIRE)) == 0)
			sched_yield();
		t_until_asleep(tid);
		become("echo", a, -1);
	}
	close(a);
	close(done[1]);
	t_res("exec is done", read(done[0], &c, 1));
	close(done[0]);
	t_ask(b, "thread");
	t_out("ends with %d", t_finish(pid));
	close(b);
}

/* Files of the program's own where a bundle would be, that look like one or nearly so. */
static void false_bundles(void)
{
	struct rlimit lim;
	getrlimit(RLIMIT_NOFILE, &lim);
	int at = (int)(lim.rlim_cur < 1024 ? lim.rlim_cur : 1024) - 1;
	for (int kind = 0; kind < 4; kind++) {
		uint32_t words[1024];
		int a, b, m = memfd_create("own", MFD_ALLOW_SEALING);
		/* The head: magic, version, taken, engines, their tokens, size; then records. */
		memset(words, kind ? 0x7f : 0, sizeof(words));
		if (kind >= 2) {
			memcpy(words, (uint32_t[]){ HANDOVER_MAGIC, HANDOVER_VERSION, 0, 4, 0, 1, 2, 3 }, 32);
			memcpy(words + 8, &(uint64_t){ sizeof(words) }, 8);
		}
		if (kind == 3)
			memcpy(words + 10, (uint32_t[]){ HANDOVER_SOCK, 200, 0, 5, 1, 1 }, 24);
		write(m, words, sizeof(words));
		fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		dup2(m, at);
		close(m);
		t_pair(&a, &b);
		pid_t pid = start("echo", a, -1);
		close(a);
		t_ask(b, "beside a false one");
		t_out("kind %d ends with %d", kind, t_finish(pid));
		close(b);
		/* With nothing to hand over it is all that is there. */
		t_out("alone: %d", t_finish(start("closed", 900, -1)));
		close(at);
	}
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(at_its_number), T_CASE(as_standard_input), T_CASE(close_on_exec),
		T_CASE(copies_share_the_file), T_CASE(failed_exec), T_CASE(listener), T_CASE(datagrams),
		T_CASE(unread_and_half_closed), T_CASE(options_stay), T_CASE(fresh_socket_connects),
		T_CASE(two_hops), T_CASE(both_ends), T_CASE(empty_environment),
		T_CASE(signals), T_CASE(threads), T_CASE(false_bundles),
	};
	setvbuf(stdout, NULL, _IOLBF, 4096);
	if (argc != 5 || strcmp(argv[1], "exec") != 0)
		return t_run(cases, T_COUNT(cases), argc, argv);
	for (size_t i = 0; i < T_COUNT(roles); i++)
		if (!strcmp(argv[2], roles[i].name))
			return roles[i].run(atoi(argv[3]), atoi(argv[4]));
	return 97;
}
