/* The stack's addresses among those of the host. */
// SPDX-License-Identifier: MIT
#pragma once
#include <ifaddrs.h>
#include <stdbool.h>
#include <sys/ioctl.h>

/* getifaddrs(): an address that the kernel has as well is there once. */
int ifaddr_list(struct ifaddrs **list);
static inline bool ifaddr_is_ioctl(unsigned long req)
{
	return req == SIOCGIFCONF || req == SIOCGIFADDR || req == SIOCGIFNETMASK || req == SIOCGIFBRDADDR;
}
/* On fd, a socket of ours; what the kernel can't answer is. 0 or -errno. */
int ifaddr_ioctl(int fd, unsigned long req, void *arg);
