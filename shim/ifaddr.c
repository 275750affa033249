/* The addresses of the stack where programs ask for those of the host: getifaddrs() and the ioctls that name
 * IPv4 addresses. A program that binds to what it finds there (a name server, say) must find ours, too. */
// SPDX-License-Identifier: MIT
#include "shim/ifaddr.h"
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "shim/engine.h"
#include "shim/fdtab.h"
#include "shim/libc.h"
#include "shim/route.h"
#include "stack/chan/user.h"

enum { OWN_MAX = 16 };
struct own {
	uint32_t ip, mask, ifindex; /* host order */
	struct ipaddr six;	    /* an IPv6 address: the first two are not used */
	uint8_t plen;
	char name[IF_NAMESIZE];
};

static struct sockaddr_in address(uint32_t ip)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { be32_of(ip).raw } };
}

/* The kernel's name where it has the interface; a port of the engine alone has none. */
static void name_of(struct own *o)
{
	if (!if_indextoname(o->ifindex, o->name))
		snprintf(o->name, sizeof(o->name), "fastnet%u", o->ifindex % 1000000);
}

/* How many IPv6 addresses the stack has. */
static int own_list6(struct own *own)
{
	enum chan_reason no;
	struct chan_app *app = engine_config()->disabled || fdtab_bypass ? NULL : engine_get(&no);
	struct endpoint after = { .port = 0 };
	struct chan_route r;
	int n = 0;

	if (!app)
		return 0;
	for (; n < OWN_MAX && route_next_own6(app, &after, &r); n++) {
		after = (struct endpoint){ .addr = r.prefix, .scope = r.ifindex };
		own[n] = (struct own){ .six = r.prefix, .ifindex = r.ifindex,
				       .plen = route_plen6(app, &r) };
		name_of(&own[n]);
	}
	engine_put(app);
	return n;
}

/* How many IPv4 addresses. */
static int own_list(struct own *own)
{
	enum chan_reason no;
	struct chan_app *app = engine_config()->disabled || fdtab_bypass ? NULL : engine_get(&no);
	struct chan_route r;
	uint32_t after = 0;
	int n = 0;

	if (!app)
		return 0;
	for (; n < OWN_MAX && route_next_own(app, after, &r); n++) {
		after = ipaddr_get_v4(&r.prefix);
		own[n] = (struct own){ .ip = after, .mask = route_netmask(app, after, r.ifindex),
				       .ifindex = r.ifindex };
		name_of(&own[n]);
	}
	engine_put(app);
	return n;
}

/* ---- getifaddrs ---- */
/* What one entry takes beside strings and addresses. */
struct entry {
	struct ifaddrs ifa;
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr, mask, peer;
	char name[IF_NAMESIZE];
};

static bool is_six(const struct own *o) { return !ipaddr_is_any(&o->six); }

static struct sockaddr_in6 address6(const struct own *o)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
				  .sin6_scope_id = ipaddr_has_zone(&o->six) ? o->ifindex : 0 };

	memcpy(a.sin6_addr.s6_addr, o->six.b, 16);
	return a;
}

static struct sockaddr_in6 mask6(uint8_t plen)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };

	for (unsigned bit = 0; bit < plen; bit++)
		a.sin6_addr.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return a;
}

static size_t addr_size(const struct sockaddr *a)
{
	if (!a)
		return 0;
	if (a->sa_family == AF_PACKET) {
		size_t n = offsetof(struct sockaddr_ll, sll_addr) +
			   ((const struct sockaddr_ll *)a)->sll_halen;

		return n > sizeof(struct sockaddr_ll) ? n : sizeof(struct sockaddr_ll);
	}
	return a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* Of what the kernel's list has with an interface: only its counters. */
static size_t data_size(const struct ifaddrs *i)
{
	bool link = i->ifa_data && i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET;

	return link ? sizeof(struct rtnl_link_stats) : 0;
}

static size_t aligned(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* Copies n bytes to *to, if there is anything, and moves it on. NULL: nothing. */
static void *moved(char **to, const void *from, size_t n)
{
	void *at = *to;

	if (!from || n == 0)
		return NULL;
	memcpy(at, from, n);
	*to += aligned(n);
	return at;
}

static struct ifaddrs *copy_entry(const struct ifaddrs *i, char **to)
{
	struct ifaddrs *c = moved(to, i, sizeof(*i));

	c->ifa_name = moved(to, i->ifa_name, strlen(i->ifa_name) + 1);
	c->ifa_addr = moved(to, i->ifa_addr, addr_size(i->ifa_addr));
	c->ifa_netmask = moved(to, i->ifa_netmask, addr_size(i->ifa_netmask));
	c->ifa_broadaddr = moved(to, i->ifa_broadaddr, addr_size(i->ifa_broadaddr));
	c->ifa_data = moved(to, i->ifa_data, data_size(i));
	return c;
}

static size_t entry_size(const struct ifaddrs *i)
{
	return aligned(sizeof(*i)) + aligned(strlen(i->ifa_name) + 1) + aligned(addr_size(i->ifa_addr)) +
	       aligned(addr_size(i->ifa_netmask)) + aligned(addr_size(i->ifa_broadaddr)) +
	       aligned(data_size(i));
}

static struct ifaddrs *own_entry(const struct own *o, char **to)
{
	struct entry *e = (struct entry *)*to;

	*to += aligned(sizeof(*e));
	*e = (struct entry){
		.ifa = { .ifa_name = e->name, .ifa_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST,
			 .ifa_addr = (struct sockaddr *)&e->addr,
			 .ifa_netmask = (struct sockaddr *)&e->mask },
	};
	memcpy(e->name, o->name, sizeof(e->name));
	if (is_six(o)) {
		e->addr.in6 = address6(o);
		e->mask.in6 = mask6(o->plen);
		return &e->ifa;
	}
	e->addr.in = address(o->ip);
	e->mask.in = address(o->mask);
	e->peer.in = address(o->ip | ~o->mask);
	if (o->mask != UINT32_MAX) {
		e->ifa.ifa_flags |= IFF_BROADCAST;
		e->ifa.ifa_broadaddr = (struct sockaddr *)&e->peer;
	}
	return &e->ifa;
}

static bool is_address(const struct sockaddr *a, const struct own *o)
{
	struct sockaddr_in6 six = address6(o);
	struct sockaddr_in four = address(o->ip);

	if (!a || a->sa_family != (is_six(o) ? AF_INET6 : AF_INET))
		return false;
	if (!is_six(o))
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr == four.sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &six.sin6_addr, 16) == 0 &&
	       ((const struct sockaddr_in6 *)a)->sin6_scope_id == six.sin6_scope_id;
}

static bool has_address(const struct ifaddrs *list, const struct own *o)
{
	for (; list; list = list->ifa_next)
		if (is_address(list->ifa_addr, o))
			return true;
	return false;
}

/* One block, as libc makes it: freeifaddrs() is free(). NULL: nothing to add, or no memory. */
static struct ifaddrs *joined(const struct ifaddrs *kernel, const struct own *own, int n)
{
	struct ifaddrs *first = NULL, **next = &first;
	size_t size = (size_t)n * aligned(sizeof(struct entry));
	char *to;

	for (const struct ifaddrs *i = kernel; i; i = i->ifa_next)
		size += entry_size(i);
	to = malloc(size);
	if (!to)
		return NULL;
	for (const struct ifaddrs *i = kernel; i; i = i->ifa_next) {
		*next = copy_entry(i, &to);
		next = &(*next)->ifa_next;
	}
	for (int k = 0; k < n; k++) {
		*next = own_entry(&own[k], &to);
		next = &(*next)->ifa_next;
	}
	*next = NULL;
	return first;
}

int ifaddr_list(struct ifaddrs **list)
{
	struct own own[2 * OWN_MAX];
	struct ifaddrs *all;
	int n, fresh = 0, r = libc.getifaddrs(list), saved = errno;

	if (r < 0)
		return r;
	n = own_list(own);
	n += own_list6(own + n);
	for (int i = 0; i < n; i++)
		if (!has_address(*list, &own[i]))
			own[fresh++] = own[i];
	all = fresh ? joined(*list, own, fresh) : NULL;
	if (all) {
		freeifaddrs(*list);
		*list = all;
	}
	errno = saved;
	return 0;
}

/* ---- ioctl ---- */
/* The kernel has written its own; ours follow as far as there is room. */
static int conf(int fd, void *arg)
{
	struct own own[OWN_MAX];
	struct ifconf before, now;
	int n;

	if (user_get(&before, arg, sizeof(before)) < 0)
		return -EFAULT;
	if (libc.ioctl(fd, SIOCGIFCONF, arg) < 0)
		return -errno;
	if (user_get(&now, arg, sizeof(now)) < 0)
		return -EFAULT;
	n = own_list(own);
	for (int i = 0; i < n; i++) {
		struct ifreq q = { 0 };
		struct sockaddr_in a = address(own[i].ip);

		memcpy(q.ifr_name, own[i].name, sizeof(q.ifr_name));
		memcpy(&q.ifr_addr, &a, sizeof(a));
		if (before.ifc_buf && (now.ifc_len + (int)sizeof(q) > before.ifc_len ||
				       user_put(before.ifc_buf + now.ifc_len, &q, sizeof(q)) < 0))
			break;
		now.ifc_len += (int)sizeof(q);
	}
	return user_put(arg, &now, sizeof(now)) < 0 ? -EFAULT : 0;
}

int ifaddr_ioctl(int fd, unsigned long req, void *arg)
{
	struct own own[OWN_MAX];
	struct sockaddr_in a;
	struct ifreq q;
	int n, err;

	if (req == SIOCGIFCONF)
		return conf(fd, arg);
	if (libc.ioctl(fd, req, arg) == 0)
		return 0;
	err = -errno;
	if ((err != -EADDRNOTAVAIL && err != -ENODEV) || user_get(&q, arg, sizeof(q)) < 0)
		return err;
	n = own_list(own);
	for (int i = 0; i < n; i++) {
		if (strncmp(own[i].name, q.ifr_name, IF_NAMESIZE) != 0)
			continue;
		a = address(req == SIOCGIFADDR ? own[i].ip :
			    req == SIOCGIFNETMASK ? own[i].mask : own[i].ip | ~own[i].mask);
		memcpy(&q.ifr_addr, &a, sizeof(a));
		return user_put(arg, &q, sizeof(q)) < 0 ? -EFAULT : 0;
	}
	return err;
}
