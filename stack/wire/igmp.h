/* IGMP messages (RFC 3376 4, RFC 2236 2, RFC 1112 appendix I) <-> structs in host order. Decides nothing: who
 * answers is net/. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/wire/gmp.h"

enum { IGMP_MIN = 8, IGMP3_QUERY_MIN = 12 };
enum igmp_type {
	IGMP_T_QUERY = 0x11,
	IGMP_T_REPORT1 = 0x12,
	IGMP_T_REPORT2 = 0x16,
	IGMP_T_LEAVE = 0x17,
	IGMP_T_REPORT3 = 0x22,
};

struct igmp_msg {
	uint8_t type;
	uint8_t version;	/* of a query, by RFC 3376 7.1 */
	uint8_t qrv;		/* version 3: the querier's robustness, 0: does not say */
	uint32_t max_resp_ms;	/* 0 in version 1 */
	uint32_t qqi_s;		/* version 3: the querier's interval, 0: does not say */
	uint32_t group;		/* 0: all */
	uint16_t n_sources;	/* version 3 */
	const uint8_t *sources; /* inside the packet: gmp_addr() */
};

/* Parses the message of n bytes at p, checksum included. 0, or -EINVAL: short, wrong sum, a query of no
 * version (RFC 3376 7.1: ignored), or one with more sources than bytes. Other types parse as 8 bytes. */
int igmp_parse(struct igmp_msg *m, const void *p, uint32_t n);
/* A message of versions 1 and 2: 8 bytes at p. */
uint32_t igmp_emit(uint8_t type, uint32_t group, void *p);
/* Header and checksum of a version 3 report; returns the length. */
uint32_t igmp_report_finish(struct gmp_report *r);
