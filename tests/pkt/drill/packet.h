/* Packets <-> bytes, with a header reader and writer of the test's own, and how a packet is shown. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/script.h"

enum { PACKET_MAX = 66000 };
#define DRILL_US   0x0a580001u /* 10.88.0.1/24: the stack under test */
#define DRILL_PEER 0x0a580002u /* whom the script plays */

/* The packet of k, in numbers of the wire; payload bytes are those of the stream from position
 * pos on. From the peer to us. Returns its length. */
uint32_t packet_write(const struct pkt *k, uint64_t pos, uint8_t *b);
/* Cuts the packet at b into fragments of k->frag bytes and calls give() for each. */
void packet_give(const struct pkt *k, const uint8_t *b, uint32_t n,
		 void (*give)(const uint8_t *p, uint32_t n));
/* The packet at b, n bytes, from us. NULL, or what is wrong with it. k->data points into b. */
const char *packet_parse(struct pkt *k, const uint8_t *b, uint32_t n);
/* As a script would say it. */
const char *packet_show(const struct pkt *k, char *buf, size_t n);
