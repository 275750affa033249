/* What the runner asks of the program under test (app.c) and what that answers: one record each way
 * on a SEQPACKET socket. A call is said in the script's own words; the program knows the real
 * descriptors. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { CALL_DATA = 512, CALL_FDS = 64 };

/* name, how the arguments are written: f descriptor, i number, d data pointer, a address, o option
 * value, p list for poll, r structure or number by reference. */
#define CALLS(X)                                                                                   \
	X(socket, "iii")                                                                           \
	X(bind, "fai")                                                                             \
	X(listen, "fi")                                                                            \
	X(connect, "fai")                                                                          \
	X(accept, "fxx")                                                                           \
	X(accept4, "fxxi")                                                                         \
	X(read, "fdi")                                                                             \
	X(write, "fdi")                                                                            \
	X(recv, "fdii")                                                                            \
	X(send, "fdii")                                                                            \
	X(recvfrom, "fdiixx")                                                                      \
	X(sendto, "fdiiai")                                                                        \
	X(close, "f")                                                                              \
	X(shutdown, "fi")                                                                          \
	X(setsockopt, "fiioi")                                                                     \
	X(getsockopt, "fiioo")                                                                     \
	X(fcntl, "fii")                                                                            \
	X(ioctl, "fir")                                                                            \
	X(poll, "pii")                                                                             \
	X(tcp_info, "f")

enum call_op {
#define X(name, args) CALL_##name,
	CALLS(X)
#undef X
		CALL_COUNT,
};
struct call_name {
	const char *name, *args;
	enum call_op op;
};

struct call_req {
	uint32_t op;
	int32_t fd;	 /* of the script */
	int32_t want_fd; /* the number that a new descriptor gets in the script, -1: none */
	uint32_t len;	 /* of data */
	int64_t a[4];	 /* numbers in their order */
	uint16_t port;	 /* of an address */
	uint16_t unspec; /* AF_UNSPEC */
	uint32_t addr;	 /* host order */
	uint8_t data[CALL_DATA];
};
struct call_rep {
	int64_t ret;
	int32_t err;
	uint32_t len;
	uint8_t data[CALL_DATA];
	char note[128]; /* something is wrong that no return value says */
};
struct call_poll {
	int32_t fd, events, revents;
};

/* Byte at a position of every stream, both ways. */
static inline uint8_t call_byte(uint64_t pos)
{
	return (uint8_t)((pos ^ pos >> 7 ^ pos >> 15) * 37 + 11);
}
