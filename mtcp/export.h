/* What the files of libmtcp.so share beside the context: exporting, and starting and ending it all. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>

#define EXPORT __attribute__((visibility("default")))

struct mtcp_context;
struct slot;

/* ctx.c: contexts may be made. */
void ctx_allow(bool yes);
void ctx_destroy_all(void);
/* In the child: contexts are the parent's, and every call on one is EPERM. */
void ctx_after_fork(void);
/* sock.c: mtcp_close() of whatever it is; the descriptor is free afterwards. 0, or -EDEADLK: in a signal
 * handler that has interrupted a call on the same context. */
int slot_close(struct mtcp_context *m, struct slot *s);
/* Of a listener, also the rest of its life: the list of them. */
void listener_forget(struct mtcp_context *m, struct slot *s);
