/* Every way to fork: by number, bare, as a daemon, twice, in a long line. The child shares what there is,
 * makes its own, and harms nobody. */
// SPDX-License-Identifier: MIT
#include <linux/sched.h>
#include <sched.h>
#include "tests/shim/t.h"

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
	int fd = t_connect_to(&f->addr);
	send(fd, "l", 1, 0);
	c = 0;
	t_read_all(fd, &c, 1);
	t_out("%s: it accepts and says %c", how, c ? c : '-');
	t_out("%s: it ends with %d", how, t_finish(pid));
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
	t_no_other_child();
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
	t_out("it ends with %d", t_finish(pid));
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
		int fd = t_connect_to(addr);
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
		/* The listener takes a handshake still, and resets it when it goes. */
		if (r != ECONNREFUSED)
			t_sleep_ms(1);
	} while (r != ECONNREFUSED && t_now_ms() < end);
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
	t_out("what became a daemon ends with %d", t_finish(pid));
	ask_three(&addr);
	refused(&addr);
	t_no_other_child();
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
	t_out("the one between ends with %d", t_finish(pid));
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
	t_out("they end with %d", t_finish(pid));
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
	t_out("it ends with %d", t_finish(pid));
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
	t_out("it ends with %d", t_finish(pid));
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
		good += t_finish(pid[i]) == 0;
	t_out("%d end well", good);
	close(b);
	t_res("the last reference is gone", read(a, &c, 1));
	close(a);
}

T_MAIN(T_CASE(ways), T_CASE(borrowed_memory), T_CASE(as_daemon), T_CASE(double_fork), T_CASE(long_line),
       T_CASE(handlers_use_sockets), T_CASE(buffered_in_both), T_CASE(many_children_at_once))
