/* Words for the tables of the tool: processes, addresses, interfaces, times. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include "stack/host/admin_int.h"
#include "stack/net/netif.h"
#include "stack/wire/nd.h"

const char *admin_process(uint32_t pid, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	FILE *f = pid ? fopen(path, "re") : NULL;
	if (!f || !fgets(buf, (int)size, f))
		snprintf(buf, size, "?");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n\t")] = 0;
	return buf;
}

const char *admin_addr(const struct ipaddr *a, char buf[static ADMIN_ADDR_MAX])
{
	bool v4 = ipaddr_is_v4(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, buf, INET6_ADDRSTRLEN);
}

const char *admin_ifname(uint32_t ifindex, char buf[static ADMIN_WORD_MAX])
{
	if (ifindex >= NETIF_IFINDEX_BASE || !if_indextoname(ifindex, buf))
		snprintf(buf, ADMIN_WORD_MAX, "fastnet%u", ifindex % 1000000);
	return buf;
}

const char *admin_endpoint(const struct endpoint *e, bool v6, bool v6only,
			   char buf[static ADMIN_ENDPOINT_MAX])
{
	char addr[INET6_ADDRSTRLEN], name[IF_NAMESIZE], port[8] = "*";
	bool zone = e->scope && ipaddr_has_zone(&e->addr);

	if (e->port)
		snprintf(port, sizeof(port), "%u", e->port);
	if (ipaddr_is_any(&e->addr)) {
		snprintf(buf, ADMIN_ENDPOINT_MAX, "%s:%s", !v6 ? "0.0.0.0" : v6only ? "[::]" : "*", port);
	} else if (!v6) {
		snprintf(buf, ADMIN_ENDPOINT_MAX, "%s:%s", admin_addr(&e->addr, addr), port);
	} else {
		/* an IPv4 peer of an IPv6 socket is one of ::ffff:0:0/96 */
		inet_ntop(AF_INET6, e->addr.b, addr, sizeof(addr));
		snprintf(buf, ADMIN_ENDPOINT_MAX, "[%s]%s%s:%s", addr, zone ? "%" : "",
			 zone ? admin_ifname(e->scope, name) : "", port);
	}
	return buf;
}

const char *admin_lifetime(uint32_t seconds, char buf[static ADMIN_WORD_MAX])
{
	if (seconds == ND_FOREVER)
		return "forever";
	snprintf(buf, ADMIN_WORD_MAX, "%u", seconds);
	return buf;
}
