/* Publishes the routes in the engine page, where connect() of every application looks. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/chan/layout.h"
#include "stack/net/route.h"

/* Readers retry while route_seq is odd. Control thread. */
void route_export(const struct route_table *t, struct chan_engine *e);
