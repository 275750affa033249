/* An interface identifier is a keyed hash of what RFC 7217 5 lists; identifiers with a meaning (RFC 5453) are
 * passed over. */
// SPDX-License-Identifier: MIT
#include "stack/net/stable_addr.h"
#include <stdbool.h>
#include <string.h>

/* Subnet-router anycast, the Ethernet block of IANA, and subnet anycast (RFC 5453, RFC 2526). */
static bool is_reserved(uint64_t iid)
{
	bool anycast = iid >= 0xfdffffffffffff80 && iid <= 0xfdffffffffffffff;

	return iid == 0 || anycast || (iid & 0xffffffffff000000) == 0x02005efffe000000;
}

static struct ipaddr join(const struct ipaddr *prefix, uint64_t iid)
{
	struct ipaddr a = *prefix;

	store_be32(a.b + 8, (uint32_t)(iid >> 32));
	store_be32(a.b + 12, (uint32_t)iid);
	return a;
}

struct ipaddr stable_addr(const struct ipaddr *prefix, struct eth_addr mac, uint32_t attempt,
			  const struct siphash_key *secret)
{
	struct {
		uint64_t prefix;
		uint8_t mac[8];
		uint32_t attempt, again;
	} k = { .prefix = prefix->q[0], .attempt = attempt };
	uint64_t iid;

	memcpy(k.mac, mac.b, sizeof(mac.b));
	do {
		iid = siphash(secret, &k, sizeof(k));
		k.again++;
	} while (is_reserved(iid));
	return join(prefix, iid);
}

struct ipaddr temporary_addr(const struct ipaddr *prefix, struct rng *rng)
{
	uint64_t iid;

	do {
		iid = rng_u64(rng);
	} while (is_reserved(iid));
	return join(prefix, iid);
}
