/* RFC 1071 one's complement sums over bytes as they lie in memory.
 *
 * A partial sum is a uint32_t congruent, modulo 0xffff, to the sum of the 16-bit words *as loaded*
 * from the packet (no byte swap: RFC 1071 2(B) makes the sum independent of byte order). Start
 * with 0 or csum_pseudo(), pass it through any number of csum_add()/csum_copy(), finish with
 * csum_fold(). The folded value is already in network byte order; it is stored and compared raw:
 *
 *	h->csum.raw = 0;
 *	h->csum.raw = csum_fold(csum_add(csum_pseudo(&src, &dst, IP_PROTO_TCP, n), h, n));
 *	bool good = csum_fold(csum_add(csum_pseudo(&src, &dst, IP_PROTO_TCP, n), h, n)) == 0;
 */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "stack/base/ipaddr.h"

/* sum plus the n bytes at p (any alignment). n may be odd only in the last piece of a message. */
uint32_t csum_add(uint32_t sum, const void *p, size_t n);

/* Copies n bytes from src to dst (not overlapping) and returns sum plus those bytes: one pass over
 * the payload instead of two. */
uint32_t csum_copy(void *dst, const void *src, size_t n, uint32_t sum);

/* Adds two partial sums (end-around carry). */
static inline uint32_t csum_join(uint32_t a, uint32_t b)
{
	uint64_t s = (uint64_t)a + b;

	return (uint32_t)s + (uint32_t)(s >> 32);
}

/* The 16-bit sum without the final complement, in network byte order: what a port with checksum
 * offload wants to find in the checksum field (the pseudo header only). */
static inline uint16_t csum_fold_plain(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The complement of the 16-bit sum, in network byte order: to be stored raw in the checksum field.
 * Over a message that includes its checksum field it is 0 exactly when the checksum is right. */
static inline uint16_t csum_fold(uint32_t sum)
{
	return (uint16_t)~csum_fold_plain(sum);
}

/* The checksum over an IPv4 header of 20 bytes, as csum_fold() gives it. */
static inline uint16_t csum_ip4(const void *hdr)
{
	uint32_t word[5];
	uint64_t s;

	memcpy(word, hdr, sizeof(word));
	s = (uint64_t)word[0] + word[1] + word[2] + word[3] + word[4];
	return csum_fold(csum_join((uint32_t)s, (uint32_t)(s >> 32)));
}

/* sum plus the 32 bytes at p: a TCP header with timestamps. */
static inline uint32_t csum_32(uint32_t sum, const void *p)
{
	uint32_t word[8];

	memcpy(word, p, sizeof(word));
	uint64_t s = (uint64_t)sum + word[0] + word[1] + word[2] + word[3] + word[4] + word[5] + word[6] +
		     word[7];
	return csum_join((uint32_t)s, (uint32_t)(s >> 32));
}

/* Partial sum of the pseudo header: RFC 9293 3.1 and RFC 768 when both addresses are v4-mapped,
 * RFC 8200 8.1 otherwise. proto and len (upper-layer header and payload bytes) in host order. */
uint32_t csum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
		     uint32_t len);
