/* Where an address leads, by the engine's table of routes in E. Reading takes no lock and no call. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/chan/app.h"

/* A copy of the longest route that covers addr; false: none, the address is the kernel's. */
bool route_find(const struct chan_app *app, const struct ipaddr *addr, struct chan_route *route);
/* The same for who knows the zone: a link-local address is one of the interface that is named with it. */
bool route_find_to(const struct chan_app *app, const struct endpoint *ep, struct chan_route *route);
/* Does a route of the stack lead to ep? */
bool route_leads(const struct chan_app *app, const struct endpoint *ep);
/* Is ep an address of the stack's own (loopback apart)? */
bool route_is_own(const struct chan_app *app, const struct endpoint *ep);
/* Does the stack serve any IPv6 address now? */
bool route_has_v6(const struct chan_app *app);
/* Is it an interface of the stack? */
bool route_has_interface(const struct chan_app *app, uint32_t ifindex);
/* How an IPv6 group leaves by an interface, 0: by the first that has IPv6 addresses. False: not by one of the
 * stack's (loopback has no groups). */
bool route_of_group6(const struct chan_app *app, uint32_t ifindex, struct chan_route *route);
/* The stack's own address on an interface, 0: none. Host order. */
uint32_t route_interface_ip(const struct chan_app *app, uint32_t ifindex);
/* The stack's own IPv4 address that is next above `after` (host order), loopback apart; false: no more. */
bool route_next_own(const struct chan_app *app, uint32_t after, struct chan_route *route);
/* The stack's own IPv6 address that is next above after->addr (of equal ones: above after->scope), loopback
 * apart; false: no more. */
bool route_next_own6(const struct chan_app *app, const struct endpoint *after, struct chan_route *route);
/* Length of the prefix that own, from there, is in on its interface; 128: it is alone there. */
uint8_t route_plen6(const struct chan_app *app, const struct chan_route *own);
/* Of the prefix that ip is in on its interface; all ones: it is alone there. */
uint32_t route_netmask(const struct chan_app *app, uint32_t ip, uint32_t ifindex);
/* 255.255.255.255, or the last address of a prefix that the stack is directly on. */
bool route_is_broadcast(const struct chan_app *app, const struct ipaddr *addr);
