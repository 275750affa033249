/* Addresses: struct sockaddr_in to endpoints and back, and whose they are by the engine's routes. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <sys/socket.h>
#include "stack/base/ipaddr.h"

struct chan_app;

/* 0, or -EAFNOSUPPORT: not AF_INET, or too short. */
int addr_parse(struct endpoint *ep, const struct sockaddr *addr, socklen_t len);
/* As getsockname(): what fits is stored, *len becomes the full length. */
void addr_give(struct sockaddr *addr, socklen_t *len, const struct endpoint *ep);
/* May a socket of the stack be bound to it? */
bool addr_is_ours(const struct chan_app *app, const struct ipaddr *addr);
/* Can the stack send there? */
bool addr_has_route(const struct chan_app *app, const struct ipaddr *addr);
