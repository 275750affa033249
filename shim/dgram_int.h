/* Shared by the files dgram*.c: what a datagram socket has beside struct sock, and its two halves. Not for
 * other files. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/dgram.h"
#include "shim/engine.h"
#include "stack/chan/dgram.h"

/* sock.flags, beside enum sock_flags. SOCK_BOUND: the program has called bind(). SOCK_TWIN: the kernel's
 * half may have something to read. */
enum dgram_sock_flags {
	DGRAM_PORT_LOCK = 1 << 16,   /* bind() named the port: connect(AF_UNSPEC) keeps it */
	DGRAM_ONLY_STACK = 1 << 17,  /* bound to an address of the stack: the kernel has no port */
	DGRAM_KERNEL_CONN = 1 << 18, /* connected through the kernel: the stack's half is not looked at */
	DGRAM_NO_STACK = 1 << 19,    /* the engine would not: the kernel's half works alone */
	DGRAM_COUNTED = 1 << 20,     /* explain_stack() has been told */
	DGRAM_TURN = 1 << 21,	     /* the kernel's half is asked first now */
	DGRAM_SHARED = 1 << 22,	     /* other processes may have it: what this one knows may be old */
	DGRAM_DEVICE = 1 << 23,	     /* SO_BINDTODEVICE: an interface of the stack */
	DGRAM_KERNEL_PORT = 1 << 24, /* the kernel's half is known to have a port */
};

/* b->dg_flags: shared by all processes that have the socket. */
enum dgram_opt_flags {
	DGRAM_R_PKTINFO = 1 << 0, DGRAM_R_TTL = 1 << 1, DGRAM_R_TOS = 1 << 2,
	DGRAM_R_ORIGDST = 1 << 3, DGRAM_R_PKTINFO6 = 1 << 4, DGRAM_R_OVFL = 1 << 5,
	DGRAM_R_STAMP = 1 << 6, DGRAM_R_STAMPNS = 1 << 7, DGRAM_R_STAMP_NEW = 1 << 8,
	DGRAM_R_STAMPING = 1 << 9, DGRAM_R_STAMPING_NEW = 1 << 10,
	DGRAM_R_HOPLIMIT = 1 << 11, DGRAM_R_TCLASS = 1 << 12, DGRAM_R_ORIGDST6 = 1 << 13,
	DGRAM_R_PKTINFO6_OLD = 1 << 14, DGRAM_R_HOPLIMIT_OLD = 1 << 15, /* RFC 2292's */
	DGRAM_S_LOOP_OFF = 1 << 16, /* IP_MULTICAST_LOOP is off */
	DGRAM_S_NO_CHECK = 1 << 17, DGRAM_S_DONTROUTE = 1 << 18, DGRAM_S_CORK = 1 << 19,
	DGRAM_S_TTL_SET = 1 << 20, /* dg_send has IP_MULTICAST_TTL */
	DGRAM_S_ZEROCOPY = 1 << 21, DGRAM_S_DONTFRAG6 = 1 << 22,
	DGRAM_S_LOOP6_OFF = 1 << 23, DGRAM_S_HOPS6_SET = 1 << 24, /* as LOOP_OFF, TTL_SET */
	DGRAM_S_FLOWINFO = 1 << 25, /* IPV6_FLOWINFO_SEND: sin6_flowinfo counts */
	DGRAM_R_FLOWINFO = 1 << 26,
	DGRAM_R_PATHMTU = 1 << 27, /* that comes by itself, with no datagram */
	DGRAM_R_ANY = ((1 << 16) - 1) | DGRAM_R_FLOWINFO,
};

enum dgram_side { DGRAM_NOBODY, DGRAM_STACK, DGRAM_KERNEL };

/* What a destination is to a socket. */
struct dgram_way {
	enum dgram_side side;
	bool broadcast, group;
	bool has_route;
	struct chan_route route; /* with has_route */
};
/* A datagram on its way out. */
struct dgram_out {
	struct chan_dgram h;
	struct dgram_way way;
	struct chan_app *app;
	bool named;	 /* the program named the destination */
	bool six;	 /* it goes by IPv6 */
	bool later;	 /* a first piece of it has been accepted: errors are for others */
	bool only_check; /* it does not go yet */
	bool dontfrag;	 /* IPV6_DONTFRAG, or the control message */
};

enum { DGRAM_CORK_SIZE = 65536, DGRAM_HEADERS = 28 /* IPv4 and UDP */, DGRAM_HEADERS6 = 48 };
enum { DGRAM_GROUPS_MAX = 256, DGRAM_SOURCES_MAX = 64, DGRAM_LONG_MAX = 8 };
/* A membership: of a group, on the interface with this number, or else with this address, or else of
 * the route to the group. */
struct dgram_member {
	struct ipaddr group, source;
	uint32_t address; /* IPv4, host order */
	uint32_t ifindex;
};
/* What a membership option asks for; mode and sources: of a whole filter. */
struct dgram_filter {
	struct dgram_member m;
	uint32_t mode, n;
	struct ipaddr src[DGRAM_SOURCES_MAX];
};
/* A group joined through the stack. Linux counts memberships, and a source-specific one ends with its last
 * source. */
struct dgram_group {
	struct ipaddr group;
	uint32_t ifindex;
	uint32_t include; /* 1: only its sources, 0: all but these */
	uint32_t n, pad;
	struct ipaddr source[DGRAM_SOURCES_MAX];
};
/* Beside struct sock, this process' own. */
struct dgram {
	struct object obj;	/* only for the pool */
	_Atomic int hint_fd;	/* a number that was seen to be this socket's */
	_Atomic uint32_t cork_lock;
	_Atomic uint32_t cork_side; /* enum dgram_side: who holds the pending datagram */
	uint32_t cork_len;
	uint8_t *cork;		/* 64 KB, mapped with the first MSG_MORE */
	struct dgram_out cork_out;
	struct dgram_group *group; /* n_groups, under the socket's lock; NULL: none so far */
	uint32_t n_groups;
	_Atomic uint64_t stamp_ns; /* arrival of the last datagram received, for SIOCGSTAMP */
	/* Datagrams that were too long, for the error queue; those beyond are not told of. */
	_Atomic uint32_t long_lock, n_long;
	struct dgram_long {
		uint32_t mtu;
		struct endpoint to;
	} too_long[DGRAM_LONG_MAX];
	_Atomic bool path_told; /* IPV6_RECVPATHMTU: path is to be told, under long_lock */
	struct dgram_long path;
};

static inline bool dgram_flag(const struct sock *s, uint32_t opt)
{
	return atomic_load_explicit(&s->b->dg_flags, memory_order_relaxed) & opt;
}
static inline void dgram_set(struct sock *s, uint32_t on, uint32_t off)
{
	if (off)
		atomic_fetch_and(&s->flags, ~off);
	if (on)
		atomic_fetch_or(&s->flags, on);
}
/* The stack's half exists and its engine lives. */
static inline bool dgram_has_stack(const struct sock *s)
{
	return sock_is_attached(s) && likely(chan_alive(s->app));
}
static inline uint16_t dgram_stack_port(const struct sock *s)
{
	return dgram_has_stack(s) ? ((const volatile struct endpoint *)&s->a->local)->port : 0;
}
/* sin6_flowinfo of the peer's name. */
static inline uint32_t dgram_flowinfo(const struct sock *s)
{
	return dgram_flag(s, DGRAM_S_FLOWINFO) ? atomic_load(&s->b->dg_flowinfo) : 0;
}
/* Connected through the stack. */
static inline bool dgram_is_stack_conn(const struct sock *s)
{
	return dgram_has_stack(s) && !sock_has(s, DGRAM_KERNEL_CONN) &&
	       atomic_load_explicit(&s->a->state, memory_order_acquire) == CHAN_ST_CONNECTED;
}
/* Datagrams may come through the stack. */
static inline bool dgram_hears_stack(const struct sock *s)
{
	return dgram_has_stack(s) && !sock_has(s, DGRAM_KERNEL_CONN);
}

static inline bool dgram_has_groups(const struct sock *s)
{
	return dgram_has_stack(s) && s->dgram->n_groups;
}

/* ---- dgram.c ---- */
/* Gives s what a datagram socket has beside struct sock; false: no memory. */
bool dgram_add(struct sock *s);
/* Some number of it, -1: none. */
int dgram_fd(const struct sock *s);
/* The stack's half exists afterwards, with a port or without. Caller holds the lock. 0 or -errno. */
int dgram_attach(struct sock *s);
/* Gives what BIND or CONNECT has made to s. */
void dgram_adopt(struct sock *s, struct chan_app *app, const struct chan_rep *rep);
/* The opposite: the port is free when it returns, and the groups are left; options stay, and dgram_adopt()
 * joins the groups again. */
void dgram_drop(struct sock *s);
/* The kernel's half may be read from now on. */
void dgram_twin(struct sock *s);
/* The stack's half is in use: counted once. */
void dgram_count(struct sock *s);
/* Hands the socket over to the kernel for good. Caller holds the lock. SOCK_TO_KERNEL. */
int dgram_to_kernel(struct sock *s, enum chan_reason why);
/* Events of the kernel's half now, without waiting: poll() of one descriptor. */
uint32_t dgram_kernel_events(const struct sock *s, int fd, short events);

/* ---- dgram_opt.c ---- */
/* As bind() to an IPv6 address does: it is a socket of IPv6 alone now, and says so. */
void dgram_only_v6(struct sock *s, int fd);

/* ---- dgram_conn.c ---- */
/* Both halves have a port, as after bind(any, 0); an existing one is kept. 0 or -errno. */
int dgram_autobind(struct sock *s, int fd);
/* Does the stack serve the loopback addresses? */
static inline bool dgram_claims_loopback(const struct chan_app *app)
{
	return app->e->flags & CHAN_ENGINE_LOOPBACK;
}
/* Reserves ep in the engine. 0 or -errno; caller holds the lock, as for the next one. */
int dgram_stack_bind(struct sock *s, struct chan_app *app, const struct endpoint *ep);
/* port: local one, 0 = choose; to->port 0: takes the peer away. */
int dgram_stack_connect(struct sock *s, struct chan_app *app, uint16_t port,
			const struct endpoint *to);
/* The local port of the kernel's half, 0: none. */
uint16_t dgram_kernel_port(int fd);

/* As inet_autobind(), which comes before all that a call may find wrong: 0, -EAGAIN or SOCK_TO_KERNEL. */
int dgram_need_port(struct sock *s, int fd);
/* The kernel's half gets the port that the stack's has, or both get one. 0 or -errno. */
int dgram_kernel_ready(struct sock *s, int fd);

/* ---- dgram_route.c ---- */
/* The address of a peer, in our memory: an IPv6 socket takes IPv4 ones, too. 0 or -errno. */
int dgram_parse(const struct sock *s, struct endpoint *ep, const struct sockaddr *addr, socklen_t len);
/* The way of a datagram to *to, whose address becomes the real one when it is any ("this host"). src: wanted
 * source or any, ifindex: wanted interface or 0. */
void dgram_way(const struct sock *s, const struct chan_app *app, struct endpoint *to,
	       const struct ipaddr *src, uint32_t ifindex, struct dgram_way *way);
/* As connect() to an IPv6 group: IPV6_MULTICAST_IF says the interface when the address does not. 0, or
 * -EINVAL: a group of a link, and nobody says of which. */
int dgram_zone_of_group6(const struct sock *s, struct endpoint *to);
/* May it go? The stack's part of what ip_route_output() and its callers check: 0, -ENETUNREACH, -EACCES. */
int dgram_way_check(const struct sock *s, const struct dgram_way *way);
#define DGRAM_MCAST_KERNEL UINT32_MAX /* dg_mcast_if, dg_mcast_if6: an interface of the kernel */

/* ---- dgram_send.c, dgram_recv.c: msg and all it points to is ours, except the bytes and, receiving, the
 * control data; len: of the iovec ---- */
ssize_t dgram_send(struct sock *s, int fd, const struct msghdr *msg, size_t len, int flags);
/* What dgram_send() of so many bytes to the peer would say before it looks at them, having waited for room:
 * len or -errno. */
ssize_t dgram_may_send(struct sock *s, int fd, size_t len, int flags);
/* A pending datagram goes to the new peer, as Linux's goes where the flow of the last connect() does. */
void dgram_cork_turn(struct sock *s, const struct endpoint *to);
/* msg_name has room for a sockaddr_storage, or is NULL. */
ssize_t dgram_recv(struct sock *s, int fd, struct msghdr *msg, size_t len, int flags);
/* UDP_CORK has been taken away: what is pending goes. 0 or -errno. */
int dgram_uncork(struct sock *s);

/* ---- dgram_cmsg.c ---- */
/* What control messages of sendmsg() ask for, or the socket's defaults. */
struct dgram_ask {
	struct ipaddr src; /* any: choose */
	uint32_t ifindex;  /* 0: choose */
	uint16_t gso;
	int16_t ttl, tos, dontfrag; /* -1: not said */
	uint32_t flowinfo; /* host order; before: what it is without a message */
};
/* six: the destination is an IPv6 one. 0, -EINVAL, -EPERM. */
int dgram_cmsg_in(const struct sock *s, const struct msghdr *msg, bool six, struct dgram_ask *ask);
/* Writes what the socket wants to know about the datagram; msg_controllen and MSG_CTRUNC are set. */
void dgram_cmsg_out(const struct sock *s, struct msghdr *msg, const struct chan_dgram *h);
/* IPV6_PATHMTU: the message that comes alone. */
void dgram_cmsg_path(const struct sock *s, struct msghdr *msg, const struct endpoint *to, uint32_t mtu);
/* The same for a record of the error queue. */
void dgram_cmsg_error(const struct sock *s, struct msghdr *msg, const struct chan_dgram *h);

/* ---- dgram_mcast.c ---- */
/* A membership option of IPPROTO_IP or IPPROTO_IPV6. SOCK_TO_KERNEL: it concerns an interface of the
 * kernel. */
int dgram_mcast_set(struct sock *s, int level, int name, const void *val, socklen_t len);
/* IP_MULTICAST_IF: 0, -errno or SOCK_TO_KERNEL. */
int dgram_mcast_if(struct sock *s, int fd, const void *val, socklen_t len);
bool dgram_is_mcast_name(const struct sock *s, int level, int name);
/* IP_MSFILTER, MCAST_MSFILTER. */
int dgram_filter_get(struct sock *s, int level, int name, void *val, socklen_t *len);
/* More than Linux takes is the kernel's to refuse. */
bool dgram_too_many_sources(uint32_t n, bool six);

/* ---- dgram_mcast6.c: the forms of IPPROTO_IPV6 ---- */
bool dgram_is_mcast6_name(int name);
/* Into one form; false: malformed, or none of ours. */
bool dgram_decode6(int name, const void *val, socklen_t len, struct dgram_filter *f);
/* The group that getsockopt(MCAST_MSFILTER) asks about, and the sources that there is room for. */
bool dgram_question6(const void *val, socklen_t len, struct dgram_member *m, uint32_t *room);
/* IPV6_MULTICAST_IF: as dgram_mcast_if(). */
int dgram_mcast_if6(struct sock *s, int fd, const void *val, socklen_t len);

/* ---- dgram_group.c: under the socket's lock ---- */
/* Changes a membership of a socket that the engine has; source and interface are filled in. 0 or -errno. */
int dgram_group_call(struct sock *s, enum chan_mcast what, const struct dgram_member *m);
/* Up to DGRAM_SOURCES_MAX of its sources. CHAN_FILTER_ or -errno. */
int dgram_group_sources(struct sock *s, const struct dgram_member *m, struct ipaddr *src, uint32_t *n);
/* Joins again what a socket had joined that has just got another place in an engine. */
void dgram_rejoin(struct sock *s);
void dgram_groups_free(struct dgram *d);
/* The groups of another program's socket, n of them at p, are those of d. */
void dgram_groups_take(struct dgram *d, const void *p, uint32_t n);

/* ---- dgram_revive.c ---- */
/* Looks for a new engine and moves an orphan there. */
void dgram_revive_now(struct sock *s);
/* Sleeps until the kernel's half has something, a new engine has been found, or some time has passed:
 * 0, -EINTR, or -EAGAIN at the deadline. */
int dgram_rest_orphaned(struct sock *s, int fd, uint64_t deadline);
