/* Writes reports about groups. */
// SPDX-License-Identifier: MIT
#include "stack/wire/gmp.h"
#include <string.h>

struct ipaddr gmp_addr(enum gmp_addr_len len, const uint8_t *p)
{
	struct ipaddr a;

	if (len == GMP_IP4)
		return ipaddr_v4(load_be32(p));
	memcpy(a.b, p, sizeof(a.b));
	return a;
}

static uint8_t *put_addr(const struct gmp_report *r, uint8_t *p, const struct ipaddr *a)
{
	memcpy(p, a->b + sizeof(a->b) - r->addr_len, r->addr_len);
	return p + r->addr_len;
}

void gmp_report_init(struct gmp_report *r, enum gmp_addr_len addr_len, void *p, uint32_t size)
{
	*r = (struct gmp_report){ .p = p, .size = size, .n = GMP_REPORT_HDR,
				  .addr_len = (uint8_t)addr_len };
}

uint32_t gmp_report_sources(const struct gmp_report *r)
{
	return (r->size - GMP_REPORT_HDR - GMP_RECORD_HDR) / r->addr_len - 1;
}

bool gmp_report_add(struct gmp_report *r, enum gmp_record type, const struct ipaddr *group,
		    const struct ipaddr *src, uint32_t n)
{
	uint32_t len = GMP_RECORD_HDR + r->addr_len * (1 + n);
	uint8_t *b = r->p + r->n;

	if (len > r->size - r->n)
		return false;
	b[0] = (uint8_t)type;
	b[1] = 0;
	store_be16(b + 2, (uint16_t)n);
	b = put_addr(r, b + GMP_RECORD_HDR, group);
	for (uint32_t i = 0; i < n; i++)
		b = put_addr(r, b, &src[i]);
	r->n += len;
	r->n_records++;
	return true;
}

uint32_t gmp_report_finish(struct gmp_report *r, uint8_t type)
{
	memset(r->p, 0, GMP_REPORT_HDR);
	r->p[0] = type;
	store_be16(r->p + 6, r->n_records);
	return r->n;
}
