/* The lists inside option values: prefixes, addresses, numbers and ranges. */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/host/config.h"

/* Copies the item at *p (up to a comma, ';' or the end), advances behind it and its comma; a
 * trailing or doubled comma is an error. */
static bool next_item(const char **p, char *buf, size_t size)
{
	size_t n = strcspn(*p, ",;");

	if (n == 0 || n >= size)
		return false;
	memcpy(buf, *p, n);
	buf[n] = 0;
	*p += n;
	if (**p == ',') {
		++*p;
		return **p != 0 && **p != ',' && **p != ';';
	}
	return true;
}

/* An address that a station may have on a link. ::ffff:10.0.0.2 is another way to write one of IPv4. */
static bool parse_addr(const char *s, struct ipaddr *addr)
{
	uint32_t ip4;

	if (inet_pton(AF_INET, s, &ip4) == 1) {
		*addr = ipaddr_v4(be32_get((be32){ ip4 }));
		return ip4 != UINT32_MAX && !ipaddr_is_any(addr) && !ipaddr_is_multicast(addr) &&
		       !ipaddr_is_loopback(addr);
	}
	return inet_pton(AF_INET6, s, addr->b) == 1 && !ipaddr_is_v4(addr) && !ipaddr_is_any(addr) &&
	       !ipaddr_is_multicast(addr) && !ipaddr_is_loopback(addr);
}

bool config_next_gateway(const char **p, struct ipaddr *addr, char zone[static CONFIG_ZONE_MAX])
{
	char buf[64 + CONFIG_ZONE_MAX];

	*zone = 0;
	if (!next_item(p, buf, sizeof(buf)))
		return false;
	char *percent = strchr(buf, '%');
	if (!percent)
		return parse_addr(buf, addr);
	*percent++ = 0;
	if (!*percent || strlen(percent) >= CONFIG_ZONE_MAX)
		return false;
	strcpy(zone, percent);
	return parse_addr(buf, addr) && !ipaddr_is_v4(addr) && ipaddr_is_link_local(addr);
}

bool config_next_prefix(const char **p, struct ipaddr *addr, uint8_t *plen)
{
	char buf[64], *end;

	if (!next_item(p, buf, sizeof(buf)))
		return false;
	char *slash = strchr(buf, '/');
	if (!slash)
		return false;
	*slash++ = 0;
	if (!parse_addr(buf, addr) || *slash < '0' || *slash > '9')
		return false;
	unsigned long len = strtoul(slash, &end, 10), max = ipaddr_is_v4(addr) ? 32 : 128;
	if (*end || len > max)
		return false;
	*plen = (uint8_t)(len + 128 - max);
	return true;
}

bool config_next_range(const char **p, uint64_t *lo, uint64_t *hi)
{
	char buf[64], *end;

	if (!next_item(p, buf, sizeof(buf)) || buf[0] < '0' || buf[0] > '9')
		return false;
	errno = 0;
	*lo = *hi = strtoull(buf, &end, 10);
	if (*end == '-') {
		if (end[1] < '0' || end[1] > '9')
			return false;
		*hi = strtoull(end + 1, &end, 10);
	}
	return !*end && !errno && *lo <= *hi;
}

bool config_id_listed(const char *ids, uint32_t id)
{
	uint64_t lo, hi;

	if (!strcmp(ids, "all"))
		return true;
	if (!strcmp(ids, "root"))
		return id == 0;
	while (*ids && config_next_range(&ids, &lo, &hi)) {
		if (id >= lo && id <= hi)
			return true;
	}
	return false;
}
