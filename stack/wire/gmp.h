/* Reports about groups as version 3 of IGMP (RFC 3376 4.2) and version 2 of MLD (RFC 3810 5.2) have them: one
 * form, in which only the size of an address differs. Type and checksum are the protocol's. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum { GMP_REPORT_HDR = 8, GMP_RECORD_HDR = 4 /* and the group */ };
enum gmp_record { /* RFC 3376 4.2.12, RFC 3810 5.2.12 */
	GMP_IS_IN = 1, GMP_IS_EX, GMP_TO_IN, GMP_TO_EX, GMP_ALLOW, GMP_BLOCK,
};
enum gmp_addr_len { GMP_IP4 = 4, GMP_IP6 = 16 };

/* The address at p. */
struct ipaddr gmp_addr(enum gmp_addr_len len, const uint8_t *p);
/* A report grows record by record. */
struct gmp_report {
	uint8_t *p;	   /* memory of the caller */
	uint32_t size, n;  /* of it; written so far */
	uint16_t n_records;
	uint8_t addr_len;
};
void gmp_report_init(struct gmp_report *r, enum gmp_addr_len addr_len, void *p, uint32_t size);
/* Sources that fit into one record, if it is the only one. */
uint32_t gmp_report_sources(const struct gmp_report *r);
/* False: no room. */
bool gmp_report_add(struct gmp_report *r, enum gmp_record type, const struct ipaddr *group,
		    const struct ipaddr *src, uint32_t n);
/* The header, with a checksum of 0; returns the length. */
uint32_t gmp_report_finish(struct gmp_report *r, uint8_t type);
