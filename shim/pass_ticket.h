/* Sockets of ours on their way to another process: see stack/chan/ticket.h. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>

struct sock;

/* Can't s go as it is? Decides what is open. */
bool pass_needs_ticket(struct sock *s);
/* A ticket for s, which stands at number fd: a descriptor, or -errno. */
int pass_ticket(struct sock *s, int fd);
/* One for a program without the shim, that is about to replace this one. */
int pass_ticket_for_relay(struct sock *s);
/* Number fd has just come from another process: if it is a ticket it becomes the socket. */
void pass_arrived(int fd);
