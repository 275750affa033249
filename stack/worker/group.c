/* Multicast groups that this worker's sockets join and leave: told to the table that all workers read. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include "stack/net/mcast.h"
#include "stack/worker/worker_int.h"

void host_group_changed(void *arg, const struct ipaddr *group, uint32_t ifindex)
{
	struct worker *w = arg;
	struct ipaddr src[MCAST_SOURCES];
	struct mcast_state s = { .include = true };

	if (!w->conf.groups || !ipaddr_is_v4(group))
		return;
	udp_group_state(&w->sock.udp, group, ifindex, &s.include, src, MCAST_SOURCES, &s.n);
	for (uint32_t i = 0; i < s.n; i++)
		s.src[i] = ipaddr_get_v4(&src[i]);
	if (mcast_set(w->conf.groups, w->conf.number, ipaddr_get_v4(group), ifindex, &s) < 0)
		STAT_INC(igmp_drop_full);
}
