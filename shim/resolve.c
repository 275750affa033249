/* What libc's getaddrinfo() can't know, because it asks the kernel behind the shim's back: which families the
 * host has (AI_ADDRCONFIG), and from where a destination would be reached, which decides the order of the
 * addresses of a name (RFC 6724 6). Where no address is the stack's its result is left as it is. */
// SPDX-License-Identifier: MIT
#include "shim/resolve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "shim/addr.h"
#include "shim/engine.h"
#include "shim/fdtab.h"
#include "shim/ifaddr.h"
#include "shim/libc.h"
#include "shim/route.h"

enum { SORT_MAX = 64, CONF_MAX = 8192, SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

/* One result: where it leads and from where. */
struct way {
	struct addrinfo *ai;
	struct endpoint to;
	struct ipaddr from;
	bool usable, ours;
};

/* ---- what the RFC says of addresses ---- */
/* RFC 6724 2.1, as glibc has it; the longest prefix first. */
static const struct policy {
	struct ipaddr prefix;
	uint8_t plen, precedence, label;
} policies[] = {
	{ { .b = { [15] = 1 } }, 128, 50, 0 },
	{ { .b = { [10] = 0xff, 0xff } }, 96, 10, 4 },
	{ { .b = { 0 } }, 96, 20, 3 },
	{ { .b = { 0x20, 0x01 } }, 32, 40, 7 },
	{ { .b = { 0x20, 0x02 } }, 16, 30, 2 },
	{ { .b = { 0xfe, 0xc0 } }, 10, 40, 5 },
	{ { .b = { 0xfc } }, 7, 40, 6 },
	{ { .b = { 0 } }, 0, 40, 1 },
};

static unsigned common_bits(const struct ipaddr *a, const struct ipaddr *b)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned x = a->b[i] ^ b->b[i];

		if (x)
			return 8 * i + (unsigned)__builtin_clz(x) - 24;
	}
	return 128;
}

static const struct policy *policy_of(const struct ipaddr *a)
{
	const struct policy *p = policies;

	while (common_bits(a, &p->prefix) < p->plen)
		p++;
	return p;
}

static unsigned scope_of(const struct ipaddr *a)
{
	if (ipaddr_is_v4(a)) /* RFC 6724 3.2 */
		return a->b[12] == 127 || (a->b[12] == 169 && a->b[13] == 254) ? SCOPE_LINK : SCOPE_GLOBAL;
	if (a->b[0] == 0xff)
		return a->b[1] & 0xf;
	if (ipaddr_is_link_local(a) || ipaddr_is_loopback(a))
		return SCOPE_LINK;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

static bool scopes_match(const struct way *w) { return scope_of(&w->to.addr) == scope_of(&w->from); }

static bool labels_match(const struct way *w)
{
	return policy_of(&w->to.addr)->label == policy_of(&w->from)->label;
}

/* More than 0: a comes before b (RFC 6724 6; rules 3, 4 and 7 are about what only the kernel knows). */
static int compare(const struct way *a, const struct way *b, bool own_table)
{
	if (a->usable != b->usable) /* rule 1 */
		return a->usable ? 1 : -1;
	if (own_table) /* the administrator's, which libc has gone by */
		return 0;
	if (a->usable && scopes_match(a) != scopes_match(b)) /* rule 2 */
		return scopes_match(a) ? 1 : -1;
	if (a->usable && labels_match(a) != labels_match(b)) /* rule 5 */
		return labels_match(a) ? 1 : -1;
	int by = policy_of(&a->to.addr)->precedence - policy_of(&b->to.addr)->precedence; /* rule 6 */
	if (!by)
		by = (int)scope_of(&b->to.addr) - (int)scope_of(&a->to.addr); /* rule 8 */
	if (!by && a->usable && !ipaddr_is_v4(&a->to.addr) && !ipaddr_is_v4(&b->to.addr)) /* rule 9 */
		by = (int)common_bits(&a->to.addr, &a->from) - (int)common_bits(&b->to.addr, &b->from);
	return by;
}

/* ---- from where ---- */
/* The stack's address that a destination on its interface would be reached from: as the engine chooses, but
 * for what changes with time (RFC 6724 5). */
static bool source_of(const struct chan_app *app, const struct chan_route *r, const struct ipaddr *to,
		      struct ipaddr *from)
{
	struct endpoint after = { .port = 0 };
	struct chan_route own;
	struct way best = { .usable = false };

	if (r->kind == CHAN_ROUTE_LOCAL) { /* ourselves */
		*from = *to;
		return true;
	}
	if (ipaddr_is_v4(to)) {
		uint32_t ip = route_interface_ip(app, r->ifindex);

		*from = ipaddr_v4(ip);
		return ip != 0;
	}
	while (route_next_own6(app, &after, &own)) {
		struct way w = { .to.addr = *to, .from = own.prefix, .usable = true };

		after = (struct endpoint){ .addr = own.prefix, .scope = own.ifindex };
		if (own.ifindex == r->ifindex && (!best.usable || compare(&w, &best, false) > 0))
			best = w;
	}
	*from = best.from;
	return best.usable;
}

/* What libc does: a datagram socket that is connected has an address. */
static bool kernel_source(const struct addrinfo *ai, struct ipaddr *from)
{
	struct sockaddr_storage ss;
	struct endpoint ep;
	socklen_t len = sizeof(ss);
	int fd = libc.socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	ok = libc.connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	     libc.getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
	     addr_parse(&ep, ss.ss_family, (struct sockaddr *)&ss, len, ADDR_BIND) == 0;
	libc.close(fd);
	if (ok)
		*from = ep.addr;
	return ok;
}

static bool way_of(const struct chan_app *app, struct addrinfo *ai, struct way *w)
{
	struct chan_route r;

	*w = (struct way){ .ai = ai };
	if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) || !ai->ai_addr ||
	    addr_parse(&w->to, (uint16_t)ai->ai_family, ai->ai_addr, ai->ai_addrlen, ADDR_CONNECT) < 0)
		return false;
	w->ours = route_find_to(app, &w->to, &r);
	w->usable = w->ours ? source_of(app, &r, &w->to.addr, &w->from) : kernel_source(ai, &w->from);
	return true;
}

/* ---- the order ---- */
/* gai.conf(5): are there lines of the administrator's own? */
static bool has_own_table(void)
{
	char text[CONF_MAX + 1];
	int fd = libc.open("/etc/gai.conf", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : libc.read(fd, text, CONF_MAX);

	if (fd >= 0)
		libc.close(fd);
	text[n > 0 ? n : 0] = 0;
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += strspn(line, " \t\n");
		if (strncmp(line, "precedence", 10) == 0 || strncmp(line, "label", 5) == 0)
			return true;
	}
	return false;
}

/* The canonical name stays with the first. */
static struct addrinfo *chained(struct way *w, unsigned n, char *canonname)
{
	for (unsigned i = 0; i < n; i++) {
		w[i].ai->ai_next = i + 1 < n ? w[i + 1].ai : NULL;
		w[i].ai->ai_canonname = NULL;
	}
	w[0].ai->ai_canonname = canonname;
	return w[0].ai;
}

static struct addrinfo *sorted(const struct chan_app *app, struct addrinfo *list)
{
	struct way way[SORT_MAX], w;
	bool any = false, own_table;
	unsigned n = 0;

	for (struct addrinfo *ai = list; ai; ai = ai->ai_next, n++) {
		if (n == SORT_MAX || !way_of(app, ai, &way[n]))
			return list;
		any |= way[n].ours;
	}
	if (!any || n < 2)
		return list;
	own_table = has_own_table();
	for (unsigned i = 1; i < n; i++) { /* stable: rule 10 */
		unsigned at = i;

		for (w = way[i]; at && compare(&w, &way[at - 1], own_table) > 0; at--)
			way[at] = way[at - 1];
		way[at] = w;
	}
	return chained(way, n, list->ai_canonname);
}

/* ---- AI_ADDRCONFIG ---- */
/* What libc would make of it if the kernel had the stack's addresses: one family that there is narrows the
 * search, none leaves it to libc, which has not seen any either. */
static void narrow(struct addrinfo *hints)
{
	struct ifaddrs *list;
	bool four = false, six = false;

	if (ifaddr_list(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct sockaddr *a = i->ifa_addr;

		if (a && a->sa_family == AF_INET)
			four |= ((const struct sockaddr_in *)a)->sin_addr.s_addr != htonl(INADDR_LOOPBACK);
		else if (a && a->sa_family == AF_INET6)
			six |= !IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	}
	freeifaddrs(list);
	if (hints->ai_family == AF_UNSPEC && four != six)
		hints->ai_family = four ? AF_INET : AF_INET6;
	if ((hints->ai_family == AF_UNSPEC && four) || (hints->ai_family == AF_INET && four) ||
	    (hints->ai_family == AF_INET6 && six))
		hints->ai_flags &= ~AI_ADDRCONFIG;
}

static bool is_number(const char *node)
{
	char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	struct in6_addr a;

	if (inet_pton(AF_INET, node, &a) == 1)
		return true;
	snprintf(copy, sizeof(copy), "%s", node);
	copy[strcspn(copy, "%")] = 0;
	return inet_pton(AF_INET6, copy, &a) == 1;
}

int resolve_addresses(const char *node, const char *service, const struct addrinfo *hints,
		      struct addrinfo **list)
{
	enum chan_reason no;
	bool plain = engine_config()->disabled || fdtab_bypass || !node || is_number(node);
	struct chan_app *app = plain ? NULL : engine_get(&no);
	struct addrinfo h = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG }; /* libc's for none */
	int r, saved;

	if (!app)
		return libc.getaddrinfo(node, service, hints, list);
	if (hints)
		h = *hints;
	if (h.ai_flags & AI_ADDRCONFIG)
		narrow(&h);
	r = libc.getaddrinfo(node, service, &h, list);
	saved = errno;
	if (r == 0)
		*list = sorted(app, *list);
	engine_put(app);
	errno = saved;
	return r;
}
