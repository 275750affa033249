/* The random tester's world: a table of slots that hold descriptors, what the tester knows about the
 * socket behind each, the dice, and the trace. Actions (act_*.c) draw from the dice, call, print. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/shim/t.h"

enum { SLOTS = 12, POOL_PORTS = 4, MAX_UNREAD = 40000 };

/* What a slot's descriptor leads to; a set of these is a filter for pick(). */
enum kind {
	K_STREAM = 1,	   /* TCP, not connected as far as the tester knows */
	K_CONNECTED = 2,   /* TCP, was connected once */
	K_LISTENER = 4,
	K_DGRAM = 8,
	K_EPOLL = 16,
	K_TCP = K_STREAM | K_CONNECTED | K_LISTENER,
	K_SOCKET = K_TCP | K_DGRAM,
	K_ANY = K_SOCKET | K_EPOLL,
};

/* One open file; dups share it. */
struct object {
	enum kind kind;
	int refs;
	struct object *peer;	  /* the other end, once known */
	uint16_t local, remote;	  /* ports of the connection, to find the peer */
	uint32_t tx, rx;	  /* positions in the two streams: byte p has the value pattern(p) */
	uint32_t gave_up_at;	  /* value of tx at which settle() stopped waiting for the peer to get it */
	bool peered;		  /* a datagram socket that has a peer */
	bool shut;		  /* shutdown() before it was connected, or of its reading side */
	bool loose;		  /* out-of-band bytes went through: contents aren't checked */
};

struct slot {
	int fd; /* -1: empty */
	struct object *o;
	char seen[96]; /* its line of the last state, to print changes only */
};

struct dice {
	uint64_t state;
};

struct world {
	struct slot slot[SLOTS];
	int anchor[2];		/* a connection that only settle() uses */
	int file, pipe[2];
	uint16_t pool[POOL_PORTS]; /* ports that bind() may ask for */
	bool nodelay;		/* profile: TCP_NODELAY on each connection */
	bool small_buffers;	/* SO_RCVBUF or SO_SNDBUF was set: little in flight from now on */
	bool udp, oob, six;	/* datagram sockets, out-of-band data, IPv6 sockets are wanted */
	bool native;		/* these use IPv6 in this seed, not IPv4 by mapped addresses */
	int base_fd;		/* lowest free number when the seed began */
};
extern struct world w;

/* ---- dice ---- */
uint64_t roll64(struct dice *d);
/* 0 .. n-1 */
uint32_t roll(struct dice *d, uint32_t n);
bool chance(struct dice *d, uint32_t percent);
#define ONE_OF(d, ...)                                                                             \
	((int[]){ __VA_ARGS__ }[roll(d, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))])

/* ---- trace ---- */
/* Adds to the step's line. */
void tr(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Adds " = value" or " = -1 ENAME" (of errno as it was at the call); returns value. */
long tr_res(long value);
/* The same for a descriptor: its number counted from the lowest free one at the seed's beginning. */
int tr_fd(int fd);
void tr_flush(void);

/* ---- slots ---- */
/* A slot of these kinds, or -1; looks on from a random one, so that a dropped step changes little. */
int pick(struct dice *d, int kinds);
/* The same, but now and then any slot, or SLOTS for a descriptor that is closed. */
int pick_wild(struct dice *d, int kinds);
int fd_of(int slot);
struct object *object_of(int slot);
const char *slot_name(int slot);
int empty_slot(struct dice *d);
/* Closes one or two when all slots are taken. */
void make_room(struct dice *d);
struct object *object_new(enum kind kind);
void put(int slot, int fd, struct object *o);
/* The slot that holds this number no longer does: closed, or taken over by dup2(). */
void forget(int slot);
void learn_connection(struct object *o, int fd);
void object_restart(struct object *o);

/* ---- waiting ---- */
/* Returns when nothing moves any more: see settle.c. */
void settle(void);
/* A part of it: what has been called for until now has had its effect in the engine. */
void settle_engine(void);
/* Prints the slots whose state changed since the last time. */
void tr_changes(void);
/* A call that may block: likely tells that it will not. A signal interrupts it. */
void guard_begin(bool likely);
/* The same for one that receives from fd, or sends: its own short timeout is nobody's to interrupt. */
void guard_recv(int fd, bool likely);
void guard_send(int fd, bool likely);
void guard_end(void);
int pipes_seen(void);
void world_begin(uint64_t seed, unsigned int turn);
void world_end(void);
void world_init(void);

/* ---- content ---- */
void fill_pattern(unsigned char *to, uint32_t pos, size_t n);
/* Names what arrived: "good", or where it is wrong. */
const char *check_pattern(const unsigned char *got, uint32_t pos, size_t n);

/* ---- actions ---- */
struct action {
	const char *name;
	int weight;
	void (*run)(struct dice *d);
};
extern const struct action conn_actions[], name_actions[], send_actions[], recv_actions[],
	fd_actions[], opt_actions[], ready_actions[], thread_actions[], dgram_actions[];
const char *port_name(uint16_t port);
/* a is of any family; what was cut off is 0. */
const char *addr_text(const void *a);
/* The family of a new socket: with "six" some are of IPv6 and speak it, or IPv4 by mapped addresses (RFC 4291
 * 2.5.5.2). */
int some_family(struct dice *d);
/* *a as the socket fd wants it: itself, or mapped (then *len is another). Valid until the next call. */
const struct sockaddr *addr_for(int fd, const struct sockaddr_in *a, socklen_t *len);
/* Makes a connected pair in two slots; false when there is no room. */
bool make_pair(struct dice *d);
