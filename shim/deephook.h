/* The deep hooks: libc's own functions, so that calls which libc makes inside itself (stdio, dprintf, aio)
 * reach descriptors of ours, too. */
// SPDX-License-Identifier: MIT
#pragma once

enum deephook_state {
	DEEPHOOK_NOT_YET, /* no engine so far */
	DEEPHOOK_ON,
	DEEPHOOK_OFF,	  /* option deephook=0 */
	DEEPHOOK_THREADS, /* other threads may be inside those functions */
	DEEPHOOK_REFUSED, /* no memory near libc, or its text can't be changed */
	DEEPHOOK_UNKNOWN, /* not the instructions that we know how to move */
};
/* Once, when the process attaches to its first engine. All functions or none. */
void deephook_install(void);
enum deephook_state deephook_state(void);
