/* The few rtnetlink requests that the engine needs, in the network namespace of the caller. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;
struct nl {
	struct mnl_socket *s;
	uint32_t seq;
};

/* 0 or -errno. */
int nl_open(struct nl *nl);
void nl_close(struct nl *nl);
/* A veth pair, both ends down, with n transmit and receive queues each. 0 or -errno. */
int nl_veth_add(struct nl *nl, const char *a, const char *b, uint32_t n_queues);
int nl_link_del(struct nl *nl, const char *name);
int nl_link_up(struct nl *nl, uint32_t index);
/* No automatic IPv6 link-local address. -EAFNOSUPPORT and the like where there is no IPv6. */
int nl_link_no_ip6(struct nl *nl, uint32_t index);
/* Takes its XDP program away. */
int nl_link_no_xdp(struct nl *nl, uint32_t index);
/* ip4 in host order. */
int nl_addr4_add(struct nl *nl, uint32_t index, uint32_t ip4, uint8_t plen);
/* Each link's name, each IPv4 address; false from the callback ends the walk. 0 or -errno. */
int nl_each_link(struct nl *nl, bool (*see)(void *arg, const char *name), void *arg);
int nl_each_addr4(struct nl *nl, bool (*see)(void *arg, uint32_t ip4, uint8_t plen), void *arg);
