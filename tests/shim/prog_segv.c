/* The program's own SIGSEGV and SIGBUS beside sockets: its handlers, defaults and queries are what they
 * were, whatever a socket call does with bad pointers in between. */
// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "tests/shim/t.h"

extern char **environ;
static volatile char *none;
static int sock_a, sock_b;
static const char *self;

static void with_sockets(void)
{
	struct rlimit core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &core);
	none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t_pair(&sock_a, &sock_b);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
}

/* Runs f in a child, tells how it ended. */
static void in_child(const char *what, void (*f)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		f();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		t_out("%s: killed by %s", what, sigabbrev_np(WTERMSIG(status)));
	else
		t_out("%s: exit %d", what, WEXITSTATUS(status));
}

static void touch(void)
{
	*none = 1;
}
static void send_bad_then_touch(void)
{
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	touch();
}
static void raise_it(void)
{
	raise(SIGSEGV);
}
static void kill_it(void)
{
	kill(getpid(), SIGBUS);
	t_out("not reached");
}

static void default_kills(void)
{
	with_sockets();
	in_child("fault", touch);
	in_child("fault after a bad send", send_bad_then_touch);
	in_child("raise", raise_it);
	in_child("kill", kill_it);
}

static void ignore_and_touch(void)
{
	signal(SIGSEGV, SIG_IGN);
	send_bad_then_touch();
}
static void ignore_and_raise(void)
{
	signal(SIGSEGV, SIG_IGN);
	signal(SIGBUS, SIG_IGN);
	t_res("raise", raise(SIGSEGV));
	kill_it();
}
static void ignoring(void)
{
	with_sockets();
	in_child("fault", ignore_and_touch);
	in_child("messages", ignore_and_raise);
}

static volatile int runs, depth, deepest;
static volatile siginfo_t seen;
static sigjmp_buf out;
static volatile bool masked_usr1, masked_self, on_alt;
static char *alt;
enum { ALT = 65536 };

static void look(int sig, siginfo_t *info, void *context)
{
	sigset_t now;
	char here;

	runs++;
	if (info)
		memcpy((void *)&seen, info, sizeof(seen));
	sigprocmask(SIG_BLOCK, NULL, &now);
	masked_usr1 = sigismember(&now, SIGUSR1);
	masked_self = sigismember(&now, sig);
	on_alt = alt && &here >= alt && &here < alt + ALT;
	if (depth < deepest) {
		depth++;
		touch();
	}
}
static void look_and_jump(int sig, siginfo_t *info, void *context)
{
	look(sig, info, context);
	siglongjmp(out, 1);
}
static void plain(int sig)
{
	runs++;
	siglongjmp(out, 1);
}
static void told(const char *what)
{
	t_out("%s: ran %d, code %d, addr %s, USR1 %d, itself %d, alt stack %d", what, runs, seen.si_code,
	      seen.si_addr == (void *)none ? "right" : "other", masked_usr1, masked_self, on_alt);
	runs = 0;
	memset((void *)&seen, 0, sizeof(seen));
}

static void handlers(void)
{
	struct sigaction sa = { .sa_sigaction = look_and_jump, .sa_flags = SA_SIGINFO };

	with_sockets();
	sigaddset(&sa.sa_mask, SIGUSR1);
	t_res("sigaction", sigaction(SIGSEGV, &sa, NULL));
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	told("after the send");
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("after a fault");
	t_res("bad recv", recv(sock_b, (void *)none, 5, MSG_DONTWAIT));
	if (sigsetjmp(out, 1) == 0)
		raise(SIGSEGV);
	told("after a raise");
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGSEGV, &sa, NULL);
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("NODEFER");
	deepest = 3;
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("nested");
	deepest = depth = 0;
	alt = malloc(ALT);
	sigaltstack(&(stack_t){ .ss_sp = alt, .ss_size = ALT }, NULL);
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("alt stack not asked for");
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGSEGV, &sa, NULL);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("alt stack");
	signal(SIGSEGV, plain);
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("signal()");
}

static void returns(int sig, siginfo_t *info, void *context)
{
	runs++;
	mprotect((void *)none, 4096, PROT_READ | PROT_WRITE);
}

/* The usual way to fill pages on demand: the handler makes the page, the instruction is repeated. */
static void a_handler_that_repairs(void)
{
	struct sigaction sa = { .sa_sigaction = returns, .sa_flags = SA_SIGINFO };

	with_sockets();
	sigaction(SIGSEGV, &sa, NULL);
	*none = 7;
	t_out("page made %d, runs %d", *none, runs);
	mprotect((void *)none, 4096, PROT_NONE);
	t_res("the kernel does not ask it", send(sock_a, (void *)none, 1, 0));
	t_out("runs %d", runs);
}

static void once_then_dies(void)
{
	struct sigaction sa = { .sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESETHAND }, now;

	sigaction(SIGSEGV, &sa, NULL);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	sigaction(SIGSEGV, NULL, &now);
	t_out("still there %d flags %x", now.sa_sigaction == look, now.sa_flags & 0xf80000ff);
	raise(SIGSEGV);
	sigaction(SIGSEGV, NULL, &now);
	t_out("ran %d, default now %d flags %x", runs, now.sa_handler == SIG_DFL,
	      now.sa_flags & 0xf80000ff);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	touch();
}
static void one_shot(void)
{
	with_sockets();
	in_child("RESETHAND", once_then_dies);
}

static void ask(const char *what, int sig)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	t_out("%s: %s, flags %x, mask USR1 %d TERM %d", what,
	      now.sa_handler == SIG_DFL	    ? "default" :
	      now.sa_handler == SIG_IGN	    ? "ignored" :
	      now.sa_sigaction == look	    ? "look" :
	      now.sa_handler == plain	    ? "plain" :
					      "another",
	      now.sa_flags & 0xf80000ff, sigismember(&now.sa_mask, SIGUSR1),
	      sigismember(&now.sa_mask, SIGTERM));
}

static void queries(void)
{
	struct sigaction sa = { .sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART }, was;
	sighandler_t old;

	with_sockets();
	for (int i = 0; i < 2; i++) {
		int sig = i ? SIGBUS : SIGSEGV;

		ask("at first", sig);
		sigemptyset(&sa.sa_mask);
		sigaddset(&sa.sa_mask, SIGTERM);
		sa.sa_sigaction = look;
		sa.sa_flags = SA_SIGINFO | SA_RESTART;
		t_res("set", sigaction(sig, &sa, &was));
		t_out("was default %d flags %x", was.sa_handler == SIG_DFL, was.sa_flags & 0xf80000ff);
		ask("handler", sig);
		old = signal(sig, SIG_IGN);
		t_out("old one %d", old == (sighandler_t)(void *)look);
		ask("ignored", sig);
		old = signal(sig, plain);
		t_out("old one %d", old == SIG_IGN);
		ask("signal()", sig);
		sa.sa_handler = SIG_DFL;
		sa.sa_flags = SA_NODEFER | SA_ONSTACK | SA_RESETHAND;
		t_res("set", sigaction(sig, &sa, &was));
		t_out("was plain %d flags %x", was.sa_handler == plain, was.sa_flags & 0xf80000ff);
		ask("default", sig);
		t_res("and back", sigaction(sig, &was, NULL));
		ask("back", sig);
	}
	t_out("signal(ERR) %d %s", signal(SIGSEGV, SIG_ERR) == SIG_ERR, t_errname(errno));
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
}

/* Set before the first socket. */
static void already_there(void)
{
	struct sigaction sa = { .sa_sigaction = look_and_jump, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	signal(SIGBUS, SIG_IGN);
	with_sockets();
	ask("bus", SIGBUS);
	if (sigsetjmp(out, 1) == 0)
		touch();
	told("fault");
}

/* What a new program finds. */
static void show_inherited(void)
{
	ask("segv", SIGSEGV);
	ask("bus", SIGBUS);
}
static void exec_self(void)
{
	char *argv[] = { (char *)self, "show_inherited", NULL };

	execv("/nonexistent", argv);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	execv(self, argv);
}
static void spawn_self(void)
{
	char *argv[] = { (char *)self, "show_inherited", NULL };
	pid_t pid = 0;
	int status = 0, r;

	fflush(stdout);
	r = posix_spawn(&pid, self, NULL, NULL, argv, environ);
	waitpid(pid, &status, 0);
	t_out("spawn %d, status %d", r, status);
}
static void over_exec(void)
{
	with_sockets();
	in_child("default", exec_self);
	signal(SIGSEGV, SIG_IGN);
	signal(SIGBUS, plain);
	in_child("ignored and handled", exec_self);
	spawn_self();
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	ask("segv", SIGSEGV);
}

/* A fault in a handler that has interrupted a socket call is the program's. */
static void in_handler(int sig)
{
	touch();
}
static void alarm_then_fault(void)
{
	static char big[1 << 20];

	signal(SIGALRM, in_handler);
	alarm(1);
	for (;;)
		if (send(sock_a, big, sizeof(big), MSG_DONTWAIT) < 0)
			while (recv(sock_b, big, sizeof(big), MSG_DONTWAIT) > 0)
				;
}
static void a_fault_on_top_of_a_call(void)
{
	with_sockets();
	in_child("killed", alarm_then_fault);
}

/* Worker threads often block everything. */
static void *all_blocked(void *arg)
{
	sigset_t all, now, pending;

	sigfillset(&all);
	t_res("block", pthread_sigmask(SIG_BLOCK, &all, NULL));
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	t_res("bad recv", recv(sock_b, (void *)none, 5, MSG_DONTWAIT));
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	t_out("SEGV %d BUS %d USR1 %d", sigismember(&now, SIGSEGV), sigismember(&now, SIGBUS),
	      sigismember(&now, SIGUSR1));
	sigemptyset(&all);
	sigaddset(&all, SIGUSR1);
	t_res("set", sigprocmask(SIG_SETMASK, &all, &now));
	t_out("were SEGV %d BUS %d USR1 %d", sigismember(&now, SIGSEGV), sigismember(&now, SIGBUS),
	      sigismember(&now, SIGUSR1));
	sigaddset(&all, SIGSEGV);
	t_res("block one", pthread_sigmask(SIG_BLOCK, &all, &now));
	t_out("was SEGV %d", sigismember(&now, SIGSEGV));
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	runs = 0;
	pthread_kill(pthread_self(), SIGSEGV);
	sigpending(&pending);
	t_out("pending %d, ran %d", sigismember(&pending, SIGSEGV), runs);
	t_res("unblock", pthread_sigmask(SIG_UNBLOCK, &all, &now));
	t_out("was SEGV %d, ran %d, code %d", sigismember(&now, SIGSEGV), runs, seen.si_code);
	t_res("bad how", pthread_sigmask(77, &all, &now));
	t_res("bad how", sigprocmask(77, &all, &now));
	return NULL;
}

static void blocked_in_a_thread(void)
{
	struct sigaction sa = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	pthread_t t;

	with_sockets();
	sigaction(SIGSEGV, &sa, NULL);
	pthread_create(&t, NULL, all_blocked, NULL);
	pthread_join(t, NULL);
}

/* A fault that can't be delivered kills, handler or not; and the new program inherits what is blocked. */
static void blocked_then_touch(void)
{
	sigset_t all;

	signal(SIGSEGV, plain);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	send_bad_then_touch();
}
static void blocked_then_exec(void)
{
	sigset_t all;
	char *argv[] = { (char *)self, "show_mask", NULL };

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	execv("/nonexistent", argv);
	t_res("bad send", send(sock_a, (void *)none, 5, 0));
	execv(self, argv);
}
static void show_mask(void)
{
	sigset_t now;

	sigprocmask(SIG_BLOCK, NULL, &now);
	t_out("SEGV %d BUS %d USR1 %d", sigismember(&now, SIGSEGV), sigismember(&now, SIGBUS),
	      sigismember(&now, SIGUSR1));
}
static void blocked(void)
{
	with_sockets();
	in_child("fault", blocked_then_touch);
	in_child("exec", blocked_then_exec);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		T_CASE(default_kills), T_CASE(ignoring), T_CASE(handlers),
		T_CASE(a_handler_that_repairs), T_CASE(one_shot), T_CASE(queries),
		T_CASE(already_there), T_CASE(over_exec), T_CASE(a_fault_on_top_of_a_call),
		T_CASE(blocked_in_a_thread), T_CASE(blocked), T_CASE(show_inherited), T_CASE(show_mask),
	};

	self = argv[0];
	if (argc > 1)
		return t_run(cases, T_COUNT(cases), argc, argv);
	for (size_t i = 0; i < T_COUNT(cases); i++) { /* each in a process of its own */
		char *one[] = { argv[0], (char *)cases[i].name, NULL };
		pid_t pid = 0;

		posix_spawn(&pid, argv[0], NULL, NULL, one, environ);
		waitpid(pid, NULL, 0);
	}
	return 0;
}
