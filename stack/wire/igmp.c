/* Parses and writes IGMP messages. */
// SPDX-License-Identifier: MIT
#include "stack/wire/igmp.h"
#include <errno.h>
#include <string.h>
#include "stack/base/be.h"
#include "stack/base/checksum.h"

enum { TENTH_MS = 100, CODE_FLOAT = 0x80 };

/* RFC 3376 4.1.1 and 4.1.7: from 128 on a code is a mantissa and an exponent. */
static uint32_t decode(uint8_t code)
{
	if (code < CODE_FLOAT)
		return code;
	return (uint32_t)((code & 0xf) | 0x10) << ((code >> 4 & 7) + 3);
}

static int parse_query3(struct igmp_msg *m, const uint8_t *b, uint32_t n)
{
	m->version = 3;
	m->max_resp_ms = decode(b[1]) * TENTH_MS;
	m->qrv = b[8] & 7;
	m->qqi_s = decode(b[9]);
	m->n_sources = load_be16(b + 10);
	m->sources = b + IGMP3_QUERY_MIN;
	return (n - IGMP3_QUERY_MIN) / 4 < m->n_sources ? -EINVAL : 0;
}

int igmp_parse(struct igmp_msg *m, const void *p, uint32_t n)
{
	const uint8_t *b = p;

	if (n < IGMP_MIN || csum_fold(csum_add(0, p, n)) != 0)
		return -EINVAL;
	struct igmp_msg r = { .type = b[0], .group = load_be32(b + 4) };
	if (r.type == IGMP_T_QUERY) {
		if (n >= IGMP3_QUERY_MIN) {
			if (parse_query3(&r, b, n) < 0)
				return -EINVAL;
		} else if (n > IGMP_MIN) {
			return -EINVAL;
		} else {
			r.version = b[1] ? 2 : 1;
			r.max_resp_ms = b[1] * (uint32_t)TENTH_MS;
		}
	}
	*m = r;
	return 0;
}

static void put_csum(uint8_t *b, uint32_t n)
{
	b[2] = b[3] = 0;
	uint16_t csum = csum_fold(csum_add(0, b, n));

	memcpy(b + 2, &csum, sizeof(csum));
}

uint32_t igmp_emit(uint8_t type, uint32_t group, void *p)
{
	uint8_t *b = p;

	b[0] = type;
	b[1] = 0;
	store_be32(b + 4, group);
	put_csum(b, IGMP_MIN);
	return IGMP_MIN;
}

uint32_t igmp_report_finish(struct gmp_report *r)
{
	uint32_t n = gmp_report_finish(r, IGMP_T_REPORT3);

	put_csum(r->p, n);
	return n;
}
