/* The local ports, one table shared by the workers: who holds which (address, port), Linux's rules of
 * bind() and listen(), and the choice of ephemeral ports (RFC 6056). Guarded by one spinlock that bind,
 * listen, connect and their ends take; ports_get() and ports_put() of a port that stays held take none.
 * Pure: no clock, no DPDK. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum ports_proto { PORTS_TCP, PORTS_UDP };
enum { PORTS_EPHEMERAL_MIN = 32768, PORTS_EPHEMERAL_MAX = 60999 };
enum ports_flags {
	PORTS_REUSEADDR = 1 << 0,
	PORTS_REUSEPORT = 1 << 1,
	PORTS_V6ONLY = 1 << 2,
};

struct ports;
/* One reservation: of a bound socket, shared by reference with the connections accepted from it. */
struct port_hold;

struct ports_req {
	enum ports_proto proto;
	uint32_t flags;	       /* PORTS_ */
	uint32_t uid;	       /* SO_REUSEPORT shares among sockets of one user */
	uint32_t owner;	       /* the client, as both engines know it during an upgrade; 0: not known */
	struct endpoint local; /* port 0: choose one, with port % modulus == remainder unless modulus is 0 */
	uint16_t modulus, remainder;
	uint16_t lo, hi;       /* not below lo, not above hi; 0: no such bound (IP_LOCAL_PORT_RANGE) */
};

/* NULL: no memory. max: reservations of all sockets; seed: keys the choice of ephemeral ports. */
struct ports *ports_new(uint32_t max, uint64_t seed);
void ports_free(struct ports *p);

/* bind(): 0 and a hold with one reference, or -EADDRINUSE (also: no ephemeral port left),
 * -ENOBUFS. */
int ports_bind(struct ports *p, const struct ports_req *req, uint64_t now_ns,
	       struct port_hold **hold);
/* listen(): 0 or -EADDRINUSE when somebody listens on an overlapping address (SO_REUSEPORT of both
 * excepted). May be repeated. */
int ports_listen(struct ports *p, struct port_hold *h, uint64_t now_ns);
/* The listener is gone; connections accepted from it may still hold the port. */
void ports_unlisten(struct ports *p, struct port_hold *h);
/* connect() of a socket that has no port: chooses one for which usable(arg, port) is true (called
 * under the lock: 4-tuple free, flow comes to the right worker). Ports that only connections hold
 * are shared; bound ones are not touched. 0, -EADDRNOTAVAIL or -ENOBUFS. */
int ports_connect(struct ports *p, const struct ports_req *req, const struct endpoint *remote,
		  bool (*usable)(void *arg, uint16_t port), void *arg, uint64_t now_ns,
		  struct port_hold **hold);
/* SO_REUSEADDR, SO_REUSEPORT changed after bind(). */
void ports_set_flags(struct ports *p, struct port_hold *h, uint32_t flags);
/* connect() of a bound socket to any address: the local address is now known, the port stays. */
void ports_set_addr(struct ports *p, struct port_hold *h, const struct endpoint *local);

void ports_get(struct port_hold *h);
/* Gives up one reference. linger_until_ns > 0: the connection ends in TIME-WAIT, the port counts as
 * held (not listening) until then. */
void ports_put(struct ports *p, struct port_hold *h, uint64_t linger_until_ns);

struct endpoint ports_local(const struct port_hold *h);

/* While two engines share their addresses (worker/bridge.h) each tells the other one which ports it has:
 * one word a port, 0: not used. */
struct ports_view {
	_Atomic uint64_t word[2][65536]; /* by protocol */
};
/* Begins to tell in *mine, and to keep off the ports in *theirs unless they belong to the same client or
 * may be shared; NULL, NULL: no longer. */
void ports_share(struct ports *p, struct ports_view *mine, const struct ports_view *theirs,
		 uint64_t now_ns);
/* Forgets reservations whose TIME-WAIT is over, which otherwise wait for the next one to come by. */
void ports_sweep(struct ports *p, uint64_t now_ns);
bool ports_view_used(const struct ports_view *v, enum ports_proto proto, uint16_t port);
/* Does a socket listen there? */
bool ports_view_listens(const struct ports_view *v, uint16_t port);
/* Reservations alive, for tests and quotas. */
uint32_t ports_count(struct ports *p);
