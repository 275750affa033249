/* What the kernel would make of option values: its settings, so that ours report the same. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sock;
/* Largest SO_SNDBUF or SO_RCVBUF as given, before it is doubled. */
int sock_buffer_max(int name);
/* IPv4 groups that a datagram socket may join. */
int sock_groups_max(void);
/* Sources of a membership in an IPv4 or (six) IPv6 group. */
int sock_sources_max(bool six);
/* net.core.somaxconn. */
int sock_backlog_max(void);
int sock_lowat_max(const struct sock *s);
/* The kernel keeps times in ticks, rounded up: one of them in ms. */
uint32_t sock_tick_ms(struct sock *s);
