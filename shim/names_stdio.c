/* Exported: streams and asynchronous I/O on descriptors. glibc's stdio and aio reach the kernel without
 * passing any exported name; with the deep hooks they still reach us, without them a stream on a
 * socket of ours must be a cookie, which does. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include "shim/libc.h"
#include "shim/sock.h"

/* ---- streams ---- */
static ssize_t cookie_read(void *cookie, char *buf, size_t n)
{
	return LIBC_OURS(read)((int)(intptr_t)cookie, buf, n);
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = LIBC_OURS(write)((int)(intptr_t)cookie, buf + done, n - done);

		if (r < 0)
			return done ? (ssize_t)done : 0; /* 0 is how a cookie reports an error */
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static int cookie_close(void *cookie)
{
	return LIBC_OURS(close)((int)(intptr_t)cookie);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	cookie_io_functions_t io = { cookie_read, cookie_write, NULL, cookie_close };
	struct sock *s = sock_enter(&fd);
	FILE *f;

	if (likely(!s))
		return libc.fdopen(fd, mode);
	sock_put(s);
	f = fopencookie((void *)(intptr_t)fd, mode, io);
	if (f)
		f->_fileno = fd; /* for fileno() */
	return f;
}

/* Where libc closes the number by itself, the entry goes here. */
EXPORT int fclose(FILE *f)
{
	int fd = f ? fileno_unlocked(f) : -1, r, saved;
	struct object *o = fd >= 0 ? fdtab_get(fd) : NULL;

	if (likely(!o))
		return libc.fclose(f);
	r = libc.fclose(f);
	saved = errno;
	if (atomic_load(&fdtab[fd]) == o && libc.fcntl(fd, F_GETFD) < 0)
		fdtab_clear(fd);
	fdtab_put(o);
	errno = saved;
	return r;
}

/* ---- printing to a descriptor ---- */
EXPORT int vdprintf(int fd, const char *fmt, va_list ap)
{
	char buf[1024], *text = buf;
	va_list again;
	ssize_t r = 0;
	int n;

	if (likely(!fdtab_has(fd)))
		return libc.vdprintf(fd, fmt, ap);
	va_copy(again, ap);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	if (n >= (int)sizeof(buf)) {
		text = malloc((size_t)n + 1);
		if (text)
			vsnprintf(text, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	if (!text)
		return -1;
	for (int done = 0; done < n; done += (int)r) {
		r = LIBC_OURS(write)(fd, text + done, (size_t)(n - done));
		if (r < 0)
			break;
	}
	if (text != buf)
		free(text);
	return r < 0 ? -1 : n;
}

EXPORT int dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vdprintf(fd, fmt, ap);
	va_end(ap);
	return r;
}

int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	return fdtab_has(fd) ? vdprintf(fd, fmt, ap) : libc.__vdprintf_chk(fd, flag, fmt, ap);
}

int __dprintf_chk(int fd, int flag, const char *fmt, ...);
EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = __vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return r;
}

/* ---- aio: libc's threads do the reading and writing ---- */
#define AIO_PASS(name, params, args) \
	EXPORT int name params { return libc.name args; }
AIO_PASS(aio_read, (struct aiocb *a), (a))
AIO_PASS(aio_read64, (struct aiocb64 *a), (a))
AIO_PASS(aio_write, (struct aiocb *a), (a))
AIO_PASS(aio_write64, (struct aiocb64 *a), (a))
AIO_PASS(aio_fsync, (int op, struct aiocb *a), (op, a))
AIO_PASS(aio_fsync64, (int op, struct aiocb64 *a), (op, a))
AIO_PASS(aio_cancel, (int fd, struct aiocb *a), (fd, a))
AIO_PASS(aio_cancel64, (int fd, struct aiocb64 *a), (fd, a))
AIO_PASS(lio_listio, (int mode, struct aiocb *const *list, int n, struct sigevent *ev),
	 (mode, list, n, ev))
AIO_PASS(lio_listio64, (int mode, struct aiocb64 *const *list, int n, struct sigevent *ev),
	 (mode, list, n, ev))
