/* Between epoll.c and epoll_wait.c: sets and their ready lists. All under the context's lock. */
// SPDX-License-Identifier: MIT
#pragma once
#include "mtcp/ctx.h"
#include "mtcp/mtcp_epoll.h"

/* Bits of a registration that are no events; with no other left MTCP_EPOLLONESHOT has fired. */
#define SET_PRIVATE ((uint32_t)MTCP_EPOLLONESHOT | (uint32_t)MTCP_EPOLLET)

/* The set behind epid; NULL and errno. */
struct epoll_set *set_of(struct mtcp_context *m, int epid);
/* s is worth a look. */
void set_queue(struct slot *s);
void set_unqueue(struct slot *s);
/* Who sleeps on the set looks again. */
void set_wake(struct epoll_set *e);
