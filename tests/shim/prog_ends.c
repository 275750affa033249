/* Who learns that another process has ended, or has closed something, and looks at once: nothing of it is
 * left. Linux closes at exit before wait() returns, at exec before the new program begins. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { ROUNDS = 3 };
static int round_no;

/* One line a round, so that none is lost among equals. */
static void res(const char *what, long value)
{
	int err = errno;
	char line[64];

	snprintf(line, sizeof(line), "%s (%d)", what, round_no);
	errno = err;
	t_res(line, value);
}

/* This program again: execl() with the role and a number. */
static void become(const char *role, int port)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", port);
	execl("/proc/self/exe", "prog_ends", "role", role, num, (char *)NULL);
	_exit(99);
}

/* ---- what looks ---- */
static void connect_to(const char *what, int port)
{
	struct sockaddr_in to = t_addr(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	res(what, connect(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

static int bound(int type, int port)
{
	struct sockaddr_in at = t_addr(port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void bind_to(const char *what, int type, int port)
{
	int fd = bound(type, port), saved = errno;

	errno = saved;
	res(what, fd < 0 ? -1 : 0);
	if (fd >= 0 && type == SOCK_STREAM)
		res("and listen", listen(fd, 1));
	close(fd);
}

/* A datagram to nobody comes back as an error. */
static void datagram_to(const char *what, int port)
{
	struct sockaddr_in to = t_addr(port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char c;

	connect(fd, (struct sockaddr *)&to, sizeof(to));
	send(fd, "x", 1, 0);
	t_until(fd, POLLERR);
	res(what, recv(fd, &c, 1, MSG_DONTWAIT));
	close(fd);
}

/* ---- who ends ---- */
/* A child that has fd and sleeps; fd is not ours any more. */
static pid_t holder(int fd)
{
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	close(fd);
	return pid;
}

static void killed(int type, void (*look)(const char *what, int port), const char *what)
{
	for (round_no = 0; round_no < ROUNDS; round_no++) {
		int fd = bound(type, 0), port = t_port(fd);

		if (type == SOCK_STREAM)
			listen(fd, 4);
		pid_t pid = holder(fd);
		kill(pid, SIGKILL);
		t_finish(pid);
		look(what, port);
	}
}

static void bind_stream(const char *what, int port) { bind_to(what, SOCK_STREAM, port); }
static void bind_dgram(const char *what, int port) { bind_to(what, SOCK_DGRAM, port); }

static void killed_listener(void) { killed(SOCK_STREAM, connect_to, "connect"); }
static void killed_listener_bind(void) { killed(SOCK_STREAM, bind_stream, "bind"); }
static void killed_receiver(void) { killed(SOCK_DGRAM, datagram_to, "datagram"); }
static void killed_receiver_bind(void) { killed(SOCK_DGRAM, bind_dgram, "bind"); }

/* The listener is closed by the exec itself, and the new program looks as its first act. */
static void closed_by_exec(void)
{
	static const char *const roles[] = { "connect", "bind", "datagram" };

	for (round_no = 0; round_no < ROUNDS; round_no++) {
		for (size_t i = 0; i < T_COUNT(roles); i++) {
			int type = i == 2 ? SOCK_DGRAM : SOCK_STREAM;
			int fd = bound(type, 0), port = t_port(fd);

			if (type == SOCK_STREAM)
				listen(fd, 4);
			int gone[2];
			char c;
			if (pipe(gone) < 0)
				return;
			fflush(stdout);
			pid_t pid = fork();
			if (pid == 0) {
				/* Ours is the last one. */
				close(gone[1]);
				if (read(gone[0], &c, 1) == 0)
					become(roles[i], port);
				_exit(98);
			}
			close(fd);
			close(gone[0]);
			close(gone[1]);
			t_finish(pid);
		}
	}
}

/* ... and its end after a hand-over: what exec has kept goes with the process. */
static void end_after_exec(void)
{
	for (round_no = 0; round_no < ROUNDS; round_no++) {
		int fd = bound(SOCK_STREAM, 0), port = t_port(fd);

		listen(fd, 4);
		fcntl(fd, F_SETFD, 0);
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0)
			become("end", fd);
		close(fd);
		t_out("ends with %d", t_finish(pid));
		connect_to("connect", port);
	}
}

/* A program that has nothing to do with this one: it tells its port, then does what it is told. */
static pid_t stranger(int *to, int *from, int *port)
{
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
		return -1;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(down[0], 0);
		dup2(up[1], 1);
		become("stranger", 0);
	}
	close(down[0]);
	close(up[1]);
	*to = down[1];
	*from = up[0];
	if (read(*from, port, sizeof(*port)) != sizeof(*port))
		t_out("no port");
	return pid;
}

static void strangers(void)
{
	for (round_no = 0; round_no < ROUNDS; round_no++) {
		int to, from, port;
		pid_t pid = stranger(&to, &from, &port);

		kill(pid, SIGKILL);
		t_finish(pid);
		connect_to("killed, connect", port);
		bind_to("killed, bind", SOCK_STREAM, port);
		close(to);
		close(from);

		pid = stranger(&to, &from, &port);
		char c = 'c';
		write(to, &c, 1);
		read(from, &c, 1); /* it has closed it, and goes on */
		connect_to("closed, connect", port);
		bind_to("closed, bind", SOCK_STREAM, port);
		close(to);
		t_finish(pid);
		close(from);
	}
}

/* A child closes and says so; we look while it goes on. */
static void closed_by_child(void)
{
	for (round_no = 0; round_no < ROUNDS; round_no++) {
		int fd = bound(SOCK_STREAM, 0), port = t_port(fd), said[2];
		char c;

		listen(fd, 4);
		if (pipe2(said, O_CLOEXEC) < 0)
			return;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			usleep(1000);
			close(fd);
			write(said[1], "c", 1);
			pause();
			_exit(0);
		}
		close(fd);
		read(said[0], &c, 1);
		connect_to("connect", port);
		bind_to("bind", SOCK_STREAM, port);
		kill(pid, SIGKILL);
		t_finish(pid);
		close(said[0]);
		close(said[1]);
	}
}

/* ---- roles ---- */
static int be_stranger(void)
{
	int fd = bound(SOCK_STREAM, 0), port = t_port(fd);
	char c;

	listen(fd, 4);
	write(1, &port, sizeof(port));
	if (read(0, &c, 1) != 1)
		return 1;
	close(fd);
	write(1, &c, 1);
	return read(0, &c, 1) == 0 ? 0 : 1;
}

static int be(const char *role, int n)
{
	if (!strcmp(role, "stranger"))
		return be_stranger();
	if (!strcmp(role, "connect"))
		connect_to("connect", n);
	else if (!strcmp(role, "bind"))
		bind_to("bind", SOCK_STREAM, n);
	else if (!strcmp(role, "datagram"))
		datagram_to("datagram", n);
	else
		return t_port(n) > 0 ? 0 : 1;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(killed_listener), T_CASE(killed_listener_bind), T_CASE(killed_receiver),
		T_CASE(killed_receiver_bind), T_CASE(closed_by_exec), T_CASE(end_after_exec),
		T_CASE(closed_by_child), T_CASE(strangers),
	};

	setvbuf(stdout, NULL, _IOLBF, 4096);
	if (argc == 4 && !strcmp(argv[1], "role"))
		return be(argv[2], atoi(argv[3]));
	return t_run(cases, T_COUNT(cases), argc, argv);
}
