/* What both ends of a stream have to know: what one is to carry, and what became of it. */
// SPDX-License-Identifier: MIT
#ifndef TESTS_INTEROP_STREAMS_H
#define TESTS_INTEROP_STREAMS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAGIC = 0x666e7331, CC_NAME = 16, IDLE_MS = 60000 /* a whole row of timeouts */ };

/* How one end goes about it. */
struct manner {
	uint32_t write;	     /* bytes for a write, 0: mixed, 1 B to 64 KB */
	uint32_t read;	     /* bytes for a read, 0: mixed */
	uint32_t stall_ms;   /* the reader pauses once, after the first 64 KB */
	uint32_t rcvbuf;     /* SO_RCVBUF, 0: the system's */
	char cc[CC_NAME];    /* TCP_CONGESTION, "": the system's */
};

/* The client's first bytes. */
struct order {
	uint32_t magic;
	uint32_t seed;
	uint64_t up, down;   /* bytes from and to the client */
	struct manner peer;  /* the server's manner */
};

/* The server's last bytes, and what the client says of itself. */
struct verdict {
	uint64_t right;		/* bytes that came and were what they should be */
	uint32_t backoff;	/* the most of tcpi_backoff that was seen: probes of a shut window, too */
	uint32_t segs_out;	/* tcpi_data_segs_out */
	uint32_t options;	/* tcpi_options */
	uint32_t retrans;	/* tcpi_total_retrans */
};

struct exchange {
	int fd;
	uint32_t seed_out, seed_in;
	uint64_t out, in; /* bytes to send and to get */
	bool keep_open;	  /* no FIN after the last byte */
	struct manner how;
	uint64_t sent, got;
	struct verdict v;
};

/* The bytes of a stream at any position, and whether they are. */
void stream_fill(uint8_t *buf, uint32_t seed, uint64_t pos, size_t n);
bool stream_check(const uint8_t *buf, uint32_t seed, uint64_t pos, size_t n);

/* Sends and receives all at once. False, and the reason on stderr: not all came. */
bool exchange_run(struct exchange *x);
/* The figures of TCP_INFO so far, to x->v. */
void exchange_look(struct exchange *x);
void manner_set(int fd, const struct manner *how);
/* n bytes, or false. */
bool read_whole(int fd, void *buf, size_t n);

/* Where the sequence numbers of a Linux socket begin and are: TCP_REPAIR, see tcp(7). */
void seq_start_at(int fd, uint32_t seq);
uint32_t seq_received(int fd);
/* The socket's own timestamp clock goes on at `ticks`; false: that is not ahead. */
bool clock_set_ahead(int fd, uint32_t ticks);

#endif
