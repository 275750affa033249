/* Options of stream sockets: one table (level, name) -> how it is checked, kept and reported. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sock;
struct cmsg_out;
/* Gives kernel socket k every option that the program has set on s. */
void sock_opt_replay(struct sock *s, int k);
/* s has just been accepted from listener l: what lies in its own memory is inherited, too. */
void sock_opt_inherit(struct sock *s, const struct sock *l);
/* recvmsg() has taken `got` bytes: what options want told with them. 0 or -EFAULT. */
int sock_opt_cmsgs(struct sock *s, struct cmsg_out *c, size_t got);
uint32_t sock_opt_default_sndbuf(void);
/* A listen() under way takes the socket's Fast Open key along. */
struct chan_req;
void sock_opt_put_key(const struct sock *s, struct chan_req *req);
/* The value of an option that is a recorded number, as the program set it, else its default. */
int sock_opt_value(const struct sock *s, int level, int name);
