/* See ip.h. */
// SPDX-License-Identifier: MIT
#include "tests/pkt/drill/ip.h"
#include <string.h>

enum { V4_LEN = 20, V6_LEN = 40, FRAG_LEN = 8, ICMP6 = 58, FRAGMENT = 44 };
bool ip_six;

/* RFC 1071, byte by byte. */
static uint32_t sum(const uint8_t *p, uint32_t n)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return s;
}
static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

void ip_addr6(uint32_t v4, uint8_t addr[16])
{
	static const uint8_t prefix[12] = {0xfd, 0x88};

	memcpy(addr, prefix, sizeof(prefix));
	put32(addr + 12, v4);
}

uint16_t ip_csum(enum pkt_proto proto, const uint8_t *b, uint32_t n)
{
	uint32_t len = n - ip_len(), s = sum(b + ip_len(), len);

	if (ip_six)
		s += sum(b + 8, 32) + len + (proto == PKT_ICMP ? (uint32_t)ICMP6 : (uint32_t)proto);
	else if (proto != PKT_ICMP)
		s += sum(b + 12, 8) + len + proto;
	return fold(s);
}

static void write4(const struct pkt *k, uint8_t *b, uint32_t n, uint32_t src, uint32_t dst)
{
	memset(b, 0, V4_LEN);
	b[0] = 0x45;
	b[1] = k->ecn;
	put16(b + 2, n);
	put16(b + 4, 0x4242);
	b[8] = k->ttl;
	b[9] = (uint8_t)k->proto;
	put32(b + 12, src);
	put32(b + 16, dst);
	put16(b + 10, fold(sum(b, V4_LEN)));
}

static void write6(const struct pkt *k, uint8_t *b, uint32_t n, uint32_t src, uint32_t dst)
{
	put32(b, 6u << 28 | (uint32_t)k->ecn << 20);
	put16(b + 4, n - V6_LEN);
	b[6] = k->proto == PKT_ICMP ? (uint8_t)ICMP6 : (uint8_t)k->proto;
	b[7] = k->ttl;
	ip_addr6(src, b + 8);
	ip_addr6(dst, b + 24);
}

void ip_write(const struct pkt *k, uint8_t *b, uint32_t n, bool from_us)
{
	uint32_t src = from_us ? DRILL_US : DRILL_PEER, dst = from_us ? DRILL_PEER : DRILL_US;

	if (ip_six)
		write6(k, b, n, src, dst);
	else
		write4(k, b, n, src, dst);
}

const char *ip_read(struct pkt *k, const uint8_t *b, uint32_t n)
{
	if (!ip_six) {
		if (n < V4_LEN || b[0] != 0x45 || get16(b + 2) != n || fold(sum(b, V4_LEN)) != 0)
			return "an IPv4 header";
		k->proto = b[9];
		k->tos = b[1];
		k->ttl = b[8];
		k->df = b[6] >> 6 & 1;
	} else {
		if (n < V6_LEN || b[0] >> 4 != 6 || get16(b + 4) != n - V6_LEN)
			return "an IPv6 header";
		k->proto = b[6] == ICMP6 ? PKT_ICMP : b[6];
		k->tos = (uint8_t)(get16(b) >> 4);
		k->ttl = b[7];
		k->df = 1; /* nobody cuts on the way */
	}
	k->ecn = k->tos & 3;
	return NULL;
}

/* Type and code of the one and of the other (RFC 7915 4.2, 5.2). */
static const struct {
	uint8_t type4, code4, type6, code6;
} icmp[] = {
	{3, 0, 1, 0}, {3, 1, 1, 3}, {3, 2, 4, 1}, {3, 3, 1, 4}, {3, 4, 2, 0}, {3, 13, 1, 1}, {11, 0, 3, 0},
	{8, 0, 128, 0}, {0, 0, 129, 0},
};

void ip_write_icmp(const struct pkt *k, uint8_t *p)
{
	p[0] = k->icmp_type;
	p[1] = k->icmp_code;
	put16(p + 6, k->mtu);
	for (size_t i = 0; ip_six && i < ARRAY_LEN(icmp); i++) {
		if (icmp[i].type4 != k->icmp_type || icmp[i].code4 != k->icmp_code)
			continue;
		p[0] = icmp[i].type6;
		p[1] = icmp[i].code6;
		put32(p + 4, k->mtu ? ip_mtu(k->mtu) : 0);
		return;
	}
	if (ip_six)
		script_fail(0, "ICMPv6 has no such message: the script is one of IPv4 only");
}

void ip_read_icmp(struct pkt *k, const uint8_t *p)
{
	k->icmp_type = p[0];
	k->icmp_code = p[1];
	k->mtu = get16(p + 6);
	for (size_t i = 0; ip_six && i < ARRAY_LEN(icmp); i++) {
		if (icmp[i].type6 != p[0] || icmp[i].code6 != p[1])
			continue;
		k->icmp_type = icmp[i].type4;
		k->icmp_code = icmp[i].code4;
		break;
	}
}

/* One header and the bytes [off, off + take) of what lies behind it. */
static uint32_t fragment(uint8_t *f, const uint8_t *b, uint32_t off, uint32_t take, bool more)
{
	uint32_t len = ip_len();

	memcpy(f, b, len);
	if (ip_six) { /* RFC 8200 4.5 */
		put16(f + 4, FRAG_LEN + take);
		f[6] = FRAGMENT;
		put32(f + len, (uint32_t)b[6] << 24 | off | more);
		put32(f + len + 4, 0x4242);
		len += FRAG_LEN;
	} else {
		put16(f + 2, len + take);
		put16(f + 6, off / 8 | (more ? 0x2000u : 0));
		put16(f + 10, 0);
		put16(f + 10, fold(sum(f, len)));
	}
	memcpy(f + len, b + ip_len() + off, take);
	return len + take;
}

void ip_fragments(uint32_t step, const uint8_t *b, uint32_t n, void (*give)(const uint8_t *p, uint32_t n))
{
	uint8_t f[PACKET_MAX + FRAG_LEN];
	uint32_t all = n - ip_len();

	for (uint32_t off = 0; off < all; off += step) {
		uint32_t take = min_u32(step, all - off);

		give(f, fragment(f, b, off, take, off + take < all));
	}
}
