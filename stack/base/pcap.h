/* Appends Ethernet frames to a classic pcap file with nanosecond time stamps (magic a1b23c4d).
 * One writev(2) a frame, so that a crash leaves a readable file and threads may share it. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include <sys/uio.h>

enum { PCAP_SNAPLEN = 262144, PCAP_IOV_MAX = 16 };

struct pcap {
	int fd; /* -1 when closed */
};

/* Creates or truncates the file and writes its header. 0 or -errno; *p untouched on failure. */
int pcap_open(struct pcap *p, const char *path);
/* The same, but goes on with the file if it is there. */
int pcap_open_more(struct pcap *p, const char *path);
/* Appends one frame. 0 or -errno (the file may then end in a partial record). */
int pcap_append(struct pcap *p, uint64_t time_ns, const void *frame, uint32_t n);
/* The same for a frame in up to PCAP_IOV_MAX pieces; -EINVAL with more. */
int pcap_append_iov(struct pcap *p, uint64_t time_ns, const struct iovec *iov, int iovcnt);
void pcap_close(struct pcap *p);
