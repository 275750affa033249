/* Sockets that take the place of those whose engine has ended. Several processes may have shared one: the
 * first of them that finds the new engine makes its heir, the others find that by the socket's number. */
// SPDX-License-Identifier: MIT
#pragma once
#include "shim/sock.h"

/* Looks for the heir of s in app, and has s attached to it if it is there: 0. -ENOENT: there is none; the
 * caller makes it, then calls heir_made(). Other errors: not now. heir_done() follows -ENOENT. */
int heir_find(struct sock *s, struct chan_app *app);
/* s, attached to app, is the heir. */
void heir_made(struct sock *s, struct chan_app *app);
void heir_done(struct chan_app *app);
