/* Signal lines: how a program gets SIGIO and SIGURG for a socket of the stack (O_ASYNC, F_SETOWN, F_SETSIG).
 *
 * Signals to whoever F_SETOWN names - perhaps another process, a thread, a group - with the right
 * permissions, si_fd, si_code, and alive as long as somebody has the file: only the kernel can do that. So
 * it does. A line is a pair of AF_UNIX stream sockets. One end is what the program has at its descriptor
 * number, where all of F_SETOWN, F_SETSIG and O_ASYNC are the kernel's own; the engine keeps the other end
 * and does to it what makes the kernel send the signal that TCP would have sent:
 *
 *   data, FIN, connection to accept: one byte      SIGIO, POLL_IN
 *   urgent pointer: one byte with MSG_OOB	       SIGURG; SIGIO, POLL_PRI and POLL_IN
 *   room to send, connected: reads what filled the
 *     send buffer of the program's end              SIGIO, POLL_OUT
 *   both directions ended, error: shutdown()	       SIGIO, POLL_HUP
 *
 * What it wrote it takes back at once, by a copy of the program's end that it has, too. So nothing has to
 * be armed, drained or counted, no thread of the program takes part, and the file is a socket to fstat().
 *
 * A line is made when a socket that has an owner, a signal or O_ASYNC meets the engine, and lives as long as
 * the engine's socket. The order is: data are published, then the signal is sent; but SIGURG is sent, then
 * the pointer is published: a handler comes before the interrupted recv() sees the mark. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/app.h"

/* A new line: its number, and the program's end. 0 or -errno. */
int chan_line_open(struct chan_app *app, uint32_t *line, int *fd);
/* Gives back a line that is no socket's. */
void chan_line_close(struct chan_app *app, uint32_t line);
/* Makes it the line of socket id, instead of the one it has. */
void chan_line_use(struct chan_app *app, uint32_t id, uint32_t line);
