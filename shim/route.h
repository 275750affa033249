/* Where an address leads, by the engine's table of routes in E. Reading takes no lock and no call. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/chan/app.h"

/* A copy of the longest route that covers addr; false: none, the address is the kernel's. */
bool route_find(const struct chan_app *app, const struct ipaddr *addr, struct chan_route *route);
/* Is it an interface of the stack? */
bool route_has_interface(const struct chan_app *app, uint32_t ifindex);
/* The stack's own address on an interface, 0: none. Host order. */
uint32_t route_interface_ip(const struct chan_app *app, uint32_t ifindex);
/* The stack's own IPv4 address that is next above `after` (host order), loopback apart; false: no more. */
bool route_next_own(const struct chan_app *app, uint32_t after, struct chan_route *route);
/* Of the prefix that ip is in on its interface; all ones: it is alone there. */
uint32_t route_netmask(const struct chan_app *app, uint32_t ip, uint32_t ifindex);
/* 255.255.255.255, or the last address of a prefix that the stack is directly on. */
bool route_is_broadcast(const struct chan_app *app, const struct ipaddr *addr);
