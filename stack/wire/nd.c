/* Parses and writes neighbour discovery messages. An option of length 0 ends it: the message is bad. */
// SPDX-License-Identifier: MIT
#include "stack/wire/nd.h"
#include <errno.h>
#include <string.h>
#include "stack/wire/icmp6.h"

enum {
	OPT_SLLA = 1, OPT_TLLA = 2, OPT_PREFIX = 3, OPT_MTU = 5, OPT_NONCE = 14,
	OPT_UNIT = 8, OPT_PREFIX_LEN = 32,
	NA_ROUTER = 0x80, NA_SOLICITED = 0x40, NA_OVERRIDE = 0x20,
	RA_MANAGED = 0x80, RA_OTHER = 0x40,
	PREFIX_ONLINK = 0x80, PREFIX_AUTO = 0x40,
};

static void parse_prefix(struct nd_msg *m, const uint8_t *o)
{
	struct nd_prefix *x = &m->prefix[m->n_prefixes];

	if (m->n_prefixes == ND_PREFIXES || o[2] > 128)
		return;
	*x = (struct nd_prefix){
		.plen = o[2],
		.onlink = o[3] & PREFIX_ONLINK,
		.autonomous = o[3] & PREFIX_AUTO,
		.valid_s = load_be32(o + 4),
		.preferred_s = load_be32(o + 8),
	};
	memcpy(&x->prefix, o + 16, sizeof(x->prefix));
	m->n_prefixes++;
}

/* One that is not Ethernet's, or no station's, counts as none. */
static void parse_link_addr(const uint8_t *o, uint32_t len, struct eth_addr *a, bool *has)
{
	struct eth_addr x;

	memcpy(&x, o + 2, sizeof(x));
	if (len != OPT_UNIT || eth_addr_is_zero(x) || eth_addr_is_multicast(x))
		return;
	*a = x;
	*has = true;
}

static void parse_option(struct nd_msg *m, const uint8_t *o, uint32_t len)
{
	switch (o[0]) {
	case OPT_SLLA:
		parse_link_addr(o, len, &m->slla, &m->has_slla);
		break;
	case OPT_TLLA:
		parse_link_addr(o, len, &m->tlla, &m->has_tlla);
		break;
	case OPT_PREFIX:
		if (len == OPT_PREFIX_LEN && m->type == ICMP6_T_ND_RA)
			parse_prefix(m, o);
		break;
	case OPT_MTU:
		if (len == OPT_UNIT)
			m->mtu = load_be32(o + 4);
		break;
	case OPT_NONCE:
		if (len == OPT_UNIT) {
			memcpy(m->nonce, o + 2, ND_NONCE_LEN);
			m->has_nonce = true;
		}
		break;
	default: /* RFC 4861 4.6: unknown options are ignored */
		break;
	}
}

static int parse_options(struct nd_msg *m, const uint8_t *o, uint32_t n)
{
	for (uint32_t i = 0; n && i < ND_OPTIONS_MAX; i++) {
		uint32_t len = n >= 2 ? o[1] * (uint32_t)OPT_UNIT : 0;

		if (len == 0 || len > n)
			return -EINVAL;
		parse_option(m, o, len);
		o += len;
		n -= len;
	}
	return 0;
}

/* The fixed part of the message; its length, 0: no such message, or bad. */
static uint32_t parse_fixed(struct nd_msg *m, const uint8_t *b, uint32_t n)
{
	static const uint8_t lens[] = { ND_RS_LEN, ND_RA_LEN, ND_NS_LEN, ND_NA_LEN, ND_REDIRECT_LEN };
	uint32_t len = icmp6_is_nd(b[0]) ? lens[b[0] - ICMP6_T_ND_RS] : 0;

	if (!len || n < len || b[1] != 0)
		return 0;
	m->type = b[0];
	if (m->type >= ICMP6_T_ND_NS)
		memcpy(&m->target, b + 8, sizeof(m->target));
	switch (m->type) {
	case ICMP6_T_ND_RA:
		m->hop_limit = b[4];
		m->managed = b[5] & RA_MANAGED;
		m->other = b[5] & RA_OTHER;
		m->preference = b[5] >> 3 & 3;
		m->router_lifetime_s = load_be16(b + 6);
		m->reachable_ms = load_be32(b + 8);
		m->retrans_ms = load_be32(b + 12);
		break;
	case ICMP6_T_ND_NA:
		m->router = b[4] & NA_ROUTER;
		m->solicited = b[4] & NA_SOLICITED;
		m->override = b[4] & NA_OVERRIDE;
		break;
	case ICMP6_T_ND_REDIRECT:
		memcpy(&m->dst, b + 24, sizeof(m->dst));
		break;
	}
	return len;
}

int nd_parse(struct nd_msg *m, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	memset(m, 0, sizeof(*m));
	uint32_t len = n >= ICMP6_HDR_LEN ? parse_fixed(m, b, n) : 0;
	if (!len || parse_options(m, b + len, n - len) < 0)
		return -EINVAL;
	/* RFC 4861 7.1.1, 7.1.2 */
	if ((m->type == ICMP6_T_ND_NS || m->type == ICMP6_T_ND_NA) && ipaddr_is_multicast(&m->target))
		return -EINVAL;
	return 0;
}

static uint8_t *put_option(uint8_t *b, uint8_t type, const void *six)
{
	b[0] = type;
	b[1] = 1;
	memcpy(b + 2, six, 6);
	return b + OPT_UNIT;
}

uint32_t nd_emit(const struct nd_msg *m, void *p)
{
	uint8_t *b = p, *o;

	memset(b, 0, ND_EMIT_MAX);
	b[0] = m->type;
	if (m->type == ICMP6_T_ND_NA)
		b[4] = (uint8_t)((m->router ? NA_ROUTER : 0) | (m->solicited ? NA_SOLICITED : 0) |
				 (m->override ? NA_OVERRIDE : 0));
	if (m->type != ICMP6_T_ND_RS)
		memcpy(b + 8, &m->target, sizeof(m->target));
	o = b + (m->type == ICMP6_T_ND_RS ? ND_RS_LEN : ND_NS_LEN);
	if (m->has_slla)
		o = put_option(o, OPT_SLLA, &m->slla);
	if (m->has_tlla)
		o = put_option(o, OPT_TLLA, &m->tlla);
	if (m->has_nonce)
		o = put_option(o, OPT_NONCE, m->nonce);
	return (uint32_t)(o - b);
}
