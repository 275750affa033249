/* Where a script runs: against the stack in this process on a clock of its own, or against the
 * kernel in real time. Times are nanoseconds since the script's start. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/packet.h"

enum { FRAMES = 512 };
struct frame { /* a packet that left */
	uint64_t time_ns;
	uint32_t len;
	uint8_t *b;
};

struct world_conf {
	const char *app;	  /* the program under test */
	const char *shim, *first; /* the stack's: libfastnet.so, what must be loaded before it */
	bool verbose;
};

struct world {
	const char *name;
	uint64_t tolerance_ns;
	uint64_t patience_ns; /* what returns at once may take on a slow machine */
	bool pushes_more;	/* PSH may be where the script has none */
	bool timers_coarsen;  /* they may be late by an eighth */
	/* The program stands ready and time is 0 when this returns. */
	void (*start)(const struct script *s, const struct world_conf *conf);
	uint64_t (*now_ns)(void);
	void (*until)(uint64_t t_ns);
	/* The oldest packet not yet taken, waiting for one until then. NULL: none. */
	struct frame *(*next)(uint64_t until_ns);
	void (*inject)(const uint8_t *p, uint32_t n);
	/* What is injected from now on waits for more, with which it is one burst. */
	void (*gather)(bool more);
	/* Hands over a call; until it has returned there is no other. */
	void (*call)(const struct call_req *q);
	/* Its answer, waited for until then; the time it came. False: it still blocks. */
	bool (*result)(struct call_rep *rep, uint64_t *at_ns, uint64_t until_ns);
	/* The end: asserts that nothing is left behind. */
	void (*stop)(void);
};
extern const struct world world_stack, world_kernel;

/* ---- frames.c: packets that wait to be looked at ---- */
void frames_put(uint64_t time_ns, const void *p, uint32_t n);
struct frame *frames_take(void); /* NULL: none; valid until the next is taken */

/* ---- program.c ---- */
struct program {
	int pid, chan; /* SEQPACKET socket to it */
	int stat;      /* its /proc file */
	bool busy;     /* a call is under way */
	bool answered; /* and its answer, not yet taken, is: */
	struct call_rep rep;
	uint64_t at_ns;
};
void program_start(struct program *p, const struct world_conf *conf, const char *preload,
		   const char *engine_socket);
void program_call(struct program *p, const struct call_req *q);
/* Takes the answer off the socket if it is there. */
bool program_poll(struct program *p, uint64_t now_ns);
/* The answer that was taken off, once. False: there is none. */
bool program_answer(struct program *p, struct call_rep *rep, uint64_t *at_ns);
bool program_sleeps(const struct program *p);
void program_end(struct program *p);

/* ---- attach.c: the stack world's side of the shim's unix socket ---- */
struct worker;
struct region;
void attach_start(struct worker *w, const struct region *engine, const char *path);
bool attach_poll(void); /* true: something was done */
void attach_end(void);	/* the program has gone: so do its clients */
bool attach_all_gone(void);
