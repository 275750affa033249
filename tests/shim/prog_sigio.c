/* SIGIO and SIGURG: owners, O_ASYNC, F_SETSIG, on connections and listeners. Signals are blocked and taken by
 * sigtimedwait(), except where a handler is the point. */
// SPDX-License-Identifier: MIT
#include <linux/sockios.h>
#include "tests/shim/t.h"

#define RT (SIGRTMIN + 3)

static void settle(int a)
{
	uint64_t end = t_now_ms() + 2000;
	int left = 1;
	while (ioctl(a, SIOCOUTQ, &left) == 0 && left && t_now_ms() < end)
		t_sleep_ms(1);
}

/* One signal within ms; 0: none. */
static int next(siginfo_t *info, int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGURG);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, RT);
	memset(info, 0, sizeof(*info));
	int sig = sigtimedwait(&set, info, &ts);
	return sig < 0 ? 0 : sig;
}

/* Forgets what is left of other cases. */
static void drain(void)
{
	siginfo_t info;
	while (next(&info, 30))
		;
}

static void block(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGURG);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, RT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	drain();
}

/* Waits for the first one, takes all that come with it, and names which there were: several segments may
 * make several of a kind. fd: the number that F_SETSIG's must name. */
static void expect(const char *what, int fd, bool some)
{
	unsigned io = 0, urg = 0, usr = 0, codes = 0, wrong = 0;
	siginfo_t info;
	char text[96] = "";
	for (int sig, ms = some ? 2000 : 30; (sig = next(&info, ms)) != 0; ms = 30) {
		io += sig == SIGIO;
		urg += sig == SIGURG;
		usr += sig == SIGUSR1;
		if (sig != RT)
			continue;
		codes |= 1u << (info.si_code & 15);
		wrong += info.si_fd != fd;
	}
	static const char *const names[] = { "?", "IN", "OUT", "MSG", "ERR", "PRI", "HUP" };
	for (unsigned i = 0; i < T_COUNT(names); i++)
		if (codes >> i & 1)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " POLL_%s", names[i]);
	t_out("%s: %s%s%s%s%s%s", what, io ? "SIGIO " : "", urg ? "SIGURG " : "", usr ? "SIGUSR1 " : "",
	      codes ? "RT" : "", text, wrong ? " of another descriptor" : "");
}

static void own(int fd, int sig)
{
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETSIG, sig);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
}

static const char *owner_name(int pid)
{
	return pid == getpid() ? "this process" : pid == -getpgrp() ? "this group" :
	       pid == 0	       ? "nobody"      : pid == (int)syscall(SYS_gettid) ? "this thread" :
						 "somebody";
}

/* ---- what is set is what is told ---- */
static void ask(const char *what, int fd)
{
	struct f_owner_ex ex = { .type = 9, .pid = 9 };
	int a = -9, b = -9;
	fcntl(fd, F_GETOWN_EX, &ex);
	ioctl(fd, FIOGETOWN, &a);
	ioctl(fd, SIOCGPGRP, &b);
	t_out("%s: own %s ex %d %s ioctl %s %s sig %d async %d", what, owner_name(fcntl(fd, F_GETOWN)),
	      ex.type, owner_name(ex.pid), owner_name(a), owner_name(b), fcntl(fd, F_GETSIG),
	      (fcntl(fd, F_GETFL) & O_ASYNC) != 0);
}

static void set_all(const char *who, int fd, int other)
{
	struct f_owner_ex ex = { .type = F_OWNER_TID, .pid = (int)syscall(SYS_gettid) };
	int v;
	t_out("-- %s", who);
	ask("new", fd);
	t_res("setown", fcntl(fd, F_SETOWN, getpid()));
	ask("process", fd);
	t_res("setown group", fcntl(fd, F_SETOWN, -getpgrp()));
	ask("group", fd);
	t_res("setown ex", fcntl(fd, F_SETOWN_EX, &ex));
	ask("thread", fd);
	ex.type = F_OWNER_PGRP;
	ex.pid = getpgrp();
	t_res("setown ex group", fcntl(fd, F_SETOWN_EX, &ex));
	ask("group", fd);
	ex.type = 7;
	t_res("bad type", fcntl(fd, F_SETOWN_EX, &ex));
	t_res("bad address", fcntl(fd, F_SETOWN_EX, (void *)8));
	t_res("nobody's", fcntl(fd, F_SETOWN, 0x3ffffff0));
	t_res("setsig", fcntl(fd, F_SETSIG, RT));
	t_res("bad signal", fcntl(fd, F_SETSIG, 65));
	t_res("negative", fcntl(fd, F_SETSIG, -1));
	ask("signal", fd);
	v = getpid();
	t_res("FIOSETOWN", ioctl(fd, FIOSETOWN, &v));
	ask("process", fd);
	v = -getpgrp();
	t_res("SIOCSPGRP", ioctl(fd, SIOCSPGRP, &v));
	ask("group", fd);
	t_res("bad address", ioctl(fd, FIOSETOWN, (void *)8));
	v = 1;
	t_res("FIOASYNC", ioctl(fd, FIOASYNC, &v));
	ask("async", fd);
	t_res("setfl", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_ASYNC));
	ask("not async", fd);
	t_res("nobody", fcntl(fd, F_SETOWN, 0));
	t_res("no signal", fcntl(fd, F_SETSIG, 0));
	ask("nobody", fd);
	ask("another socket", other);
}

static void settings(void)
{
	int a, b, other = socket(AF_INET, SOCK_STREAM, 0);
	int fresh = socket(AF_INET, SOCK_STREAM, 0), l = t_listen(1, NULL);
	struct stat st;
	t_pair(&a, &b);
	set_all("fresh", fresh, other);
	set_all("listener", l, other);
	set_all("connected", a, other);
	set_all("accepted", b, a);
	fstat(a, &st);
	t_out("a socket %d", S_ISSOCK(st.st_mode));
	int copy = dup(a);
	fcntl(copy, F_SETOWN, getpid());
	ask("by a copy", a);
	close(copy);
	close(fresh);
	close(l);
	close(a);
	close(b);
	close(other);
}

/* ---- connections ---- */
static void connection(int sig)
{
	int a, b;
	char buf[64];
	block();
	t_pair(&a, &b);
	fcntl(b, F_SETOWN, getpid());
	fcntl(b, F_SETSIG, sig);
	send(a, "x", 1, 0);
	settle(a);
	expect("owner only, text", b, false);
	send(a, "y", 1, MSG_OOB);
	settle(a);
	expect("owner only, urgent", b, true);
	fcntl(b, F_SETFL, O_ASYNC);
	expect("switched on", b, false);
	send(a, "text", 4, 0);
	settle(a);
	expect("text", b, true);
	send(a, "z", 1, MSG_OOB);
	settle(a);
	expect("urgent", b, true);
	recv(b, buf, 64, MSG_DONTWAIT);
	recv(b, buf, 64, MSG_DONTWAIT);
	expect("reading", b, false);
	send(b, "back", 4, 0);
	settle(b);
	expect("writing", b, false);
	fcntl(b, F_SETFL, 0);
	send(a, "more", 4, 0);
	settle(a);
	expect("switched off", b, false);
	fcntl(b, F_SETFL, O_ASYNC);
	fcntl(b, F_SETOWN, 0);
	send(a, "more", 4, 0);
	settle(a);
	expect("nobody", b, false);
	fcntl(b, F_SETOWN, getpid());
	shutdown(a, SHUT_WR);
	t_until(b, POLLRDHUP);
	expect("end", b, true);
	t_reset(a);
	t_until(b, POLLHUP);
	expect("reset", b, true);
	close(b);
	expect("closed", b, false);
}

static void plain(void)
{
	connection(0);
}

static void realtime(void)
{
	connection(RT);
}

static void other_signal(void)
{
	connection(SIGUSR1);
}

static void hangup(void)
{
	int a, b;
	block();
	t_pair(&a, &b);
	own(b, RT);
	shutdown(b, SHUT_WR);
	t_until(a, POLLRDHUP);
	expect("own shutdown", b, false);
	shutdown(a, SHUT_WR);
	t_until(b, POLLHUP);
	expect("both ends", b, true);
	close(a);
	close(b);
	t_pair(&a, &b);
	own(b, 0);
	t_reset(a);
	t_until(b, POLLHUP);
	expect("reset", b, true);
	close(b);
	expect("closed", b, false);
}

static void room(void)
{
	int a, b;
	char buf[65536];
	block();
	t_pair(&a, &b);
	own(a, RT);
	expect("new", a, false);
	t_fill(a);
	drain(); /* room may have come up while it was filled */
	uint64_t end = t_now_ms() + 5000;
	while (!(t_poll(a, POLLOUT) & POLLOUT) && t_now_ms() < end)
		if (recv(b, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			t_sleep_ms(1);
	expect("room again", a, true);
	close(a);
	close(b);
}

static void connecting(void)
{
	struct sockaddr_in addr;
	int l = t_listen(4, &addr);
	block();
	for (int on = 0; on < 2; on++) {
		int a = socket(AF_INET, SOCK_STREAM | (on ? SOCK_NONBLOCK : 0), 0);
		own(a, RT);
		expect("unconnected", a, false);
		if (connect(a, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			t_out("connect %s", t_errname(errno));
		t_until(a, POLLOUT);
		expect("connected", a, true);
		ask("kept", a);
		int b = accept(l, NULL, NULL);
		ask("not inherited", b);
		send(b, "x", 1, 0);
		expect("text", a, true);
		close(a);
		close(b);
	}
	close(l);
	int a = socket(AF_INET, SOCK_STREAM, 0);
	own(a, 0);
	t_res("refused", connect(a, (struct sockaddr *)&addr, sizeof(addr)));
	expect("refused", a, true);
	ask("kept", a);
	close(a);
}

/* ---- listeners ---- */
static void listening(bool any, bool early)
{
	struct sockaddr_in addr = t_addr(0);
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM, 0), a, b;
	if (any)
		addr.sin_addr.s_addr = INADDR_ANY;
	if (early)
		own(l, RT);
	bind(l, (struct sockaddr *)&addr, sizeof(addr));
	listen(l, 4);
	if (!early)
		own(l, RT);
	getsockname(l, (struct sockaddr *)&addr, &len);
	addr.sin_addr = t_addr(0).sin_addr;
	expect("quiet", l, false);
	ask("listener", l);
	a = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(a, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		t_out("connect %s", t_errname(errno));
	expect("connection", l, true);
	b = accept(l, NULL, NULL);
	expect("accepted", l, false);
	fcntl(l, F_SETSIG, 0);
	close(a);
	a = socket(AF_INET, SOCK_STREAM, 0);
	connect(a, (struct sockaddr *)&addr, sizeof(addr));
	expect("another", l, true);
	close(a);
	close(b);
	close(l);
}

static void listeners(void)
{
	block();
	for (int i = 0; i < 4; i++)
		listening(i & 1, i & 2);
}

/* ---- handlers ---- */
static volatile sig_atomic_t n_urg, n_io, from_fd;
static volatile char urgent;
static int urgent_fd;

static void on_urg(int sig)
{
	char c = '-';
	n_urg++;
	if (recv(urgent_fd, &c, 1, MSG_OOB) == 1)
		urgent = c;
}

static void on_io(int sig, siginfo_t *info, void *context)
{
	n_io++;
	from_fd = info->si_fd;
}

static void *send_urgent(void *arg)
{
	int fd = ((int *)arg)[0];
	t_until_asleep(((int *)arg)[1]);
	send(fd, "!", 1, MSG_OOB);
	settle(fd);
	t_sleep_ms(20);
	send(fd, "text", 4, 0);
	return NULL;
}

/* The classic use: a reader sleeps, the handler takes the urgent byte. */
static void handler(void)
{
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = { .sa_handler = on_urg, .sa_flags = restart ? SA_RESTART : 0 };
		char buf[16] = { 0 };
		pthread_t t;
		sigset_t set;
		int a, b;
		t_pair(&a, &b);
		n_urg = 0;
		urgent = 0;
		urgent_fd = b;
		sigemptyset(&set);
		sigaddset(&set, SIGURG);
		/* The other thread must not take it. */
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		int arg[2] = { a, t_self() };
		pthread_create(&t, NULL, send_urgent, arg);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		sigaction(SIGURG, &sa, NULL);
		fcntl(b, F_SETOWN, getpid());
		ssize_t r = recv(b, buf, 16, 0);
		if (r < 0)
			t_out("recv %s", t_errname(errno));
		else
			t_out("recv %zd '%s'", r, buf);
		pthread_join(t, NULL);
		t_out("handlers %d, urgent '%c'", (int)n_urg, urgent);
		if (r < 0)
			t_res("recv again", recv(b, buf, 16, 0));
		close(a);
		close(b);
	}
	signal(SIGURG, SIG_DFL);
}

static void descriptor_of_a_handler(void)
{
	struct sigaction sa = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO };
	sigset_t set;
	int a, b;
	block();
	sigemptyset(&set);
	sigaddset(&set, RT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(RT, &sa, NULL);
	t_pair(&a, &b);
	n_io = 0;
	own(b, RT);
	send(a, "x", 1, 0);
	uint64_t end = t_now_ms() + 2000;
	while (!n_io && t_now_ms() < end)
		t_sleep_ms(1);
	t_out("called %d with its descriptor %d", n_io > 0, from_fd == b);
	close(a);
	close(b);
	signal(RT, SIG_DFL);
}

/* ---- who gets it ---- */
static void *other_thread(void *arg)
{
	struct f_owner_ex ex = { .type = F_OWNER_TID, .pid = (int)syscall(SYS_gettid) };
	int *fd = arg;
	fcntl(fd[0], F_SETOWN_EX, &ex);
	fcntl(fd[0], F_SETFL, O_ASYNC);
	fcntl(fd[0], F_SETSIG, RT);
	send(fd[1], "x", 1, 0);
	expect("the thread", fd[0], true);
	send(fd[1], "y", 1, MSG_OOB);
	expect("the thread, urgent", fd[0], true);
	return NULL;
}

static void thread(void)
{
	int fd[2];
	pthread_t t;
	block();
	t_pair(&fd[1], &fd[0]);
	pthread_create(&t, NULL, other_thread, fd);
	pthread_join(t, NULL);
	expect("main", fd[0], false);
	close(fd[0]);
	close(fd[1]);
}

/* The file is shared by parent and child, and so is its owner. */
static void forked(void)
{
	int a, b, go[2], status;
	char c;
	block();
	t_pair(&a, &b);
	own(b, RT);
	pipe(go);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		ask("child", b);
		read(go[0], &c, 1);
		expect("child, the parent's", b, false);
		fcntl(b, F_SETOWN, getpid());
		send(a, "x", 1, 0);
		expect("child, its own", b, true);
		close(b);
		_exit(0);
	}
	send(a, "x", 1, 0);
	expect("parent", b, true);
	write(go[1], "", 1);
	waitpid(child, &status, 0);
	expect("parent, the child's", b, false);
	t_out("owner is %s", owner_name(fcntl(b, F_GETOWN)));
	fcntl(b, F_SETOWN, getpid());
	send(a, "y", 1, 0);
	expect("parent again", b, true);
	close(a);
	close(b);
	close(go[0]);
	close(go[1]);
}

static void sleeper(int fd, int use_poll)
{
	char buf[8];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (use_poll)
		poll(&p, 1, -1);
	recv(fd, buf, 8, 0);
}

static void *wake(void *arg)
{
	t_until_asleep(((int *)arg)[1]);
	send(((int *)arg)[0], "x", 1, 0);
	return NULL;
}

/* Who sleeps in recv() is woken, not told; who sleeps in poll() is both. */
static void asleep(void)
{
	int a, b;
	block();
	t_pair(&a, &b);
	own(b, RT);
	for (int i = 0; i < 2; i++) {
		pthread_t t;
		int arg[2] = { a, t_self() };
		pthread_create(&t, NULL, wake, arg);
		sleeper(b, i);
		pthread_join(t, NULL);
		expect(i ? "polled" : "received", b, i);
	}
	close(a);
	close(b);
}

/* Two descriptors of one file: one signal, by the number that switched it on. */
static void copies(void)
{
	int a, b;
	block();
	t_pair(&a, &b);
	int c = dup(b);
	own(c, RT);
	send(a, "x", 1, 0);
	expect("by the copy", c, true);
	close(c);
	send(a, "x", 1, 0);
	expect("the copy is closed", c, true);
	fcntl(b, F_SETFL, 0);
	send(a, "x", 1, 0);
	expect("off", b, false);
	close(a);
	close(b);
}

/* Datagram sockets: before and after they are bound. */
static void datagrams(void)
{
	block();
	for (int early = 0; early < 2; early++) {
		struct sockaddr_in addr = t_addr(0);
		socklen_t len = sizeof(addr);
		int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
		char c;
		if (early)
			own(b, RT);
		bind(b, (struct sockaddr *)&addr, sizeof(addr));
		getsockname(b, (struct sockaddr *)&addr, &len);
		if (!early)
			own(b, RT);
		ask("datagram", b);
		connect(a, (struct sockaddr *)&addr, sizeof(addr));
		expect("quiet", b, false);
		send(a, "x", 1, 0);
		expect("datagram", b, true);
		t_res("recv", recv(b, &c, 1, 0));
		fcntl(b, F_SETSIG, 0);
		send(a, "x", 1, 0);
		expect("plain", b, true);
		fcntl(b, F_SETFL, 0);
		send(a, "x", 1, 0);
		expect("off", b, false);
		close(a);
		close(b);
	}
}

T_MAIN(T_CASE(settings), T_CASE(plain), T_CASE(realtime), T_CASE(other_signal), T_CASE(hangup),
       T_CASE(room), T_CASE(connecting), T_CASE(listeners), T_CASE(handler),
       T_CASE(descriptor_of_a_handler), T_CASE(thread), T_CASE(forked), T_CASE(asleep),
       T_CASE(copies), T_CASE(datagrams))
