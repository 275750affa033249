/* Every way to fork, from everywhere: by number, bare, as a daemon, out of threads and handlers, while other
 * threads are inside socket calls. The child shares what there is, makes its own, and harms nobody. */
// SPDX-License-Identifier: MIT
#include <linux/sched.h>
#include <sched.h>
#include <stdatomic.h>
#include "tests/shim/t.h"

static int finish(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Nothing that the program did not make itself. */
static void no_other_child(void)
{
	t_res("another child", waitpid(-1, NULL, WNOHANG));
}

static int connect_to(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		t_res("connect", -1);
	return fd;
}

/* What a child has to be able to do: 0, or which step failed. */
struct family {
	struct sockaddr_in addr;
	int listener, parent, child; /* a pair */
};

static int child_work(const struct family *f)
{
	char c = 0;
	int a, b, s;

	close(f->parent);
	if (read(f->child, &c, 1) != 1 || c != 'p' || send(f->child, "c", 1, 0) != 1)
		return 1;
	s = accept(f->listener, NULL, NULL);
	if (s < 0 || read(s, &c, 1) != 1 || send(s, &c, 1, 0) != 1)
		return 2;
	t_pair(&a, &b);
	if (send(a, "o", 1, 0) != 1 || t_read_all(b, &c, 1) != 1 || c != 'o')
		return 3;
	return 0;
}

static void family_new(struct family *f)
{
	f->listener = t_listen(8, &f->addr);
	t_pair(&f->parent, &f->child);
}

static void parent_work(const char *how, struct family *f, pid_t pid)
{
	char c = 0;

	close(f->child);
	send(f->parent, "p", 1, 0);
	t_read_all(f->parent, &c, 1);
	t_out("%s: the child says %c", how, c ? c : '-');
	int fd = connect_to(&f->addr);
	send(fd, "l", 1, 0);
	c = 0;
	t_read_all(fd, &c, 1);
	t_out("%s: it accepts and says %c", how, c ? c : '-');
	t_out("%s: it ends with %d", how, finish(pid));
	t_out("%s: and all is closed: %s", how, t_mask((uint32_t)t_until(f->parent, POLLRDHUP)));
	t_out("%s: and that too: %s", how, t_mask((uint32_t)t_until(fd, POLLRDHUP)));
	close(fd);
	close(f->parent);
	close(f->listener);
}

static pid_t by_fork(void) { return fork(); }
static pid_t by_bare_fork(void) { return _Fork(); }
static pid_t by_number(void) { return (pid_t)syscall(SYS_fork); }
static pid_t by_clone_number(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static pid_t by_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int in_clone(void *arg) { return child_work(arg); }

static void ways(void)
{
	static const struct {
		const char *name;
		pid_t (*fork)(void);
	} way[] = {
		{ "fork", by_fork },
		{ "_Fork", by_bare_fork },
		{ "fork by number", by_number },
		{ "clone by number", by_clone_number },
		{ "clone3", by_clone3 },
	};
	static char stack[1 << 16] __attribute__((aligned(16)));
	struct family f;

	for (size_t i = 0; i < T_COUNT(way); i++) {
		family_new(&f);
		pid_t pid = way[i].fork();
		if (pid == 0)
			_exit(child_work(&f));
		parent_work(way[i].name, &f, pid);
	}
	family_new(&f);
	pid_t pid = clone(in_clone, stack + sizeof(stack), SIGCHLD, &f);
	parent_work("clone", &f, pid);
	no_other_child();
}

/* A child that borrows the memory, and whose descriptors are its own. */
static int in_borrowed(void *arg)
{
	int *fd = arg;

	close(fd[0]);
	close(fd[1]);
	return 21;
}

static void borrowed_memory(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	int fd[2];
	char c = 0;

	t_pair(&fd[0], &fd[1]);
	pid_t pid = clone(in_borrowed, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, fd);
	t_out("it ends with %d", finish(pid));
	send(fd[0], "x", 1, 0);
	t_res("the parent's are open", t_read_all(fd[1], &c, 1));
	close(fd[0]);
	close(fd[1]);
}

/* ---- those that outlive their parent ---- */
static void serve(int listener)
{
	char c;

	for (int i = 0; i < 3; i++) {
		int s = accept(listener, NULL, NULL);

		while (read(s, &c, 1) == 1) {
			c = c == 's' ? (getsid(0) == getpid() ? 'S' : 'o') : c;
			send(s, &c, 1, 0);
		}
		close(s);
	}
}

static void ask_three(const struct sockaddr_in *addr)
{
	for (int i = 0; i < 3; i++) {
		int fd = connect_to(addr);
		char c = 0;

		send(fd, "s", 1, 0);
		t_read_all(fd, &c, 1);
		t_out("request %d: %c", i, c ? c : '-');
		shutdown(fd, SHUT_WR);
		t_res("its end", read(fd, &c, 1));
		close(fd);
	}
}

static void refused(const struct sockaddr_in *addr)
{
	int r = 0;
	uint64_t end = t_now_ms() + 1000;

	do {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
		close(fd);
		if (r == 0)
			t_sleep_ms(1);
	} while (r == 0 && t_now_ms() < end);
	t_out("nobody listens any more: %s", t_errname(r));
}

static void as_daemon(void)
{
	struct sockaddr_in addr;
	int l = t_listen(8, &addr);
	pid_t pid = fork();

	if (pid == 0) {
		if (daemon(1, 1) < 0)
			_exit(1);
		serve(l);
		_exit(0);
	}
	close(l);
	t_out("what became a daemon ends with %d", finish(pid));
	ask_three(&addr);
	refused(&addr);
	no_other_child();
}

static void double_fork(void)
{
	struct sockaddr_in addr;
	int l = t_listen(8, &addr), a, b;
	char c = 0;

	t_pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		if (setsid() < 0)
			_exit(1);
		if (fork() > 0)
			_exit(0);
		close(a);
		if (read(b, &c, 1) == 1)
			send(b, &c, 1, 0);
		close(b);
		serve(l);
		_exit(0);
	}
	close(l);
	close(b);
	t_out("the one between ends with %d", finish(pid));
	send(a, "g", 1, 0);
	t_res("the grandchild", t_read_all(a, &c, 1));
	t_res("its end", read(a, &c, 1));
	close(a);
	ask_three(&addr);
	refused(&addr);
}

static void long_line(void)
{
	enum { DEPTH = 12 };
	int a, b;
	char c = 0;

	t_pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		int depth = 0;

		close(b);
		while (depth < DEPTH && fork() == 0)
			depth++;
		c = (char)('a' + depth);
		send(a, &c, 1, 0);
		/* Leaves in order: the youngest first. */
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	close(a);
	int seen = 0;
	while (read(b, &c, 1) == 1)
		seen |= 1 << (c - 'a');
	t_out("generations %x", seen);
	t_out("they end with %d", finish(pid));
	close(b);
}

/* ---- handlers ---- */
static int in_handler = -1;
static void say(char c)
{
	if (in_handler >= 0)
		send(in_handler, &c, 1, 0);
}
static void prepare_1(void) { say('1'); }
static void parent_1(void) { say('2'); }
static void child_1(void) { say('3'); }
static void prepare_2(void) { say('4'); }
static void parent_2(void) { say('5'); }
static void child_2(void) { say('6'); }

static void handlers_use_sockets(void)
{
	int a, b;
	char got[16] = { 0 };

	pthread_atfork(prepare_1, parent_1, child_1); /* before this case's first socket */
	t_pair(&a, &b);
	pthread_atfork(prepare_2, parent_2, child_2);
	in_handler = a;
	int hold[2];
	if (pipe(hold) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0)
		_exit(write(hold[1], "x", 1) == 1 ? 0 : 1);
	t_out("it ends with %d", finish(pid));
	in_handler = -1;
	t_res("said in all", t_read_all(b, got, 6));
	/* Parent and child may overtake each other: each one's order counts. */
	t_out("prepare %.2s", got);
	t_out("parent in order %d", strchr(got, '2') < strchr(got, '5'));
	t_out("child in order %d", strchr(got, '3') < strchr(got, '6'));
	close(a);
	close(b);
	close(hold[0]);
	close(hold[1]);
}

static volatile int signal_fd = -1;
static volatile pid_t forked_by_handler;
static void on_signal(int sig)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(send(signal_fd, "h", 1, 0) == 1 ? 5 : 6);
	forked_by_handler = pid;
}

struct blocked {
	int fd, result, tid;
	char got[8];
};
static void *reads_one(void *arg)
{
	struct blocked *w = arg;

	w->tid = t_self();
	w->result = (int)recv(w->fd, w->got, 1, 0);
	return NULL;
}

/* The handler runs on top of a blocked recv(), and forks there. */
static void out_of_a_signal_handler(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct blocked w = { 0 };
	pthread_t thread;
	int a, b, c, d;
	char got = 0;

	t_pair(&a, &b);
	t_pair(&c, &d);
	signal_fd = c;
	sigaction(SIGUSR1, &sa, NULL);
	w.fd = a;
	pthread_create(&thread, NULL, reads_one, &w);
	while (!*(volatile int *)&w.tid)
		t_sleep_ms(1);
	t_until_asleep(w.tid);
	pthread_kill(thread, SIGUSR1);
	t_res("the handler's child", t_read_all(d, &got, 1));
	t_out("said %c", got ? got : '-');
	while (!forked_by_handler)
		t_sleep_ms(1);
	t_out("it ends with %d", finish(forked_by_handler));
	send(b, "r", 1, 0);
	pthread_join(thread, NULL);
	t_out("the call goes on: %d %.1s", w.result, w.got);
	signal(SIGUSR1, SIG_DFL);
	close(a);
	close(b);
	close(c);
	close(d);
}

/* ---- threads ---- */
struct inside {
	pthread_t thread;
	_Atomic int tid;
	int kind, fd, peer, result;
	struct sockaddr_in addr;
};
enum { IN_RECV, IN_ACCEPT, IN_POLL, IN_SELECT, IN_EPOLL, IN_SEND, KINDS };
static const char *const kind_name[KINDS] = { "recv", "accept", "poll", "select", "epoll", "send" };

static void *inside(void *arg)
{
	struct inside *w = arg;
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct epoll_event e;
	fd_set set;
	char c;

	atomic_store(&w->tid, t_self());
	switch (w->kind) {
	case IN_RECV:
		w->result = (int)recv(w->fd, &c, 1, 0);
		break;
	case IN_ACCEPT:
		w->result = accept(w->fd, NULL, NULL) >= 0;
		break;
	case IN_POLL:
		w->result = poll(&p, 1, -1);
		break;
	case IN_SELECT:
		FD_ZERO(&set);
		FD_SET(w->fd, &set);
		w->result = select(w->fd + 1, &set, NULL, NULL, NULL);
		break;
	case IN_EPOLL: {
		int ep = epoll_create1(0);

		t_epoll_add(ep, w->fd, EPOLLIN);
		w->result = epoll_wait(ep, &e, 1, -1);
		close(ep);
		break;
	}
	case IN_SEND:
		w->result = (int)send(w->fd, "z", 1, 0);
		break;
	}
	return NULL;
}

static void inside_begin(struct inside *w, int kind)
{
	*w = (struct inside){ .kind = kind, .result = -100 };
	if (kind == IN_ACCEPT)
		w->fd = t_listen(8, &w->addr);
	else
		t_pair(&w->fd, &w->peer);
	if (kind == IN_SEND)
		t_fill(w->fd);
	pthread_create(&w->thread, NULL, inside, w);
	while (!atomic_load(&w->tid))
		t_sleep_ms(1);
	t_until_asleep(atomic_load(&w->tid));
}

/* The child uses the very sockets that the parent's threads sleep on: it finds nothing, and does not hang. */
static int look_at_all(struct inside *w)
{
	char c;

	for (int i = 0; i < KINDS; i++) {
		if (i == IN_ACCEPT || i == IN_SEND)
			continue;
		if (recv(w[i].fd, &c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
			return 10 + i;
		if (t_poll(w[i].fd, POLLIN))
			return 20 + i;
	}
	if (t_poll(w[IN_ACCEPT].fd, POLLIN) || send(w[IN_SEND].fd, "q", 1, MSG_DONTWAIT) != -1)
		return 30;
	return 0;
}

static int wake_all(struct inside *w)
{
	static char junk[1 << 16];

	for (int i = 0; i < KINDS; i++) {
		if (i == IN_ACCEPT)
			close(connect_to(&w[i].addr));
		else if (i == IN_SEND)
			while (recv(w[i].peer, junk, sizeof(junk), MSG_DONTWAIT) > 0)
				t_sleep_ms(1);
		else
			send(w[i].peer, "w", 1, 0);
	}
	return 0;
}

/* woken_by: the child or the parent */
static void threads_inside_calls(const char *who, bool by_child)
{
	struct inside w[KINDS];

	for (int i = 0; i < KINDS; i++)
		inside_begin(&w[i], i);
	pid_t pid = fork();
	if (pid == 0)
		_exit(look_at_all(w) ?: by_child ? wake_all(w) : 0);
	t_out("the child ends with %d", finish(pid));
	if (!by_child)
		wake_all(w);
	for (int i = 0; i < KINDS; i++) {
		pthread_join(w[i].thread, NULL);
		t_out("woken by the %s: %s = %d", who, kind_name[i], w[i].result);
		close(w[i].fd);
		if (i != IN_ACCEPT)
			close(w[i].peer);
	}
}

static void child_wakes_the_parents_threads(void) { threads_inside_calls("child", true); }
static void child_looks_only(void) { threads_inside_calls("parent", false); }

/* A thread that is no more forked it: its child goes on. */
static void *forks_and_ends(void *arg)
{
	int *fd = arg;
	char c = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(read(fd[1], &c, 1) == 1 && send(fd[1], &c, 1, 0) == 1 ? 0 : 1);
	return (void *)(intptr_t)pid;
}

static void out_of_a_thread(void)
{
	int fd[2];
	pthread_t thread;
	void *pid;
	char c = 0;

	t_pair(&fd[0], &fd[1]);
	pthread_create(&thread, NULL, forks_and_ends, fd);
	pthread_join(thread, &pid);
	send(fd[0], "t", 1, 0);
	t_res("the thread's child", t_read_all(fd[0], &c, 1));
	t_out("it ends with %d", finish((pid_t)(intptr_t)pid));
	close(fd[0]);
	close(fd[1]);
}

static void *forks_often(void *arg)
{
	int *fd = arg;
	intptr_t bad = 0;

	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			char c = 0;
			int a, b;

			t_pair(&a, &b);
			_exit(send(a, "m", 1, 0) == 1 && t_read_all(b, &c, 1) == 1 &&
					      send(fd[0], "m", 1, 0) == 1 ?
				      0 :
				      1);
		}
		bad += finish(pid) != 0;
	}
	return (void *)bad;
}

static void threads_fork_at_once(void)
{
	enum { N = 4 };
	pthread_t thread[N];
	int fd[2], bad = 0;
	char got[8 * N];

	t_pair(&fd[0], &fd[1]);
	for (int i = 0; i < N; i++)
		pthread_create(&thread[i], NULL, forks_often, fd);
	for (int i = 0; i < N; i++) {
		void *r;

		pthread_join(thread[i], &r);
		bad += (int)(intptr_t)r;
	}
	t_out("children that failed: %d", bad);
	t_res("all have spoken", t_read_all(fd[1], got, sizeof(got)));
	close(fd[0]);
	close(fd[1]);
	no_other_child();
}

/* ---- the rest ---- */
static void buffered_in_both(void)
{
	int a, b;
	char got[32] = { 0 };

	t_pair(&a, &b);
	FILE *f = fdopen(a, "w");
	fprintf(f, "before;");
	pid_t pid = fork();
	if (pid == 0) {
		fprintf(f, "child;");
		fclose(f);
		_exit(0);
	}
	t_out("it ends with %d", finish(pid));
	fprintf(f, "parent;");
	fclose(f);
	t_res("what was buffered comes twice", t_read_all(b, got, sizeof(got) - 1));
	t_out("%s", got);
	close(b);
}

static void many_children_at_once(void)
{
	enum { N = 60 };
	pid_t pid[N];
	int a, b, good = 0;
	char c = 0, got[N];

	t_pair(&a, &b);
	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(read(b, &c, 1) == 1 && send(b, &c, 1, 0) == 1 ? 0 : 1);
	}
	for (int i = 0; i < N; i++)
		send(a, "n", 1, 0);
	t_res("all answer", t_read_all(a, got, N));
	for (int i = 0; i < N; i++)
		good += finish(pid[i]) == 0;
	t_out("%d end well", good);
	close(b);
	t_res("the last reference is gone", read(a, &c, 1));
	close(a);
}

T_MAIN(T_CASE(ways), T_CASE(borrowed_memory), T_CASE(as_daemon), T_CASE(double_fork), T_CASE(long_line),
       T_CASE(handlers_use_sockets), T_CASE(out_of_a_signal_handler),
       T_CASE(child_wakes_the_parents_threads), T_CASE(child_looks_only), T_CASE(out_of_a_thread),
       T_CASE(threads_fork_at_once), T_CASE(buffered_in_both), T_CASE(many_children_at_once))
