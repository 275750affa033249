/* What must hold of a connection between any two calls into the core. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/tcp/tcp_core.h"

/* NULL, or the text of the first condition that does not hold. */
const char *conn_wrong(struct tcp_conn *c);
