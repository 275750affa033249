/* Shared by the files of sock_opt*: the shape of a row, the record, values in and out. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <sys/socket.h>
#include "shim/sock.h"
#include "shim/sock_opt.h"

enum opt_kind {
	OPT_NONE,    /* not here: the kernel is asked */
	OPT_BIT,     /* bit `arg` of opts.flags */
	OPT_FIELD8,  /* member of opts at offset `arg`, 0 = default */
	OPT_FIELD16,
	OPT_FIELD32,
	OPT_BOOL,    /* recorded as 0 or 1; bit `arg` of opts.flags, if any, says that it is 0 */
	OPT_INT,     /* recorded as given; `arg` likewise */
	OPT_FASTOPEN, /* the same, and a member of opts */
	OPT_CLASS,   /* like IPV6_TCLASS: without the ECN bits, -1 = 0; in a byte of opts, too */
	OPT_HOPS,    /* recorded as given, and in a byte of opts */
	OPT_NOTHING, /* accepted, has no effect and reads as `def` */
	OPT_WRITE,   /* accepted, has no effect, can't be read */
	OPT_READ,    /* sock_opt_get.c by name; can't be set */
	OPT_BUFFER,  /* SO_SNDBUF and SO_RCVBUF at offset `arg` of opts */
	OPT_BUF_LOCK,
	OPT_LOWAT,
	OPT_LINGER,
	OPT_TIMEOUT, /* struct timeval <-> milliseconds at offset `arg` of b */
	OPT_STAMP,   /* the four SO_TIMESTAMP*: one of them is on */
	OPT_STAMPING,
	OPT_PEEK_OFF,
	OPT_PACING,
	OPT_TXTIME,
	OPT_DEVICE,  /* SO_BINDTODEVICE and the like: "none" is what the stack has */
	OPT_OPTIONS, /* IP_OPTIONS and the like: of length 0 is what the stack has */
	OPT_QUICKACK,
	OPT_CONTROL, /* TCP_CONGESTION */
	OPT_DEFER,   /* TCP_DEFER_ACCEPT: seconds, rounded to retransmissions */
	OPT_LINGER2,
	OPT_CLAMP,   /* TCP_WINDOW_CLAMP */
	OPT_ADDRFORM,
	OPT_REPAIR,
	OPT_QUEUE_SEQ, /* of TCP_REPAIR */
	OPT_FO_KEY,  /* TCP_FASTOPEN_KEY: sock_opt_key.c */
	OPT_PREFER,  /* IPV6_ADDR_PREFERENCES: sock_opt_six.c */
};
enum opt_rule {
	OPT_ASK = 1 << 0,    /* a value outside min..max is the kernel's to judge (privilege, its version) */
	OPT_KERNEL = 1 << 1, /* a value other than the default can only be had from the kernel ... */
	OPT_SETTLED = 1 << 2, /* ... unless connected: then it makes no difference */
	OPT_SHORT = 1 << 3,  /* IPv6 level: a short value counts as 0 */
	OPT_BYTE = 1 << 4,   /* IP level: no value is EINVAL, not 0 */
	OPT_IDLE = 1 << 5,   /* EINVAL unless in state CLOSE */
	OPT_IDLE_LISTEN = 1 << 6, /* EINVAL unless in state CLOSE or LISTEN */
	OPT_OR_ZERO = 1 << 7, /* 0, the default, is good beside min..max */
	OPT_OR_MINUS = 1 << 8, /* -1 is good, too, and means the default */
	OPT_ALONE = 1 << 9,  /* an accepted connection doesn't inherit it */
	OPT_BEFORE_BIND = 1 << 10, /* EINVAL once bound */
	OPT_PLUS_1 = 1 << 11, /* a field that keeps value + 1, because 0 is not the default */
};
struct opt {
	uint8_t kind;
	uint16_t rule;
	uint32_t arg;
	int min, max;
	int def; /* reported while not set */
};
/* A row and where it was found; index: of the record. */
struct opt_at {
	const struct opt *o;
	int level, name;
	uint32_t index;
};

/* ---- sock_opt_table.c ---- */
/* False: no such row (a.o is NULL). */
bool opt_find(const struct sock *s, int level, int name, struct opt_at *at);
/* The row of record `index`; false: none there. */
bool opt_nth(uint32_t index, struct opt_at *at);
/* A level that sockets of this family have at all. */
bool opt_level_is_known(const struct sock *s, int level);

/* ---- sock_opt.c: the record of what the program has set ---- */
bool opt_is_set(const struct sock *s, uint32_t index);
int opt_recorded(const struct sock *s, uint32_t index, int otherwise);
void opt_record(struct sock *s, uint32_t index, int v);
void opt_forget(struct sock *s, uint32_t index);
/* For Linux in TCP_CLOSE; connected or about to be; in LISTEN. */
bool opt_is_idle(const struct sock *s);
/* Copies from or to the program: 0 or -EFAULT. */
int opt_take(void *to, const void *from, size_t n);
int opt_give(void *to, const void *from, size_t n);
/* The names of the stack's congestion controllers by opts.cc; NULL: no such. */
const char *opt_control_name(uint32_t cc);
enum { OPT_CONTROL_MAX = 16, OPT_CLAMP_MIN = 1152, OPT_RTO_MAX_S = 120 };

/* ---- sock_opt_key.c ---- */
int opt_set_fo_key(struct sock *s, const void *val, socklen_t len);
ssize_t opt_get_fo_key(struct sock *s, void *buf, size_t room);

/* ---- sock_opt_six.c: what is IPv6's own ---- */
int opt_set_prefer(struct sock *s, const struct opt_at *at, int v);
int opt_get_prefer(const struct sock *s, const struct opt_at *at);
/* The interface of the peer of a connection. */
int opt_came_in_by(const struct sock *s);
/* IPV6_PATHMTU of a path that takes so much; the length or -EINVAL. */
ssize_t opt_get_pathmtu(int mtu, void *buf, size_t room);

/* ---- sock_opt_ask.c: what would the kernel say? ---- */
/* setsockopt() on a kernel socket like s that is thrown away: 0 or -errno. */
int opt_ask_set(struct sock *s, int level, int name, const void *val, socklen_t len);
/* The same, of the kernel's own socket of this family: what nobody has set. */
int opt_ask_get(struct sock *s, int level, int name, void *val, socklen_t *len);
/* Only the kernel has this: SOCK_TO_KERNEL when s can still go there, -ENOPROTOOPT (counted) when not, or
 * the error that the kernel gives for it. */
int opt_kernel_only(struct sock *s, int level, int name, const void *val, socklen_t len);

/* ---- sock_opt_set.c, sock_opt_get.c ---- */
/* 0, -errno or SOCK_TO_KERNEL. len is not negative. */
int opt_set(struct sock *s, const struct opt_at *at, const void *val, socklen_t len);
/* The value into buf, at most room bytes as far as the row has a length of its own; its length or -errno. */
/* The time that n SYN-ACKs take. */
int opt_defer_seconds(int n);
enum { OPT_GET_MAX = 320 };
ssize_t opt_get(struct sock *s, const struct opt_at *at, void *buf, size_t room);
