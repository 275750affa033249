/* Any Ethernet frame as one line in the manner of tcpdump: logs, test failures, `fastnet trace`. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { SHOW_MAX = 512 }; /* a buffer this large holds every line uncut */

/* Writes the text of the n-byte frame at p into buf (size >= 1, always terminated) and returns its
 * length. Damaged frames are shown as far as they parse. */
int show_frame(const void *p, uint32_t n, char *buf, int size);
/* The same for a packet that starts with its IPv4 header. */
int show_ip4(const void *p, uint32_t n, char *buf, int size);
/* show6.c: appends an IPv6 packet. */
struct strbuf;
void show_ip6_to(struct strbuf *s, const uint8_t *p, uint32_t n);
