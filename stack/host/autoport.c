/* Makes and removes the veth pair of port=auto. What is taken is told by abstract unix sockets,
 * which belong to the network namespace as the interfaces do and end with their process. */
// SPDX-License-Identifier: MIT
#include "stack/host/autoport.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/util.h"
#include "stack/host/nl.h"

enum { NET_BASE = 10 << 24 | 77 << 16, PLEN = 24, STALE_MAX = 32, NAME_TRIES = 8 };

static socklen_t mark_addr(struct sockaddr_un *sa, const char *name)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	int n = snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1, "fastnet/%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* The mark's descriptor, or -errno (-EADDRINUSE: somebody has it). */
static int mark_take(const char *name)
{
	struct sockaddr_un sa;
	socklen_t len = mark_addr(&sa, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, len) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* ---- pairs of dead engines ---- */
struct stale {
	uint32_t n;
	char name[STALE_MAX][16];
};

static bool see_link(void *arg, const char *name)
{
	struct stale *s = arg;
	size_t n = strlen(name);

	if (n < 4 || n > 15 || strncmp(name, "fn", 2) != 0 || name[n - 1] != 'h' ||
	    strspn(name + 2, "0123456789") != n - 3)
		return true;
	memcpy(s->name[s->n++], name, n + 1);
	return s->n < STALE_MAX;
}

static void remove_stale(struct nl *nl)
{
	struct stale s = { 0 };

	nl_each_link(nl, see_link, &s);
	for (uint32_t i = 0; i < s.n; i++) {
		int fd = mark_take(s.name[i]);

		if (fd < 0)
			continue;
		if (nl_link_del(nl, s.name[i]) == 0)
			LOG(host, INFO, "removed interface=%s of an engine that died", s.name[i]);
		close(fd);
	}
}

/* ---- choosing ---- */
static bool see_addr(void *arg, uint32_t ip4, uint8_t plen)
{
	uint64_t *taken = arg;

	if ((ip4 & 0xffff0000) == (NET_BASE & 0xffff0000))
		taken[(ip4 >> 8 & 0xff) / 64] |= 1ull << ((ip4 >> 8 & 0xff) % 64);
	return true;
}

static int choose_net(struct autoport *a, struct nl *nl)
{
	uint64_t taken[AUTOPORT_NETS / 64] = { 0 };
	int r = nl_each_addr4(nl, see_addr, taken);

	if (r)
		return r;
	for (uint32_t x = 0; x < AUTOPORT_NETS; x++) {
		char name[16];

		if (taken[x / 64] >> (x % 64) & 1)
			continue;
		snprintf(name, sizeof(name), "10.77.%u", x);
		a->net_fd = mark_take(name);
		if (a->net_fd >= 0) {
			a->net = x;
			return 0;
		}
		if (a->net_fd != -EADDRINUSE)
			return a->net_fd;
	}
	return -EADDRNOTAVAIL;
}

/* The pid is unique in its pid namespace only, the name must be in the network namespace. */
static int choose_name(struct autoport *a)
{
	uint32_t number = (uint32_t)getpid();

	for (int i = 0; i < NAME_TRIES; i++, number += 1u << 22) {
		snprintf(a->host, sizeof(a->host), "fn%uh", number);
		snprintf(a->engine, sizeof(a->engine), "fn%ue", number);
		a->name_fd = mark_take(a->host);
		if (a->name_fd != -EADDRINUSE)
			return a->name_fd < 0 ? a->name_fd : 0;
	}
	return -EADDRINUSE;
}

/* ---- making ---- */
/* The engine sees what the kernel left to the hardware undone: checksums and segmentation. */
static void offloads_off(const char *name)
{
	static const uint32_t cmds[] = { ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO,
					 ETHTOOL_SGRO };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(cmds); i++) {
		struct ethtool_value v = { .cmd = cmds[i] };
		struct ifreq ifr = { .ifr_data = (void *)&v };

		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
		if (ioctl(fd, SIOCETHTOOL, &ifr) < 0 && cmds[i] == ETHTOOL_STXCSUM)
			LOG(host, WARN, "can't switch off checksum offload of interface=%s: %s",
			    name, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

/* Not being allowed to is no reason to stop: these only keep the kernel from meddling. */
static void sysctl_set(const char *family, const char *name, const char *key, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		LOG(host, INFO, "can't set file=%s: %s", path, strerror(errno));
	close(fd);
}

static int set_up(struct autoport *a, struct nl *nl)
{
	uint32_t host = if_nametoindex(a->host), engine = if_nametoindex(a->engine);

	if (!host || !engine)
		return -ENODEV;
	nl_link_no_ip6(nl, host);
	nl_link_no_ip6(nl, engine);
	sysctl_set("ipv6", a->host, "disable_ipv6", "1");
	sysctl_set("ipv6", a->engine, "disable_ipv6", "1");
	/* The kernel may see the engine's frames too (af_packet): it must not forward them. */
	sysctl_set("ipv4", a->engine, "forwarding", "0");
	sysctl_set("ipv4", a->engine, "arp_ignore", "8");
	offloads_off(a->host);
	offloads_off(a->engine);
	int r = nl_addr4_add(nl, host, NET_BASE | a->net << 8 | 1, PLEN);
	if (!r)
		r = nl_link_up(nl, engine);
	if (!r)
		r = nl_link_up(nl, host);
	return r;
}

int autoport_open(struct autoport *a, uint32_t n_queues, char err[AUTOPORT_ERR_MAX])
{
	struct nl nl;
	const char *step = "open rtnetlink";

	memset(a, 0, sizeof(*a));
	a->name_fd = a->net_fd = -1;
	int r = nl_open(&nl);
	if (r)
		goto fail;
	remove_stale(&nl);
	step = "find a free network 10.77.x.0/24";
	r = choose_net(a, &nl);
	if (!r) {
		step = "choose a name";
		r = choose_name(a);
	}
	if (!r) {
		step = "make a veth pair";
		r = nl_veth_add(&nl, a->host, a->engine, n_queues);
	}
	if (r)
		goto fail_nl;
	step = "set up the veth pair";
	r = set_up(a, &nl);
	if (r) {
		nl_link_del(&nl, a->host);
		goto fail_nl;
	}
	nl_close(&nl);
	snprintf(a->addr, sizeof(a->addr), "10.77.%u.2/%d", a->net, PLEN);
	return 0;
fail_nl:
	nl_close(&nl);
fail:
	if (a->name_fd >= 0)
		close(a->name_fd);
	if (a->net_fd >= 0)
		close(a->net_fd);
	snprintf(err, AUTOPORT_ERR_MAX,
		 "port auto: can't %s: %s; give a port by devargs, or port=none", step,
		 strerror(-r));
	return r;
}

void autoport_close(struct autoport *a)
{
	struct nl nl;

	if (nl_open(&nl) == 0) {
		nl_link_del(&nl, a->host);
		nl_close(&nl);
	}
	close(a->name_fd);
	close(a->net_fd);
}
