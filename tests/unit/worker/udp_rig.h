/* Datagram sockets on whole workers, without the shared memory: what they got is noted. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/wire/udp.h"
#include "tests/unit/worker/worker_rig.h"

enum { UDP_NOTES = 4096 };
struct udp_note {
	uint32_t worker;
	struct udp_sock *s;
	struct endpoint from, to;
	uint32_t len, ifindex;
	uint8_t ttl, tos, first, last; /* bytes of the payload */
	bool multicast, broadcast;
};
extern struct udp_note note[UDP_NOTES];
extern uint32_t n_notes, n_errors;
extern struct udp_error last_error;
extern uint8_t last_quote[600];
extern struct udp_sock *error_sock;
extern bool echo; /* sockets answer what they get */

/* After wrig_setup*(): the workers' sockets are the notes'. Also claims 127/8. */
void udp_rig_start(void);
/* Takes a socket on the worker of its port; 0: any address. */
struct udp_sock *udp_rig_bind(struct udp_sock *s, uint32_t ip4, uint16_t port);
void udp_rig_unbind(struct udp_sock *s);
/* Sends n bytes from port sport (of the worker that has it), cut into odd pieces. */
int udp_rig_send(struct sock_udp_tx *tx, uint16_t sport, uint32_t dst, uint16_t dport, uint32_t n);
/* The byte at position i of every payload sent or received here. */
uint8_t udp_rig_byte(uint32_t i);
void udp_rig_check(const uint8_t *p, uint32_t n);
/* A datagram of n payload bytes, header and checksum, at p; returns its length. */
uint32_t udp_rig_make(uint8_t *p, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t n);
/* The port receives it, in fragments when it exceeds 1480 bytes; to a group or broadcast address in a frame
 * to that. */
void udp_rig_rx(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t n);
