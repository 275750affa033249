/* IPv6 addresses that a port gets without being told. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include "stack/host/host.h"

/* A port with an IPv6 address has one of its link (RFC 4291 2.1), unless the configuration gives it one. */
void addr6_add_linklocal(struct host *h, struct netif *nif);
/* What makes the addresses of this machine its own (RFC 7217 5): the same for each engine. */
struct siphash_key addr6_secret(const struct host *h);
/* Does the kernel of this namespace have the address? */
bool addr6_kernel_has(const struct ipaddr *a);
/* Addresses, prefixes and routers have come or gone: all data threads stand still while the port table, the
 * route table and what programs see of it follow. */
void addr6_change(struct host *h);
