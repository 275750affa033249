/* The engine's side of lanes (chan/lane.h): offers them, accounts for what went by them, ends them. One data
 * thread; both ends of a lane are sockets of it. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct client;
struct client_worker;
struct sock;
struct sock_env;

/* s has just handed text to the socket at its other end past TCP (sock_pipe()): the programs may do that by
 * themselves from now on, if this has happened often. */
void sock_lane_passed(struct sock *s, struct sock *to);
/* sock_take_tx() and sock_take_rx() of a socket with a lane. False: violation. */
bool sock_lane_take_tx(struct sock *s);
bool sock_lane_take_rx(struct sock *s);
/* What has gone by the lanes of s so far is known to TCP, and they end if an option forbids them. */
void sock_lane_look(struct sock *s);
/* s has written what TCP does not know of yet: nothing may follow it. Only with s->lane. */
bool sock_lane_owes(const struct sock *s);
/* s is about to be freed. */
void sock_lane_gone(struct sock *s);
/* The client's programs have the D of client `number` as extent `ext`; UINT32_MAX: they will not. */
void sock_lane_peer(struct client_worker *cw, uint32_t number, uint32_t ext);
/* All sockets of cw have gone. On the data thread, or when that does not know it (any more). */
void sock_lane_forget(struct client_worker *cw);
