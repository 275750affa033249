/* Connections of a script: ports, initial sequence numbers, timestamps - what turns the numbers of
 * the script into those of the wire and back. */
// SPDX-License-Identifier: MIT
#pragma once
#include "tests/pkt/drill/packet.h"

enum { FLOW_STAMPS = 64, DRILL_PORT = 8080, PEER_PORT = 40000 };

struct flow {
	bool known; /* the ports are */
	bool renew; /* the next SYN that leaves may begin anew */
	uint16_t lport, rport;
	uint32_t iss, irs;
	struct {
		uint32_t script, wire;
	} stamp[FLOW_STAMPS]; /* our timestamps that were expected */
	uint32_t n_stamps;
	uint8_t cookie[PKT_COOKIE], n_cookie; /* the Fast Open cookie last seen */
	uint64_t udp_in;		      /* payload position of the next datagram */
};

void flow_init(uint32_t remote_isn);
/* The application connects: the next SYN is the first of a connection. */
void flow_renew(void);
/* k of the script, from the peer, in numbers of the wire; *pos is its payload's position. */
struct pkt flow_to_wire(const struct pkt *k, uint64_t *pos);
/* k of the wire, from us, in numbers of the script. want: what the script expects; a SYN of unknown
 * ports is taken for its flow. */
struct pkt flow_to_script(const struct pkt *k, const struct pkt *want);
/* Notes our timestamp: want->opt says what the script calls it. */
void flow_note(const struct pkt *want, const struct pkt *wire);
/* NULL, or what is wrong with the payload. */
const char *flow_check_data(const struct pkt *k);
