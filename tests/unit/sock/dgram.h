/* What the tests of datagram sockets share: one rig, a client that serves and one that asks. */
// SPDX-License-Identifier: MIT
#pragma once
#include "rig.h"
#include "../unit.h"
#include "stack/base/util.h"
#include "stack/net/ports.h"

#define ANY ipaddr_v4(0)
#define GROUP ipaddr_v4(0xef010203)
static struct rig *rig;
static struct chan_app srv, cli;
static struct client *csrv, *ccli;

static inline void up(uint32_t workers)
{
	rig = rig_new(workers);
	csrv = rig_client(rig, &srv, NULL);
	ccli = rig_client(rig, &cli, NULL);
}

static inline void down(void)
{
	rig_client_end(rig, ccli, &cli);
	rig_client_end(rig, csrv, &srv);
	ck_assert_uint_eq(ports_count(rig->ports), 0);
	rig_free(rig);
}

static inline uint16_t port_of(struct end s) { return end_a(s)->local.port; }

static inline struct end fresh(struct chan_app *app)
{
	return (struct end){ app, CHAN_SOCK_NEW, 0 };
}

/* All calls of the application so far have been carried out, and all of its marks before them. */
static inline void settle(struct end s)
{
	struct chan_req req = { .op = CHAN_OP_INFO, .sock = s.id, .gen = s.gen };

	ck_assert_int_eq(chan_call(s.app, end_a(s)->worker, &req, NULL), 0);
}

static inline int bind_result(struct chan_app *app, uint32_t worker, struct chan_req req, struct end *s)
{
	struct chan_rep rep = { 0 };
	int err;

	req.op = CHAN_OP_BIND;
	req.type = 2;
	err = chan_call(app, worker, &req, &rep);
	if (!err)
		*s = (struct end){ app, rep.sock, rep.gen };
	return err;
}
