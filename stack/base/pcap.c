/* Classic pcap, nanosecond variant, link type Ethernet, in the byte order of this machine. */
// SPDX-License-Identifier: MIT
#include "stack/base/pcap.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stack/base/util.h"

struct file_hdr {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, linktype;
};
_Static_assert(sizeof(struct file_hdr) == 24, "pcap file header");

struct rec_hdr {
	uint32_t sec, nsec, len, orig_len;
};
_Static_assert(sizeof(struct rec_hdr) == 16, "pcap record header");

enum { LINKTYPE_ETHERNET = 1 };

static int open_file(struct pcap *p, const char *path, int flags)
{
	struct file_hdr h = {
		.magic = 0xa1b23c4d,
		.major = 2,
		.minor = 4,
		.snaplen = PCAP_SNAPLEN,
		.linktype = LINKTYPE_ETHERNET,
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!(flags & O_TRUNC) && fstat(fd, &st) == 0 && st.st_size > 0) {
		p->fd = fd;
		return 0;
	}
	ssize_t n = write(fd, &h, sizeof(h));
	if (n != sizeof(h)) {
		int err = n < 0 ? -errno : -ENOSPC;

		close(fd);
		return err;
	}
	p->fd = fd;
	return 0;
}

int pcap_open(struct pcap *p, const char *path) { return open_file(p, path, O_TRUNC); }

int pcap_open_more(struct pcap *p, const char *path) { return open_file(p, path, 0); }

int pcap_append_iov(struct pcap *p, uint64_t time_ns, const struct iovec *iov, int iovcnt)
{
	struct iovec out[PCAP_IOV_MAX + 1];
	struct rec_hdr h = {
		.sec = (uint32_t)(time_ns / NSEC_PER_SEC),
		.nsec = (uint32_t)(time_ns % NSEC_PER_SEC),
	};

	if (iovcnt < 0 || iovcnt > PCAP_IOV_MAX)
		return -EINVAL;
	out[0] = (struct iovec){ &h, sizeof(h) };
	for (int i = 0; i < iovcnt; i++) {
		size_t take = min_u64(iov[i].iov_len, PCAP_SNAPLEN - h.len);

		out[i + 1] = (struct iovec){ iov[i].iov_base, take };
		h.len += (uint32_t)take;
		h.orig_len += (uint32_t)iov[i].iov_len;
	}
	ssize_t n;
	do {
		n = writev(p->fd, out, iovcnt + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(h) + h.len ? 0 : -ENOSPC;
}

int pcap_append(struct pcap *p, uint64_t time_ns, const void *frame, uint32_t n)
{
	struct iovec iov = { (void *)frame, n };

	return pcap_append_iov(p, time_ns, &iov, 1);
}

void pcap_close(struct pcap *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}
