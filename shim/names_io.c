/* Exported: the calls that move bytes. Argument plumbing only; the bytes are
 * sock_recv.c's and sock_send.c's. */
// SPDX-License-Identifier: MIT
#include <sys/sendfile.h>
#include <unistd.h>
#include "shim/dgram.h"
#include "shim/libc.h"
#include "shim/sock.h"
#include "shim/pass.h"
#include "shim/sock_io.h"

#define SOCK_IO(ours, real) \
	struct sock *s = sock_enter_point(&fd); \
	ssize_t r; \
\
	if (likely(!s)) \
		return real; \
	r = ours; \
	sock_put(s); \
	return r == SOCK_TO_KERNEL ? real : to_errno(r)

/* The function of the kind of socket that s is. */
#define OURS(name, ...) (unlikely(sock_is_dgram(s)) ? dgram_##name(s, fd, __VA_ARGS__) : \
						       sock_##name(s, __VA_ARGS__))

/* ---- in ---- */
EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	SOCK_IO(OURS(read, buf, n), libc.read(fd, buf, n));
}
EXPORT_ALIAS(__read, read);

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (unlikely(n > room))
		return libc.__read_chk(fd, buf, n, room);
	return read(fd, buf, n);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	SOCK_IO(OURS(readv, iov, n, 0), libc.readv(fd, iov, n));
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	SOCK_IO(OURS(recvfrom, buf, n, flags, NULL, NULL), libc.recv(fd, buf, n, flags));
}
EXPORT_ALIAS(__recv, recv);

ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (unlikely(n > room))
		return libc.__recv_chk(fd, buf, n, room, flags);
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
			socklen_t *len)
{
	SOCK_IO(OURS(recvfrom, buf, n, flags, addr, len),
		libc.recvfrom(fd, buf, n, flags, addr, len));
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr,
		       socklen_t *len);
EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
			      struct sockaddr *addr, socklen_t *len)
{
	if (unlikely(n > room))
		return libc.__recvfrom_chk(fd, buf, n, room, flags, addr, len);
	return recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	SOCK_IO(OURS(recvmsg, msg, flags), pass_recvmsg(fd, msg, flags));
}

EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		    struct timespec *timeout)
{
	SOCK_IO(OURS(recvmmsg, msgs, n, flags, timeout),
		pass_recvmmsg(fd, msgs, n, flags, timeout));
}

/* ---- out ---- */
EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	SOCK_IO(OURS(write, buf, n), libc.write(fd, buf, n));
}
EXPORT_ALIAS(__write, write);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	SOCK_IO(OURS(writev, iov, n, 0), libc.writev(fd, iov, n));
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	SOCK_IO(OURS(sendto, buf, n, flags, NULL, 0), libc.send(fd, buf, n, flags));
}
EXPORT_ALIAS(__send, send);

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		      socklen_t len)
{
	SOCK_IO(OURS(sendto, buf, n, flags, addr, len), libc.sendto(fd, buf, n, flags, addr, len));
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	SOCK_IO(OURS(sendmsg, msg, flags), pass_sendmsg(fd, msg, flags));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	SOCK_IO(OURS(sendmmsg, msgs, n, flags), pass_sendmmsg(fd, msgs, n, flags));
}
EXPORT_ALIAS(__sendmmsg, sendmmsg);

/* ---- with an offset: the kernel says ESPIPE of a socket, also of our placeholder ---- */
static int visible(int fd)
{
	return unlikely(fdtab_has(fd)) && fdtab_is_hidden(fd) ? -1 : fd;
}

ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t room);
#define AT_OFFSET(name, params, args) \
	EXPORT ssize_t name params { fd = visible(fd); return libc.name args; }
AT_OFFSET(pread, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off))
AT_OFFSET(pread64, (int fd, void *buf, size_t n, off64_t off), (fd, buf, n, off))
AT_OFFSET(__pread_chk, (int fd, void *buf, size_t n, off_t off, size_t room),
	  (fd, buf, n, off, room))
AT_OFFSET(__pread64_chk, (int fd, void *buf, size_t n, off64_t off, size_t room),
	  (fd, buf, n, off, room))
AT_OFFSET(pwrite, (int fd, const void *buf, size_t n, off_t off), (fd, buf, n, off))
AT_OFFSET(pwrite64, (int fd, const void *buf, size_t n, off64_t off), (fd, buf, n, off))
AT_OFFSET(preadv, (int fd, const struct iovec *iov, int n, off_t off), (fd, iov, n, off))
AT_OFFSET(preadv64, (int fd, const struct iovec *iov, int n, off64_t off), (fd, iov, n, off))
AT_OFFSET(pwritev, (int fd, const struct iovec *iov, int n, off_t off), (fd, iov, n, off))
AT_OFFSET(pwritev64, (int fd, const struct iovec *iov, int n, off64_t off), (fd, iov, n, off))
EXPORT_ALIAS(__pread64, pread64);
EXPORT_ALIAS(__pwrite64, pwrite64);

/* ... except the second versions, where offset -1 means the file position: a plain readv/writev. */
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	SOCK_IO(off == -1 ? OURS(readv, iov, n, flags) : SOCK_TO_KERNEL,
		libc.preadv2(fd, iov, n, off, flags));
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	return preadv2(fd, iov, n, off, flags);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	SOCK_IO(off == -1 ? OURS(writev, iov, n, flags) : SOCK_TO_KERNEL,
		libc.pwritev2(fd, iov, n, off, flags));
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	return pwritev2(fd, iov, n, off, flags);
}

/* ---- file to socket, pipe to and from socket ---- */
EXPORT ssize_t sendfile(int fd, int in, off_t *offset, size_t count)
{
	in = visible(in);
	SOCK_IO(OURS(sendfile, in, offset, count), libc.sendfile(fd, in, offset, count));
}

EXPORT ssize_t sendfile64(int fd, int in, off64_t *offset, size_t count)
{
	return sendfile(fd, in, offset, count);
}

EXPORT ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t n,
		      unsigned int flags)
{
	struct sock *from = sock_enter(&in), *to = sock_enter(&out);
	ssize_t r = SOCK_TO_KERNEL;

	if (from && !to && !in_off && !out_off)
		r = sock_is_dgram(from) ? dgram_splice_out(from, in, out, n, flags) :
					  sock_splice_out(from, out, n, flags);
	else if (to && !from && !in_off && !out_off)
		r = sock_is_dgram(to) ? dgram_splice_in(to, out, in, n, flags) :
					sock_splice_in(to, in, n, flags);
	if (from)
		sock_put(from);
	if (to)
		sock_put(to);
	return r == SOCK_TO_KERNEL ? libc.splice(in, in_off, out, out_off, n, flags) : to_errno(r);
}
