/* The control thread: clients and their processes, signals, the tool, the engine's end. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>

struct host;
struct sock_mail;
struct control;

/* Before the data threads start. 0 or -errno, h->err set; h->control is set. */
int control_init(struct host *h);
/* Serves until somebody says stop; the clients are then told. */
void control_run(struct host *h);
/* Has the last program let go of all it had? Not when somebody said stop twice, or when it took too long. */
bool control_is_drained(const struct host *h);
void control_fini(struct host *h);
/* A message from a data thread. False when too many are waiting. */
bool control_mail(const struct sock_mail *msg);
