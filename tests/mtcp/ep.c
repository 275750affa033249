/* The common half of epserve and epload: see ep.h. */
// SPDX-License-Identifier: MIT
#include "tests/mtcp/ep.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t ep_stop;

void ep_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t ep_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint32_t number(const char *word)
{
	char *end;
	unsigned long v = strtoul(word, &end, 10);

	if (*end || end == word || v > 100000000) {
		errno = EINVAL;
		ep_die(word);
	}
	return (uint32_t)v;
}

struct ep_options ep_options(int argc, char **argv)
{
	struct ep_options o = { .threads = 1, .conns = 1, .requests = 1, .size = 64 };
	int c;

	o.addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7000) };
	while ((c = getopt(argc, argv, "f:a:p:n:c:k:r:s:m:w:e")) != -1) {
		switch (c) {
		case 'f': o.conf = optarg; break;
		case 'a': o.addr.sin_addr.s_addr = inet_addr(optarg); break;
		case 'p': o.addr.sin_port = htons((uint16_t)number(optarg)); break;
		case 'n': o.threads = (int)number(optarg); break;
		case 'c': o.conns = number(optarg); break;
		case 'k': o.at_once = number(optarg); break;
		case 'r': o.requests = number(optarg); break;
		case 's': o.size = number(optarg); break;
		case 'm': o.stop_after = number(optarg); break;
		case 'w': o.wait_for = optarg; break;
		case 'e': o.edge = true; break;
		default: exit(2);
		}
	}
	if (!o.at_once)
		o.at_once = o.conns;
	if (o.threads < 1 || o.threads > EP_THREADS || !o.size || o.size > EP_SIZE_MAX || !o.requests) {
		errno = EINVAL;
		ep_die("options");
	}
	return o;
}

static void on_stop(int sig) { ep_stop = 1; }

bool ep_run(const struct ep_options *o, void *(*body)(void *), void *args, size_t arg_size)
{
	pthread_t thread[EP_THREADS];
	struct mtcp_conf conf;
	bool good = true;

	if (mtcp_init(o->conf) < 0)
		ep_die("mtcp_init");
	mtcp_getconf(&conf);
	if (conf.num_cores < o->threads) {
		conf.num_cores = o->threads;
		mtcp_setconf(&conf);
	}
	mtcp_register_signal(SIGINT, on_stop);
	mtcp_register_signal(SIGTERM, on_stop);
	for (int i = 0; i < o->threads; i++)
		if (pthread_create(&thread[i], NULL, body, (char *)args + (size_t)i * arg_size) != 0)
			ep_die("pthread_create");
	for (int i = 0; i < o->threads; i++) {
		void *result;

		pthread_join(thread[i], &result);
		good &= result != NULL;
	}
	mtcp_destroy();
	return good;
}
