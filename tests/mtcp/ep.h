/* What the two programs of this folder share: the words of their command line, threads, bytes that tell
 * where they belong. */
// SPDX-License-Identifier: MIT
#pragma once
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <mtcp_api.h>
#include <mtcp_epoll.h>

enum { EP_THREADS = 16, EP_EVENTS = 256, EP_SIZE_MAX = 65536 };

struct ep_options {
	const char *conf;	/* -f: configuration file */
	struct sockaddr_in addr; /* -a, -p */
	int threads;		/* -n: contexts */
	uint32_t conns;		/* -c: connections of all threads */
	uint32_t at_once;	/* -k: of them open at the same time */
	uint32_t requests;	/* -r: on each connection */
	uint32_t size;		/* -s: bytes of a request, and of its answer */
	uint32_t stop_after;	/* -m: the server ends after so many requests, 0: by a signal */
	bool edge;		/* -e: MTCP_EPOLLET */
	const char *wait_for;	/* -w: the server is bound, and listens when this file is there */
};
struct ep_options ep_options(int argc, char **argv);
/* Set by SIGTERM and SIGINT. */
extern volatile sig_atomic_t ep_stop;
/* Initialises the library and runs `body` on a thread for each context; false: one has failed. */
bool ep_run(const struct ep_options *o, void *(*body)(void *), void *args, size_t arg_size);
_Noreturn void ep_die(const char *what);
uint64_t ep_now_ms(void);
/* The byte at position i of request n. */
static inline char ep_byte(uint32_t n, uint32_t i) { return (char)(n * 131 + i * 7 + (i >> 8)); }
