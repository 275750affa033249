/* What the files of udp/ share: the table by local port, the one of memberships by group. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/pool.h"
#include "stack/udp/udp.h"

enum {
	UDP_BUCKETS = 4096,
	UDP_GROUP_BUCKETS = 256,
	UDP_GROUPS_MAX = 65536, /* memberships of all sockets of a data thread */
};

struct udp_table {
	struct list bucket[UDP_BUCKETS];      /* struct udp_sock, the one bound last first */
	struct list group[UDP_GROUP_BUCKETS]; /* struct udp_group */
	struct pool groups;
};

/* Sockets of one port share a bucket with few others: a thread's ports are those of one remainder, so the
 * low bits alone would leave most buckets empty. */
static inline struct list *udp_bucket(struct udp_env *env, uint16_t port)
{
	uint16_t h = (uint16_t)(port * 0x9e37u);

	return &env->table->bucket[h >> 4];
}

/* udp_group.c: ends all memberships of s. */
void udp_leave_all(struct udp_env *env, struct udp_sock *s);
/* Would s take a datagram to group from source that came in by ifindex? */
bool udp_wants_source(const struct udp_sock *s, const struct ipaddr *group,
		      const struct ipaddr *source, uint32_t ifindex);
