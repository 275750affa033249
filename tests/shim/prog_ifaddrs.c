/* The addresses of the host, by every way to ask for them: this run's is among them, once, and all that are
 * listed can be bound to. */
// SPDX-License-Identifier: MIT
#include <ifaddrs.h>
#include <net/if.h>
#include "tests/shim/t.h"

static bool is_mine(const struct sockaddr *a)
{
	return a && a->sa_family == AF_INET &&
	       ((const struct sockaddr_in *)a)->sin_addr.s_addr == t_addr(0).sin_addr.s_addr;
}

static int unbindable(struct sockaddr_in a)
{
	int bad = 0;
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	a.sin_port = 0;
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, types[i], 0);
		bad += bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0;
		close(fd);
	}
	return bad;
}

static void listed(void)
{
	struct ifaddrs *list, *again;
	int mine = 0, bad = 0, named = 0, masked = 0, links = 0;
	t_res("getifaddrs", getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		links += i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET && i->ifa_data != NULL;
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		bad += unbindable(*(struct sockaddr_in *)i->ifa_addr);
		if (!is_mine(i->ifa_addr))
			continue;
		mine++;
		named += if_nametoindex(i->ifa_name) != 0;
		masked += i->ifa_netmask && i->ifa_netmask->sa_family == AF_INET;
		t_out("up %d", !!(i->ifa_flags & IFF_UP));
	}
	t_out("mine %d, named %d, with a mask %d; can't be bound %d, links %s", mine, named, masked, bad,
	      links ? "yes" : "no");
	t_res("again", getifaddrs(&again));
	freeifaddrs(again);
	freeifaddrs(list);
}

static void conf_of(int type)
{
	struct ifreq q[32];
	struct ifconf c = { .ifc_len = sizeof(q), .ifc_req = q };
	int fd = socket(AF_INET, type, 0), mine = 0, bad = 0, named = 0;
	t_res("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &c));
	int n = c.ifc_len / (int)sizeof(q[0]);
	for (int i = 0; i < n; i++) {
		bool is = is_mine(&q[i].ifr_addr);
		mine += is;
		named += is && if_nametoindex(q[i].ifr_name) != 0;
		bad += unbindable(*(struct sockaddr_in *)&q[i].ifr_addr);
	}
	t_out("mine %d, named %d; can't be bound %d", mine, named, bad);
	c = (struct ifconf){ 0 };
	t_res("how long", ioctl(fd, SIOCGIFCONF, &c));
	t_out("as long: %d", c.ifc_len == n * (int)sizeof(q[0]));
	c = (struct ifconf){ .ifc_len = n * (int)sizeof(q[0]) - 1, .ifc_req = q };
	t_res("one byte too short", ioctl(fd, SIOCGIFCONF, &c));
	t_out("one less: %d", c.ifc_len == (n - 1) * (int)sizeof(q[0]));
	t_res("nowhere", ioctl(fd, SIOCGIFCONF, (void *)16));
	c = (struct ifconf){ .ifc_len = sizeof(q), .ifc_buf = (char *)16 };
	t_res("into nowhere", ioctl(fd, SIOCGIFCONF, &c));
	close(fd);
}

static void confs(void)
{
	conf_of(SOCK_STREAM);
	conf_of(SOCK_DGRAM);
}

static void by_name(void)
{
	static const struct {
		const char *name;
		unsigned long req;
	} t[] = { { "address", SIOCGIFADDR },
		  { "netmask", SIOCGIFNETMASK },
		  { "broadcast", SIOCGIFBRDADDR } };
	struct ifaddrs *list;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char name[IF_NAMESIZE] = "";
	getifaddrs(&list);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (is_mine(i->ifa_addr))
			snprintf(name, sizeof(name), "%s", i->ifa_name);
	freeifaddrs(list);
	for (int i = 0; i < 3; i++) {
		struct ifreq q = { 0 };
		memcpy(q.ifr_name, name, sizeof(name));
		t_res(t[i].name, ioctl(fd, t[i].req, &q));
		t_out("family %d", q.ifr_addr.sa_family);
		memcpy(q.ifr_name, "nosuch0", 8);
		t_res("no such interface", ioctl(fd, t[i].req, &q));
		t_res("nowhere", ioctl(fd, t[i].req, (void *)16));
	}
	close(fd);
}

T_MAIN(T_CASE(listed), T_CASE(confs), T_CASE(by_name))
