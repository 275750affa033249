/* A data thread, or several of one engine, without a NIC and without a second process: workers over a port of
 * arrays, programs that speak the channel directly, and any number of peers behind a gateway that send what
 * they are told. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/util.h"
#include <rte_mbuf.h>
#include "stack/chan/app.h"
#include "stack/sock/client.h"
#include "stack/worker/worker_int.h"

enum {
	RIG_WORKERS = 2,
	RIG_BURST = RX_BURST,
	RIG_PAYLOAD = 64,
	RIG_PORTS = 1 << 15,	   /* peers of an address */
	RIG_PROGRAMS = 8,
	RIG_PROGRAM_SOCKS = 250000, /* of one program, which has CHAN_MAX_SOCKS at most */
};

/* One end of a connection outside, and the socket that serves it here. */
struct rig_peer {
	uint32_t seq, ack;   /* next number to send, next one expected */
	uint32_t tsecr;
	uint32_t sock;	     /* of program i / RIG_PROGRAM_SOCKS */
};
struct rig_program {
	struct client *c;
	struct chan_app app;
	uint32_t evq, listener, call_seq;
	uint32_t worker; /* its home, and that of its peers */
};
struct rig {
	struct worker w[RIG_WORKERS];
	uint32_t n_workers; /* before rig_start(); 0: one */
	uint64_t now_ns;
	struct rig_peer *peer;
	uint32_t n_peers;
	struct rig_program program[RIG_PROGRAMS];
	uint32_t n_programs;
	bool v6; /* all addresses are IPv6's; before rig_start() */
};
extern struct rig rig;

/* For n connections at most; offload: the port sees to the checksums. */
void rig_start(uint32_t n, bool offload);
void rig_stop(void);
/* With several workers a flow is one's: does that of peer i end at the home of its program? Others are not
 * connected. */
bool rig_is_used(uint32_t i);
/* What the next poll receives: a segment of peer i with len bytes. */
void rig_receive(uint32_t i, uint8_t flags, uint32_t len);
/* One turn of each data thread's loop, and the clock goes on; what it sends waits for rig_deliver(). */
void rig_poll(void);
/* The peers take what has been sent. */
void rig_deliver(void);
/* The same for one worker, on a thread of its own, which calls rig_thread() first. */
void rig_thread(uint32_t worker);
void rig_poll_one(uint32_t worker);
void rig_deliver_of(uint32_t worker);
/* Peers [from, to) that are used connect, a batch at a time, and are accepted. */
void rig_connect(uint32_t from, uint32_t to);
/* The programs close theirs, then the peers do. */
void rig_close(uint32_t from, uint32_t to);
/* A ring to send from, which the first write of a program would ask for. */
void rig_make_sender(struct rig_program *p, uint32_t id);
/* Program 0 connects to itself, by no port: both ends of n connections, ready to send, in ids[2 * n]. */
void rig_connect_local(uint32_t *ids, uint32_t n);
static inline struct rig_program *rig_program_of(uint32_t i)
{
	return &rig.program[i / RIG_PROGRAM_SOCKS];
}
