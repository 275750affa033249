/* What routers on the way have said about the largest packet (RFC 1191), for transports without a
 * connection to remember it in. One per data thread. Pure. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum {
	PMTU_SLOTS = 1024,
	PMTU_MIN = 552,		/* less is not believed, as Linux's min_pmtu */
	PMTU_EXPIRES_S = 600,	/* RFC 1191 6.3; Linux's mtu_expires */
};

struct pmtu_slot {
	uint32_t dst; /* 0: free */
	uint16_t mtu;
	bool locked; /* the path takes less than PMTU_MIN: routers must cut */
	uint64_t until_ns;
};
/* The same for IPv6 (RFC 8201): not below IP6_MTU_MIN, and no router cuts. */
struct pmtu6_slot {
	struct ipaddr dst; /* any: free */
	uint64_t until_ns;
	uint16_t mtu;
};
struct pmtu {
	struct pmtu_slot slot[PMTU_SLOTS];
	struct pmtu6_slot slot6[PMTU_SLOTS];
};

/* The packets to dst may have mtu bytes; 0: a router that doesn't know RFC 1191. */
void pmtu_set(struct pmtu *p, uint32_t dst, uint32_t mtu, uint64_t now_ns);
/* The MTU of the way to dst, at most that of the interface. *may_cut: without "don't fragment". */
uint32_t pmtu_get(const struct pmtu *p, uint32_t dst, uint32_t mtu, bool *may_cut, uint64_t now_ns);
/* dst: as endpoint_key() has it. */
void pmtu_set6(struct pmtu *p, const struct ipaddr *dst, uint32_t mtu, uint64_t now_ns);
uint32_t pmtu_get6(const struct pmtu *p, const struct ipaddr *dst, uint32_t mtu, uint64_t now_ns);
