/* Parses and writes MLD messages. */
// SPDX-License-Identifier: MIT
#include "stack/wire/mld.h"
#include <errno.h>
#include <string.h>
#include "stack/wire/icmp6.h"

/* RFC 3810 5.1.3 and 5.1.9: from a bound on a code is a mantissa and an exponent. */
static uint32_t decode16(uint16_t code)
{
	if (code < 0x8000)
		return code;
	return (uint32_t)((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
}

static uint32_t decode8(uint8_t code)
{
	if (code < 0x80)
		return code;
	return (uint32_t)((code & 0xf) | 0x10) << ((code >> 4 & 7) + 3);
}

int mld_parse_query(struct mld_query *q, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < MLD1_LEN || b[0] != ICMP6_T_MLD_QUERY || b[1] != 0)
		return -EINVAL;
	if (n > MLD1_LEN && n < MLD2_QUERY_MIN)
		return -EINVAL;
	struct mld_query r = { .version = n == MLD1_LEN ? 1 : 2 };
	memcpy(&r.group, b + 8, sizeof(r.group));
	if (!ipaddr_is_any(&r.group) && r.group.b[0] != 0xff)
		return -EINVAL;
	r.max_resp_ms = r.version == 1 ? load_be16(b + 4) : decode16(load_be16(b + 4));
	if (r.version == 2) {
		r.qrv = b[24] & 7;
		r.qqi_s = decode8(b[25]);
		r.n_sources = load_be16(b + 26);
		r.sources = b + MLD2_QUERY_MIN;
		if ((n - MLD2_QUERY_MIN) / GMP_IP6 < r.n_sources)
			return -EINVAL;
	}
	*q = r;
	return 0;
}

uint32_t mld_emit1(uint8_t type, const struct ipaddr *group, void *p)
{
	uint8_t *b = p;

	memset(b, 0, MLD1_LEN);
	b[0] = type;
	memcpy(b + 8, group, sizeof(*group));
	return MLD1_LEN;
}

bool mld_parse_report1(struct ipaddr *group, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < MLD1_LEN || b[0] != ICMP6_T_MLD_REPORT1)
		return false;
	*group = gmp_addr(GMP_IP6, b + 8);
	return true;
}
