/* `fastnet engine upgrade` under processes that notice nothing: stopped, asleep for good, blocked in
 * something else, about to fork or exec; and under a socket that is on its way from one to another. */
// SPDX-License-Identifier: MIT
#include "tests/shim/upgrade.h"
#include <sys/prctl.h>

struct server {
	int l;
	struct sockaddr_in at;
	pid_t pid;
};

/* ---- the processes ---- */
/* One connection after the other, to its end. */
static void accept_loop(int l)
{
	for (;;) {
		int s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		if (s < 0)
			_exit(1);
		echo(s);
		close(s);
	}
}

static volatile sig_atomic_t signals;
static void on_signal(int sig) { signals++; }

static void await_signal(void)
{
	sigset_t none;
	sigemptyset(&none);
	while (!signals)
		sigsuspend(&none);
	signals = 0;
}

/* Has nothing but the listener, sleeps, and makes a worker when told so. */
static void master(int l)
{
	for (;;) {
		await_signal();
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			accept_loop(l);
		}
	}
}

/* Becomes another program when told so, which serves the listener. */
static void changes(int l)
{
	char num[16], *argv[] = { "prog_upgrade_procs", "role", "serve", num, NULL };
	await_signal();
	snprintf(num, sizeof(num), "%d", l);
	execv("/proc/self/exe", argv);
	_exit(99);
}

static int role_serve(int l)
{
	fcntl(l, F_SETFL, 0);
	accept_loop(l);
	return 1;
}

/* Not the relay of who does not know better. */
static int domain(int fd)
{
	int d = -1;
	socklen_t len = sizeof(d);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &d, &len);
	return d;
}

static int role_echo(int via)
{
	int fd = take(via);
	return fd < 0 ? 9 : domain(fd) != AF_INET ? 8 : echo(fd);
}

static const struct pass_role roles[] = { { "serve", role_serve }, { "echo", role_echo } };

static struct server serve(void (*run)(int l))
{
	struct server s;
	s.l = t_listen(16, &s.at);
	fflush(stdout);
	s.pid = fork();
	if (s.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(s.l);
		_exit(0);
	}
	close(s.l);
	return s;
}

static void end(struct server *s)
{
	kill(s->pid, SIGKILL);
	t_out("ends with %d", t_finish(s->pid));
}

/* ---- before ---- */
static struct server stopped, asleep, changing, blocked;
static int blocks, via[2], a, b, waiting;

static void before(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t usr;
	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr, NULL); /* the children's; they wait for it */
	t_upgrade_prepare();
	stopped = serve(accept_loop);
	asleep = serve(master);
	changing = serve(changes);
	blocked = serve(accept_loop);
	t_out("served: %d", served(&stopped.at));
	kill(stopped.pid, SIGSTOP);
	kill(asleep.pid, SIGUSR1);
	t_out("served: %d", served(&asleep.at));
	blocks = dial(&blocked.at);
	t_out("answers: %d", asked(blocks));
	waiting = dial(&changing.at);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via);
	t_pair(&a, &b);
	t_res("give", give(via[0], b));
	close(b);
	t_out("upgraded: %d", t_upgrade());
}

/* ---- after ---- */
/* Nobody accepts, but the connection is made. */
static void a_stopped_one(void)
{
	int fd = dial(&stopped.at);
	t_res("send", send(fd, "q", 1, 0));
	kill(stopped.pid, SIGCONT);
	char c = 0;
	t_res("answer", t_read_all(fd, &c, 1));
	close(fd);
	t_out("served: %d %d", served(&stopped.at), served(&stopped.at));
	end(&stopped);
}

static void one_that_sleeps(void)
{
	t_out("by the first worker: %d", served(&asleep.at));
	kill(asleep.pid, SIGUSR1);
	t_out("by any: %d %d %d", served(&asleep.at), served(&asleep.at), served(&asleep.at));
	end(&asleep);
}

static void one_blocked_in_recv(void)
{
	int more = dial(&blocked.at);
	t_out("connected: %d", more >= 0);
	t_out("answers: %d", asked(blocks));
	close(blocks);
	t_out("the next one: %d", asked(more));
	close(more);
	t_out("served: %d", served(&blocked.at));
	end(&blocked);
}

static void one_that_becomes_another_program(void)
{
	kill(changing.pid, SIGUSR1);
	t_out("who has waited: %d", asked(waiting));
	close(waiting);
	t_out("served: %d %d", served(&changing.at), served(&changing.at));
	end(&changing);
}

static void a_socket_on_its_way(void)
{
	int to;
	char c = 0;
	int got = take(via[1]);
	t_out("the socket itself: %d", domain(got) == AF_INET);
	t_res("send", send(a, "x", 1, 0));
	t_res("read", t_read_all(got, &c, 1));
	pid_t pid = start("echo", &to, false);
	fcntl(a, F_SETFD, FD_CLOEXEC);
	t_res("give on", give(to, got));
	close(got);
	t_out("answers: %d", asked(a));
	shutdown(a, SHUT_WR);
	t_out("ends with %d", t_finish(pid));
	close(a);
	close(to);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(before), T_CASE(a_stopped_one), T_CASE(one_that_sleeps), T_CASE(one_blocked_in_recv),
		T_CASE(one_that_becomes_another_program), T_CASE(a_socket_on_its_way),
	};
	int r = pass_role(roles, T_COUNT(roles), argc, argv);

	return r >= 0 ? r : t_run(cases, T_COUNT(cases), argc, argv);
}
