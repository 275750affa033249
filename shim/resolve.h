/* getaddrinfo() on a host whose addresses are partly the stack's. */
// SPDX-License-Identifier: MIT
#pragma once
#include <netdb.h>

/* As libc's, but AI_ADDRCONFIG counts the stack's addresses, and the order of the results (RFC 6724 6) knows
 * its routes. */
int resolve_addresses(const char *node, const char *service, const struct addrinfo *hints,
		      struct addrinfo **list);
