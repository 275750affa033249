/* The chaos test: servers and clients in many processes that are killed, stopped, forked and replaced at
 * random, by a seed; every stream that nobody's death excuses has to arrive whole. One program in three
 * roles: the boss (never preloaded, process 1 of a pid namespace), servers and clients. What they
 * tell each other stands in a shared table. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	GROUPS = 8,	/* servers, each with workers of its own */
	CLIENTS = 8,
	SLOTS = 512,	/* processes alive at once */
	IDS = 1 << 18,	/* processes in all */
	PORT = 7000,	/* of group 0 */
	TABLE_FD = 200, /* in every process */
	CHAIN = 3,	/* server, worker, handler */
};

/* A process that may be killed. */
struct slot {
	_Atomic int pid;     /* 0: free */
	_Atomic uint32_t id; /* 1..IDS - 1, of this life */
	_Atomic uint32_t root; /* id of the server or client it descends from */
	_Atomic int group;   /* of a server's, -1: a client's */
};
struct table {
	uint64_t seed;
	char addr[64];
	_Atomic uint32_t next_id;
	_Atomic bool stop;	      /* finish what you are at, and end */
	_Atomic bool closed;	      /* servers: end */
	struct slot slot[SLOTS];
	_Atomic uint64_t killed_ns[IDS]; /* set before the signal is sent; 0: not */
	_Atomic bool family_killed[IDS]; /* by root: one of its processes was */
	_Atomic bool was_stopped[IDS];
	_Atomic uint64_t group_killed_ns[GROUPS];
	_Atomic uint64_t group_started_ns[GROUPS], group_listens_ns[GROUPS]; /* the last time */
	_Atomic uint32_t errors, streams, excused, refused, bytes_kb, forks, execs, worst_ms;
};
extern struct table *table;

/* First on every stream, client to server. */
struct header {
	uint64_t seed;
	uint32_t len;
	uint32_t root; /* of the client */
	uint32_t quits; /* it may end at any point: that is its plan */
};
/* The server's first answer: who serves. */
struct welcome {
	uint32_t chain[CHAIN];
};

/* ---- table.c ---- */
void table_open(void);
/* A slot for the calling process; its id. root 0: it is one. Ends the process when there is none. */
uint32_t table_join(uint32_t root, int group);
void table_leave(void);
extern uint32_t my_id, my_root;
/* The test has failed: a line to stderr, and counted. */
void error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ns(void);

/* ---- dice: one generator a process, from the seed and its id ---- */
void dice_init(uint64_t seed);
uint32_t dice(uint32_t n); /* 0..n-1 */

/* ---- streams: byte pos of the stream of `seed` ---- */
void stream_fill(uint8_t *p, uint64_t seed, uint64_t pos, size_t n);
bool stream_check(const uint8_t *p, uint64_t seed, uint64_t pos, size_t n);
enum { ECHO = 0x5a }; /* what comes back is xor this */

int boss(int argc, char **argv);
int server(int group);
int client(int number);
/* A client that goes on in a new image. */
int client_resume(char **argv);
