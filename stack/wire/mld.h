/* MLD messages (RFC 3810 5, RFC 2710 3) <-> structs in host order. Decides nothing: who answers is net/. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/base/ipaddr.h"

enum { MLD1_LEN = 24, MLD2_QUERY_MIN = 28, MLD2_REPORT_HDR = 8, MLD2_RECORD_HDR = 20 };
enum mld_record { MLD_IS_EX = 2, MLD_TO_IN = 3, MLD_TO_EX = 4 }; /* RFC 3810 5.2.12 */

struct mld_query {
	uint8_t version;      /* by RFC 3810 8.1 */
	uint8_t qrv;	      /* version 2: the querier's robustness, 0: does not say */
	uint32_t max_resp_ms;
	uint32_t qqi_s;	      /* version 2: the querier's interval, 0: does not say */
	struct ipaddr group;  /* any: all */
};

/* Parses the query of n bytes at p. 0 or -EINVAL. Does not check the checksum. */
int mld_parse_query(struct mld_query *q, const void *p, uint32_t n);
/* A message of version 1, 24 bytes at p, without its checksum. */
uint32_t mld_emit1(uint8_t type, const struct ipaddr *group, void *p);
/* The header of a version 2 report of so many records (8 bytes), and one record without sources (20). */
uint32_t mld_emit_report(uint16_t n_records, void *p);
uint32_t mld_emit_record(enum mld_record type, const struct ipaddr *group, void *p);
