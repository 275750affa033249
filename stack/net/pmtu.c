/* A small set-associative cache: who floods it with destinations only makes it forget. */
// SPDX-License-Identifier: MIT
#include "stack/net/pmtu.h"
#include "stack/base/util.h"
#include "stack/wire/ip6.h"

enum { WAYS = 4 };

static uint32_t first_way(uint32_t dst)
{
	return dst * 0x9e3779b1u >> 24 & (PMTU_SLOTS / WAYS - 1);
}

static bool is_live(const struct pmtu_slot *s, uint64_t now_ns)
{
	return s->dst && s->until_ns > now_ns;
}

void pmtu_set(struct pmtu *p, uint32_t dst, uint32_t mtu, uint64_t now_ns)
{
	struct pmtu_slot *set = &p->slot[first_way(dst) * WAYS], *use = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].dst == dst) {
			use = &set[i];
			break;
		}
		if (set[i].until_ns < use->until_ns)
			use = &set[i];
	}
	if (use->dst == dst && is_live(use, now_ns) && use->mtu <= mtu)
		return; /* RFC 1191 3: never raised by an error */
	*use = (struct pmtu_slot){
		.dst = dst,
		.mtu = (uint16_t)min_u32(max_u32(mtu, PMTU_MIN), UINT16_MAX),
		.locked = mtu < PMTU_MIN,
		.until_ns = now_ns + PMTU_EXPIRES_S * NSEC_PER_SEC,
	};
}

uint32_t pmtu_get(const struct pmtu *p, uint32_t dst, uint32_t mtu, bool *may_cut, uint64_t now_ns)
{
	const struct pmtu_slot *set = &p->slot[first_way(dst) * WAYS];

	*may_cut = false;
	for (int i = 0; i < WAYS; i++) {
		if (set[i].dst != dst || !is_live(&set[i], now_ns))
			continue;
		*may_cut = set[i].locked;
		return min_u32(mtu, set[i].mtu);
	}
	return mtu;
}

static uint32_t first_way6(const struct ipaddr *dst)
{
	return first_way(dst->w[0] ^ dst->w[1] * 3 ^ dst->w[2] * 5 ^ dst->w[3] * 7);
}

void pmtu_set6(struct pmtu *p, const struct ipaddr *dst, uint32_t mtu, uint64_t now_ns)
{
	struct pmtu6_slot *set = &p->slot6[first_way6(dst) * WAYS], *use = set;

	/* RFC 8201 4: a smaller one is no link of IPv6. */
	if (mtu < IP6_MTU_MIN)
		return;
	for (int i = 0; i < WAYS; i++) {
		if (ipaddr_eq(&set[i].dst, dst)) {
			use = &set[i];
			break;
		}
		if (set[i].until_ns < use->until_ns)
			use = &set[i];
	}
	if (ipaddr_eq(&use->dst, dst) && use->until_ns > now_ns && use->mtu <= mtu)
		return; /* never raised by an error */
	*use = (struct pmtu6_slot){
		.dst = *dst,
		.mtu = (uint16_t)min_u32(mtu, UINT16_MAX),
		.until_ns = now_ns + PMTU_EXPIRES_S * NSEC_PER_SEC,
	};
}

uint32_t pmtu_get6(const struct pmtu *p, const struct ipaddr *dst, uint32_t mtu, uint64_t now_ns)
{
	const struct pmtu6_slot *set = &p->slot6[first_way6(dst) * WAYS];

	for (int i = 0; i < WAYS; i++) {
		if (ipaddr_eq(&set[i].dst, dst) && set[i].until_ns > now_ns)
			return min_u32(mtu, set[i].mtu);
	}
	return mtu;
}
