/* The relay: for a program that has got a ticket and does not know what it is, bytes go back and
 * forth between the ticket and the socket that it stands for.
 *
 * The bytes of a client lie in memory that the client can write, so this is not the engine's work:
 * a helper process, one for each client that needs it, is a process of that client and runs as its
 * user. What the client does to its memory can at worst harm the helper. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

struct control;
struct attached;

/* relay.c, in the engine: the helper takes over socket id with ticket end fd (which stays the
 * caller's), and holds it when this returns. 0 or -errno. */
int relay_start(struct control *ctl, struct attached *a, uint32_t id, uint32_t gen, int fd);
/* The helper of a client that is thrown out, or (NULL) all of them. */
void relay_drop_all(struct control *ctl, struct attached *a);

/* pump.c: the helper's main(). Descriptors RELAY_CONTROL (chan_msg of type TICKET: to it a socket,
 * from it one that has ended) and RELAY_TOKEN; argv[2], argv[3]: its user and group. */
enum { RELAY_CONTROL = 3, RELAY_TOKEN = 4 };
#define RELAY_ARG "--relay"
int pump_main(int argc, char **argv);
