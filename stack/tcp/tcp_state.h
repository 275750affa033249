/* The states of RFC 9293 3.3.2 as one list, in an order in which >= means something. */
// SPDX-License-Identifier: MIT
#pragma once

/* X(name, text as in RFC 9293, value of Linux's tcp_info.tcpi_state) */
#define TCP_STATES(X) \
	X(CLOSED, "CLOSED", 7) \
	X(LISTEN, "LISTEN", 10) \
	X(SYN_SENT, "SYN-SENT", 2) \
	X(SYN_RCVD, "SYN-RECEIVED", 3) \
	X(ESTABLISHED, "ESTABLISHED", 1) \
	X(CLOSE_WAIT, "CLOSE-WAIT", 8) \
	X(FIN_WAIT_1, "FIN-WAIT-1", 4) \
	X(CLOSING, "CLOSING", 11) \
	X(LAST_ACK, "LAST-ACK", 9) \
	X(FIN_WAIT_2, "FIN-WAIT-2", 5) \
	X(TIME_WAIT, "TIME-WAIT", 6)
enum tcp_state {
#define X(name, text, linux_value) TCPS_##name,
	TCP_STATES(X)
#undef X
};
