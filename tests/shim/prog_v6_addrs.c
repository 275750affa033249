/* The IPv6 addresses of the host as getifaddrs() has them: this run's is among them, once, and it can be
 * bound to. */
// SPDX-License-Identifier: MIT
#include <ifaddrs.h>
#include <net/if.h>
#include "tests/shim/six.h"

static void listed(void)
{
	struct sockaddr_in6 own = six_addr(0);
	struct ifaddrs *list;
	int mine = 0, named = 0, masked = 0, bad = 0;
	t_res("getifaddrs", getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)i->ifa_addr;
		if (!a || a->sin6_family != AF_INET6 || memcmp(&a->sin6_addr, &own.sin6_addr, 16))
			continue;
		mine++;
		named += if_nametoindex(i->ifa_name) != 0;
		masked += i->ifa_netmask && i->ifa_netmask->sa_family == AF_INET6;
		t_out("up %d scope %u", !!(i->ifa_flags & IFF_UP), a->sin6_scope_id);
		for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
			int fd = six_socket(type, -1);
			bad += bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0;
			close(fd);
		}
	}
	t_out("mine %d, named %d, with a mask %d; can't be bound %d", mine, named, masked, bad);
	freeifaddrs(list);
}

T_MAIN(T_CASE(listed))
