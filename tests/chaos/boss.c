/* The boss: starts servers and clients, disturbs them for the time given, lets them come to their end, and
 * tells what happened. Process 1 of its pid namespace, so whatever is left dies with it. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/chaos/chaos.h"

enum { STOPPED = 16, END_S = 40, WORST_MS = 2000 };
static pid_t servers[GROUPS], clients[CLIENTS];
static struct {
	pid_t pid;
	uint64_t until_ns;
} stopped[STOPPED];
static uint32_t kills, stops;

static pid_t start(const char *role, int number)
{
	char arg[16];
	const char *preload = getenv(*role == 's' ? "CHAOS_SERVER_PRELOAD" : "CHAOS_CLIENT_PRELOAD");
	const char *netns = getenv(*role == 's' ? "CHAOS_SERVER_NETNS" : "CHAOS_CLIENT_NETNS");
	pid_t pid = fork();

	if (pid) {
		if (*role == 's')
			atomic_store(&table->group_started_ns[number], now_ns());
		return pid;
	}
	int fd = netns ? open(netns, O_RDONLY | O_CLOEXEC) : -1;
	if (netns && (fd < 0 || setns(fd, CLONE_NEWNET) < 0)) {
		perror(netns);
		_exit(2);
	}
	if (preload && *preload)
		setenv("LD_PRELOAD", preload, 1);
	snprintf(arg, sizeof(arg), "%d", number);
	execl("/proc/self/exe", "chaos", role, arg, (char *)NULL);
	_exit(2);
}

/* ---- who has ended ---- */
static void ended(pid_t pid, int status)
{
	bool last = atomic_load(&table->stop);

	for (int i = 0; i < GROUPS; i++) {
		if (servers[i] == pid)
			servers[i] = atomic_load(&table->closed) ? 0 : start("server", i);
	}
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i] != pid)
			continue;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			error("client %d ended by signal %d", i, WTERMSIG(status));
		clients[i] = last ? 0 : start("client", i);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		error("process %d ended by signal %d", pid, WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) > 1)
		error("process %d ended with status %d", pid, WEXITSTATUS(status));
	for (int i = 0; i < SLOTS; i++) {
		int old = pid;

		atomic_compare_exchange_strong(&table->slot[i].pid, &old, 0);
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ended(pid, status);
	/* Those that somebody else has reaped. */
	for (int i = 0; i < SLOTS; i++) {
		int at = atomic_load(&table->slot[i].pid);

		if (at > 0 && kill(at, 0) < 0)
			atomic_compare_exchange_strong(&table->slot[i].pid, &at, 0);
	}
}

/* ---- disturbances ---- */
static struct slot *victim(void)
{
	for (int i = 0; i < 50; i++) {
		struct slot *s = &table->slot[dice(SLOTS)];

		if (atomic_load(&s->pid) > 0)
			return s;
	}
	return NULL;
}

static void kill_one(void)
{
	struct slot *s = victim();
	int pid = s ? atomic_load(&s->pid) : 0;

	if (pid <= 0)
		return;
	uint64_t now = now_ns();
	int group = atomic_load(&s->group);
	atomic_store(&table->killed_ns[s->id % IDS], now);
	atomic_store(&table->family_killed[s->root % IDS], true);
	if (group >= 0)
		atomic_store(&table->group_killed_ns[group], now);
	kill(pid, SIGKILL);
	kills++;
}

static void stop_one(void)
{
	struct slot *s = victim();
	int pid = s ? atomic_load(&s->pid) : 0;

	for (int i = 0; i < STOPPED && pid > 0; i++) {
		if (stopped[i].pid)
			continue;
		atomic_store(&table->was_stopped[s->id % IDS], true);
		stopped[i].pid = pid;
		stopped[i].until_ns = now_ns() + dice(600) * 1000000ull;
		kill(pid, SIGSTOP);
		stops++;
		return;
	}
}

static void wake(bool all)
{
	for (int i = 0; i < STOPPED; i++) {
		if (!stopped[i].pid || (!all && now_ns() < stopped[i].until_ns))
			continue;
		kill(stopped[i].pid, SIGCONT);
		stopped[i].pid = 0;
	}
}

static bool all_gone(const pid_t *pid, int n)
{
	reap();
	for (int i = 0; i < n; i++)
		if (pid[i])
			return false;
	return true;
}

static void finish(const char *what, const pid_t *pid, int n)
{
	uint64_t end = now_ns() + END_S * 1000000000ull;

	while (!all_gone(pid, n)) {
		wake(true);
		if (now_ns() > end) {
			error("%s do not come to an end", what);
			return;
		}
		usleep(5000);
	}
}

static void make_table(uint64_t seed, const char *addr)
{
	int fd = memfd_create("chaos", 0);

	if (fd < 0 || ftruncate(fd, sizeof(struct table)) < 0 || dup2(fd, TABLE_FD) < 0) {
		perror("chaos: memfd");
		exit(2);
	}
	close(fd);
	table_open();
	table->seed = seed;
	snprintf(table->addr, sizeof(table->addr), "%s", addr);
	dice_init(seed);
}

int boss(int argc, char **argv)
{
	if (argc < 3 || getpid() != 1) {
		fprintf(stderr, "usage: unshare --pid --fork chaos boss SEED SECONDS ADDRESS\n");
		return 2;
	}
	make_table(strtoull(argv[0], NULL, 10), argv[2]);
	uint64_t end = now_ns() + strtoull(argv[1], NULL, 10) * 1000000000ull;
	for (int i = 0; i < GROUPS; i++) {
		atomic_store(&table->group_killed_ns[i], now_ns()); /* not up yet */
		servers[i] = start("server", i);
	}
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = start("client", i);
	while (now_ns() < end) {
		usleep(1000 + dice(30000));
		reap();
		wake(false);
		if (dice(3))
			kill_one();
		else
			stop_one();
	}
	wake(true);
	atomic_store(&table->stop, true);
	finish("clients", clients, CLIENTS);
	atomic_store(&table->closed, true);
	finish("servers", servers, GROUPS);
	if (table->worst_ms > WORST_MS)
		error("a death was known only after %u ms", table->worst_ms);
	printf("seed %s: %u streams whole (%u MB), %u ended by a kill, %u refused by one; %u kills, "
	       "%u stops, %u processes, %u forks, %u execs; a death known after at most %u ms; "
	       "%u errors\n", argv[0], table->streams, table->bytes_kb / 1024, table->excused,
	       table->refused, kills, stops, table->next_id, table->forks, table->execs,
	       table->worst_ms, table->errors);
	return table->errors ? 1 : 0;
}
