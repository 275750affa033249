/* MLD messages (RFC 3810 5, RFC 2710 3) <-> structs in host order. Decides nothing: who answers is net/. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/wire/gmp.h"

enum { MLD1_LEN = 24, MLD2_QUERY_MIN = 28 };

struct mld_query {
	uint8_t version;      /* by RFC 3810 8.1 */
	uint8_t qrv;	      /* version 2: the querier's robustness, 0: does not say */
	uint32_t max_resp_ms;
	uint32_t qqi_s;	      /* version 2: the querier's interval, 0: does not say */
	struct ipaddr group;  /* any: all */
	uint16_t n_sources;   /* version 2 */
	const uint8_t *sources; /* inside the packet: gmp_addr() */
};

/* Parses the query of n bytes at p. 0 or -EINVAL. Does not check the checksum. */
int mld_parse_query(struct mld_query *q, const void *p, uint32_t n);
/* A message of version 1, 24 bytes at p, without its checksum. */
uint32_t mld_emit1(uint8_t type, const struct ipaddr *group, void *p);
/* The group of a report of version 1. False: it is none, or malformed. */
bool mld_parse_report1(struct ipaddr *group, const void *p, uint32_t n);
