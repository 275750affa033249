/* One epoll set and more connections than an event queue has entries: what becomes ready while nobody looks
 * must all be reported afterwards. */
// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include "tests/shim/t.h"

enum { PAIRS = 1300, AT_ONCE = 100 };
static int client[PAIRS], server[PAIRS];
static bool seen[PAIRS];

static void raise_limit(void)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static int open_pairs(int ep, uint32_t events)
{
	struct sockaddr_in addr;
	int l = t_listen(AT_ONCE, &addr), n = 0;

	for (; n < PAIRS; n++) {
		client[n] = socket(AF_INET, SOCK_STREAM, 0);
		if (client[n] < 0 || connect(client[n], (struct sockaddr *)&addr, sizeof(addr)) < 0)
			break;
		server[n] = accept(l, NULL, NULL);
		if (server[n] < 0)
			break;
		struct epoll_event e = { .events = events, .data.u32 = (uint32_t)n };
		epoll_ctl(ep, EPOLL_CTL_ADD, server[n], &e);
	}
	close(l);
	return n;
}

static void close_pairs(int n)
{
	for (int i = 0; i < n; i++) {
		close(client[i]);
		close(server[i]);
	}
}

/* How many of them a set reports within a second of silence. Each is read once. */
static int reported(int ep)
{
	struct epoll_event ev[64];
	int n, sum = 0;
	char c;

	memset(seen, 0, sizeof(seen));
	while (sum < PAIRS && (n = t_epoll_wait(ep, ev, 64, 1000)) > 0) {
		for (int i = 0; i < n; i++) {
			uint32_t k = ev[i].data.u32;

			if (k >= PAIRS || !(ev[i].events & EPOLLIN) || seen[k])
				continue;
			seen[k] = true;
			sum += read(server[k], &c, 1) == 1;
		}
	}
	return sum;
}

static void run(uint32_t events)
{
	int ep = epoll_create1(0);

	raise_limit();
	int n = open_pairs(ep, events);
	t_out("%d connections", n);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < n; i++)
			send(client[i], "x", 1, 0);
		for (int i = 0; i < n; i++)
			t_until(server[i], POLLIN);
		t_out("round %d: %d are reported", round, reported(ep));
	}
	close_pairs(n);
	close(ep);
}

static void level_all_at_once(void)
{
	run(EPOLLIN);
}

static void edges_all_at_once(void)
{
	run(EPOLLIN | EPOLLET);
}

T_MAIN(T_CASE(level_all_at_once), T_CASE(edges_all_at_once))
