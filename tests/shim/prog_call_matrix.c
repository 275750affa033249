/* Every call on every state of a stream socket: each on a socket of its own, one line for each different
 * behaviour with the states that show it: result, what came back, and what poll() says afterwards. */
// SPDX-License-Identifier: MIT
#include "tests/shim/states.h"
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* What a call has to say beside its result. */
static char note[256];
static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	size_t n = strlen(note);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(note + n, sizeof(note) - n, fmt, ap);
	va_end(ap);
}
/* The first result and its error, whatever comes after. */
static int kept;
static long keep(long r)
{
	kept = r < 0 ? errno : 0;
	return r;
}
static void rest(long r)
{
	if (r < 0)
		say(" then %s", t_errname(errno));
	else
		say(" then %ld", r);
}

/* ---- the states ---- */
static struct sockaddr_in full; /* a listener whose queue is full */
static struct sockaddr_in open_to; /* one that takes connections */
static struct sockaddr_in nobody; /* a port where nobody listens */
static int other = -1;

static int make_shut_listener(void)
{
	int fd = t_listen(4, NULL);
	shutdown(fd, SHUT_RD);
	return fd;
}
static int shut(int how)
{
	int fd = make_connected();
	shutdown(fd, how);
	return fd;
}
static int make_shut_rd(void) { return shut(SHUT_RD); }
static int make_shut_wr(void) { return shut(SHUT_WR); }
static int make_shut_both(void) { return shut(SHUT_RDWR); }
/* Both directions have ended. */
static int make_finished(void)
{
	int fd = make_connected();
	shutdown(fd, SHUT_WR);
	t_until(peer, POLLRDHUP);
	close(peer);
	peer = -1;
	t_until(fd, POLLHUP);
	return fd;
}
static int make_connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&full, sizeof(full));
	return fd;
}
static int make_refused(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&nobody, sizeof(nobody));
	t_until(fd, POLLHUP);
	return fd;
}
static const struct {
	const char *name;
	int (*make)(void);
} states[] = {
	{ "fresh", make_fresh },	   { "v6", make_v6 },
	{ "bound", make_bound },	   { "listening", make_listening },
	{ "shut-listener", make_shut_listener }, { "connecting", make_connecting },
	{ "connected", make_connected },   { "accepted", make_accepted },
	{ "shut-rd", make_shut_rd },	   { "shut-wr", make_shut_wr },
	{ "shut-both", make_shut_both },   { "closed", make_closed },
	{ "finished", make_finished },	   { "reset", make_reset },
	{ "refused", make_refused },
};

/* What the calls so far have set off is done: the stack answers this behind it. */
static void settle(int fd)
{
	struct tcp_info ti;
	int err = errno;
	for (int i = 0; i < 4; i++) {
		socklen_t n = sizeof(ti);
		getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &n);
	}
	errno = err;
}

/* A FIN that we have sent is acknowledged, which the other side may put off. */
static void until_acked(int fd)
{
	struct tcp_info ti = { .tcpi_state = TCP_FIN_WAIT1 };
	for (int i = 0; i < 1000 && ti.tcpi_state == TCP_FIN_WAIT1; i++) {
		socklen_t n = sizeof(ti);
		getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &n);
		if (ti.tcpi_state == TCP_FIN_WAIT1)
			t_sleep_ms(1);
	}
}

/* ---- the calls ---- */
#define CALL(name, ...) static long name(int fd) { __VA_ARGS__ }

CALL(shutdown_rd, return shutdown(fd, SHUT_RD);)
CALL(shutdown_wr, return shutdown(fd, SHUT_WR);)
CALL(shutdown_both, return shutdown(fd, SHUT_RDWR);)
CALL(shutdown_rd_wr, long r = keep(shutdown(fd, SHUT_RD));
     rest(shutdown(fd, SHUT_WR)); return r;)
CALL(shutdown_wr_twice, long r = keep(shutdown(fd, SHUT_WR)); settle(fd);
     rest(shutdown(fd, SHUT_WR)); return r;)
CALL(shutdown_both_twice, long r = keep(shutdown(fd, SHUT_RDWR)); settle(fd);
     rest(shutdown(fd, SHUT_RDWR)); return r;)
CALL(shutdown_3, return shutdown(fd, 3);)
CALL(shutdown_minus, return shutdown(fd, -1);)

static long name_with(int (*get)(int, struct sockaddr *, socklen_t *), int fd, int given, bool null)
{
	struct sockaddr_storage ss;
	int len = given;
	memset(&ss, 0x5a, sizeof(ss));
	long r = keep(get(fd, null ? NULL : (struct sockaddr *)&ss, (socklen_t *)&len));
	say(" len %d", len);
	if (r == 0 && len >= 16 && given >= 16)
		say(" family %d port %d", ss.ss_family, ((struct sockaddr_in *)&ss)->sin_port != 0);
	else if (r == 0 && given >= 2)
		say(" family %d last %x", ss.ss_family, ((unsigned char *)&ss)[given]);
	return r;
}
#define NAME(f) \
	CALL(f##_full, return name_with(f, fd, 128, false);) \
	CALL(f##_16, return name_with(f, fd, 16, false);) \
	CALL(f##_3, return name_with(f, fd, 3, false);) \
	CALL(f##_0, return name_with(f, fd, 0, false);) \
	CALL(f##_minus, return name_with(f, fd, -1, false);) \
	CALL(f##_null, return name_with(f, fd, 16, true);) \
	CALL(f##_null_0, return name_with(f, fd, 0, true);) \
	CALL(f##_nolen, struct sockaddr_in a; return f(fd, (struct sockaddr *)&a, NULL);)
NAME(getsockname)
NAME(getpeername)

static long bind_to(int fd, const char *addr, int port, int family, socklen_t len)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	if (addr)
		inet_pton(AF_INET, addr, &in->sin_addr);
	else
		*in = t_addr(port);
	in->sin_port = htons((uint16_t)port);
	ss.ss_family = (sa_family_t)family;
	return bind(fd, (struct sockaddr *)&ss, len);
}
CALL(bind_server, return bind_to(fd, NULL, 0, AF_INET, 16);)
CALL(bind_long, return bind_to(fd, NULL, 0, AF_INET, 128);)
CALL(bind_longer, return bind_to(fd, NULL, 0, AF_INET, 129);)
CALL(bind_short, return bind_to(fd, NULL, 0, AF_INET, 15);)
CALL(bind_2, return bind_to(fd, NULL, 0, AF_INET, 2);)
CALL(bind_1, return bind_to(fd, NULL, 0, AF_INET, 1);)
CALL(bind_0, return bind_to(fd, NULL, 0, AF_INET, 0);)
CALL(bind_minus, return bind_to(fd, NULL, 0, AF_INET, (socklen_t)-1);)
CALL(bind_null, return bind(fd, NULL, 16);)
CALL(bind_null_0, return bind(fd, NULL, 0);)
CALL(bind_fault, return bind(fd, (void *)8, 16);)
CALL(bind_strange, return bind_to(fd, "192.0.2.77", 0, AF_INET, 16);)
CALL(bind_group, return bind_to(fd, "224.0.0.9", 0, AF_INET, 16);)
CALL(bind_broadcast, return bind_to(fd, "255.255.255.255", 0, AF_INET, 16);)
CALL(bind_unspec_any, return bind_to(fd, "0.0.0.0", 0, AF_UNSPEC, 16);)
CALL(bind_unspec_addr, return bind_to(fd, NULL, 0, AF_UNSPEC, 16);)
CALL(bind_unix, return bind_to(fd, NULL, 0, AF_UNIX, 16);)
CALL(bind_inet6, return bind_to(fd, "0.0.0.0", 0, AF_INET6, 28);)
CALL(bind_inet6_24, return bind_to(fd, "0.0.0.0", 0, AF_INET6, 24);)
CALL(bind_twice, long r = keep(bind_to(fd, NULL, 0, AF_INET, 16));
     rest(bind_to(fd, NULL, 0, AF_INET, 16)); return r;)

CALL(listen_5, return listen(fd, 5);)
CALL(listen_0, return listen(fd, 0);)
CALL(listen_minus, return listen(fd, -1);)
CALL(listen_huge, return listen(fd, INT32_MAX);)
CALL(listen_twice, long r = keep(listen(fd, 5)); rest(listen(fd, 2)); return r;)
CALL(listen_shut_listen, long r = keep(listen(fd, 5)); rest(shutdown(fd, SHUT_RDWR)); rest(listen(fd, 5));
     return r;)

static long accept_with(int fd, int flags, int len, int what)
{
	struct sockaddr_storage ss;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return accept4(fd, what == 1 ? NULL : what == 2 ? (void *)8 : (struct sockaddr *)&ss,
		       what == 1 || what == 3 ? NULL : (socklen_t *)&len, flags);
}
CALL(accept_plain, return accept_with(fd, 0, 16, 0);)
CALL(accept_null, return accept_with(fd, 0, 16, 1);)
CALL(accept_minus, return accept_with(fd, 0, -1, 0);)
CALL(accept_fault, return accept_with(fd, 0, 16, 2);)
CALL(accept_nolen, return accept_with(fd, 0, 16, 3);)
CALL(accept_flags_1, return accept_with(fd, 1, 16, 0);)
CALL(accept_flags_all, return accept_with(fd, -1, 16, 0);)

static long connect_to(int fd, struct sockaddr_in a, int family, socklen_t len)
{
	struct sockaddr_storage ss = { 0 };
	fcntl(fd, F_SETFL, O_NONBLOCK);
	memcpy(&ss, &a, sizeof(a));
	ss.ss_family = (sa_family_t)family;
	return connect(fd, (struct sockaddr *)&ss, len);
}
/* One that connects; waits for the outcome when there will be one. */
static long try_open(int fd)
{
	long r = connect_to(fd, open_to, AF_INET, 16);
	int err = errno;
	if (r < 0 && err == EINPROGRESS)
		t_until(fd, POLLOUT);
	errno = err;
	return r;
}
static long try_nobody(int fd)
{
	long r = connect_to(fd, nobody, AF_INET, 16);
	int err = errno;
	if (r < 0 && err == EINPROGRESS)
		t_until(fd, POLLHUP);
	errno = err;
	return r;
}
static struct sockaddr_in numbers(const char *s, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, s, &a.sin_addr);
	return a;
}
CALL(connect_open, return try_open(fd);)
CALL(connect_open_twice, long r = keep(try_open(fd)); rest(try_open(fd)); rest(try_open(fd));
     return r;)
CALL(connect_full, return connect_to(fd, full, AF_INET, 16);)
CALL(connect_full_twice, long r = keep(connect_to(fd, full, AF_INET, 16));
     rest(connect_to(fd, full, AF_INET, 16)); return r;)
CALL(connect_nobody, return try_nobody(fd);)
CALL(connect_nobody_open, long r = keep(try_nobody(fd)); rest(try_open(fd)); rest(try_open(fd));
     rest(try_open(fd)); return r;)
CALL(connect_port_0, return connect_to(fd, t_addr(0), AF_INET, 16);)
CALL(connect_group, return connect_to(fd, numbers("224.0.0.9", 99), AF_INET, 16);)
CALL(connect_broadcast, return connect_to(fd, numbers("255.255.255.255", 99), AF_INET, 16);)
CALL(connect_short, return connect_to(fd, open_to, AF_INET, 15);)
CALL(connect_2, return connect_to(fd, open_to, AF_INET, 2);)
CALL(connect_1, return connect_to(fd, open_to, AF_INET, 1);)
CALL(connect_0, return connect_to(fd, open_to, AF_INET, 0);)
CALL(connect_minus, return connect_to(fd, open_to, AF_INET, (socklen_t)-1);)
CALL(connect_longer, return connect_to(fd, open_to, AF_INET, 129);)
CALL(connect_null, return connect(fd, NULL, 16);)
CALL(connect_null_0, return connect(fd, NULL, 0);)
CALL(connect_unix, return connect_to(fd, open_to, AF_UNIX, 16);)
CALL(connect_inet6, return connect_to(fd, open_to, AF_INET6, 16);)
CALL(connect_77, return connect_to(fd, open_to, 77, 16);)
CALL(connect_unspec, return connect_to(fd, open_to, AF_UNSPEC, 16);)
CALL(connect_unspec_2, return connect_to(fd, open_to, AF_UNSPEC, 2);)
CALL(connect_unspec_1, return connect_to(fd, open_to, AF_UNSPEC, 1);)
CALL(connect_unspec_again, long r = keep(connect_to(fd, open_to, AF_UNSPEC, 16));
     name_with(getsockname, fd, 16, false); rest(try_open(fd)); rest(try_open(fd));
     rest(send(fd, "x", 1, MSG_NOSIGNAL)); return r;)
CALL(connect_unspec_listen, long r = keep(connect_to(fd, open_to, AF_UNSPEC, 16)); rest(listen(fd, 3));
     return r;)
CALL(connect_unspec_twice, long r = keep(connect_to(fd, open_to, AF_UNSPEC, 16));
     rest(connect_to(fd, open_to, AF_UNSPEC, 16)); return r;)

static long get_int(int fd, unsigned long req)
{
	int v = -77;
	long r = keep(ioctl(fd, req, &v));
	if (r == 0)
		say(" %d", v);
	return r;
}
CALL(io_fionread, return get_int(fd, FIONREAD);)
CALL(io_outq, until_acked(fd); return get_int(fd, SIOCOUTQ);)
CALL(io_outqnsd, return get_int(fd, SIOCOUTQNSD);)
CALL(io_atmark, return get_int(fd, SIOCATMARK);)
CALL(io_sockatmark, return sockatmark(fd);)
CALL(io_getpgrp, return get_int(fd, SIOCGPGRP);)
CALL(io_getown, return get_int(fd, FIOGETOWN);)
CALL(io_fionread_fault, return ioctl(fd, FIONREAD, 8);)
CALL(io_outq_fault, return ioctl(fd, SIOCOUTQ, 8);)
CALL(io_atmark_fault, return ioctl(fd, SIOCATMARK, NULL);)
CALL(io_nbio_fault, return ioctl(fd, FIONBIO, NULL);)
CALL(io_nbio, int on = 1; long r = keep(ioctl(fd, FIONBIO, &on)); say(" %x", fcntl(fd, F_GETFL)); on = 0;
     rest(ioctl(fd, FIONBIO, &on)); say(" %x", fcntl(fd, F_GETFL)); return r;)
CALL(io_clex, long r = keep(ioctl(fd, FIOCLEX)); say(" %x", fcntl(fd, F_GETFD)); rest(ioctl(fd, FIONCLEX));
     say(" %x", fcntl(fd, F_GETFD)); return r;)
CALL(io_gstamp, struct timeval tv; return ioctl(fd, SIOCGSTAMP, &tv);)
CALL(io_gstampns, struct timespec ts; return ioctl(fd, SIOCGSTAMPNS, &ts);)
CALL(io_tcgets, char t[256]; return ioctl(fd, 0x5401 /* TCGETS */, t);)
CALL(io_winsz, char t[64]; return ioctl(fd, TIOCGWINSZ, t);)
CALL(io_qsize, char t[64]; return ioctl(fd, 0x5460 /* FIOQSIZE */, t);)
CALL(io_figetbsz, int v; return ioctl(fd, 2 /* FIGETBSZ */, &v);)
CALL(io_unknown, int v; return ioctl(fd, 0x12345678, &v);)
CALL(io_zero, return ioctl(fd, 0, 0);)
CALL(io_ifname, struct ifreq q = { .ifr_ifindex = 1 }; long r = keep(ioctl(fd, SIOCGIFNAME, &q));
     say(" %s", q.ifr_name); return r;)
CALL(io_ifindex, struct ifreq q = { .ifr_name = "lo" }; long r = keep(ioctl(fd, SIOCGIFINDEX, &q));
     say(" %d", q.ifr_ifindex); return r;)
CALL(io_ifmtu, struct ifreq q = { .ifr_name = "lo" }; long r = keep(ioctl(fd, SIOCGIFMTU, &q));
     say(" %d", q.ifr_mtu); return r;)
CALL(io_ifhwaddr, struct ifreq q = { .ifr_name = "lo" }; long r = keep(ioctl(fd, SIOCGIFHWADDR, &q));
     say(" %d", q.ifr_hwaddr.sa_family); return r;)
CALL(io_ifnone, struct ifreq q = { .ifr_name = "none9" }; return ioctl(fd, SIOCGIFINDEX, &q);)
CALL(io_ifconf_size, struct ifconf c = { 0 }; long r = keep(ioctl(fd, SIOCGIFCONF, &c));
     say(" whole %d", c.ifc_len % (int)sizeof(struct ifreq) == 0); return r;)
CALL(io_ifconf_fault, return ioctl(fd, SIOCGIFCONF, NULL);)

CALL(f_getfl, return fcntl(fd, F_GETFL) & ~O_NONBLOCK;)
CALL(f_getfd, return fcntl(fd, F_GETFD);)
CALL(f_setfd, long r = keep(fcntl(fd, F_SETFD, ~0)); say(" %x", fcntl(fd, F_GETFD));
     rest(fcntl(fd, F_SETFD, 0)); say(" %x", fcntl(fd, F_GETFD)); return r;)
static long set_fl(int fd, int fl)
{
	long r = keep(fcntl(fd, F_SETFL, fl));
	say(" %x", fcntl(fd, F_GETFL));
	return r;
}
CALL(f_setfl_append, return set_fl(fd, O_APPEND);)
CALL(f_setfl_nonblock, return set_fl(fd, O_NONBLOCK);)
CALL(f_setfl_noatime, return set_fl(fd, O_NOATIME);)
CALL(f_setfl_direct, return set_fl(fd, O_DIRECT);)
CALL(f_setfl_sync, return set_fl(fd, O_SYNC | O_DSYNC);)
CALL(f_setfl_creat, return set_fl(fd, O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_NOCTTY);)
CALL(f_setfl_rdonly, return set_fl(fd, O_RDONLY);)
CALL(f_setfl_all, return set_fl(fd, ~(O_ASYNC | O_DIRECT));)
CALL(f_getlk, struct flock l = { .l_type = F_WRLCK }; long r = keep(fcntl(fd, F_GETLK, &l));
     say(" %d", l.l_type); return r;)
CALL(f_setlk, struct flock l = { .l_type = F_WRLCK }; return fcntl(fd, F_SETLK, &l);)
CALL(f_setlk_fault, return fcntl(fd, F_SETLK, NULL);)
CALL(f_ofd_setlk, struct flock l = { .l_type = F_RDLCK }; long r = keep(fcntl(fd, F_OFD_SETLK, &l));
     l.l_type = F_UNLCK; rest(fcntl(fd, F_OFD_SETLK, &l)); return r;)
CALL(f_flock, long r = keep(flock(fd, LOCK_EX | LOCK_NB)); rest(flock(fd, LOCK_UN)); return r;)
CALL(f_lockf, return lockf(fd, F_TLOCK, 0);)
CALL(f_getsig, return fcntl(fd, F_GETSIG);)
CALL(f_setsig_bad, return fcntl(fd, F_SETSIG, 99);)
CALL(f_getlease, return fcntl(fd, F_GETLEASE);)
CALL(f_setlease, return fcntl(fd, F_SETLEASE, F_RDLCK);)
CALL(f_notify, return fcntl(fd, F_NOTIFY, DN_CREATE);)
CALL(f_getpipe, return fcntl(fd, F_GETPIPE_SZ);)
CALL(f_setpipe, return fcntl(fd, F_SETPIPE_SZ, 4096);)
CALL(f_seals, return fcntl(fd, F_GET_SEALS);)
CALL(f_addseals, return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);)
CALL(f_rwhint, uint64_t h = 0; return fcntl(fd, F_GET_RW_HINT, &h);)
CALL(f_unknown, return fcntl(fd, 7777, 0);)
CALL(f_dupfd_minus, return fcntl(fd, F_DUPFD, -1);)
CALL(f_dupfd_huge, return fcntl(fd, F_DUPFD, INT32_MAX);)
CALL(f_dup_query, return fcntl(fd, 1027 /* F_DUPFD_QUERY */, fd);)

CALL(x_stat, struct stat st; long r = keep(fstat(fd, &st));
     say(" mode %o size %d links %d blksize %d", st.st_mode, (int)st.st_size, (int)st.st_nlink,
	 (int)st.st_blksize); return r;)
CALL(x_statfs, struct statfs st; long r = keep(fstatfs(fd, &st)); say(" %x", (unsigned int)st.f_type);
     return r;)
CALL(x_link, char path[64], to[64] = ""; snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
     long r = keep(readlink(path, to, sizeof(to) - 1)); say(" %.8s", to); return r > 8;)
CALL(x_open, char path[64]; snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
     return open(path, O_RDWR);)
CALL(x_isfdtype, long r = keep(isfdtype(fd, S_IFSOCK)); rest(isfdtype(fd, S_IFREG)); return r;)
CALL(x_isatty, return isatty(fd) ? 1 : -1;)
CALL(x_lseek, return lseek(fd, 0, SEEK_CUR);)
CALL(x_pread, char c; return pread(fd, &c, 1, 0);)
CALL(x_pwrite, return pwrite(fd, "x", 1, 0);)
CALL(x_ftruncate, return ftruncate(fd, 0);)
CALL(x_fsync, return fsync(fd);)
CALL(x_fdatasync, return fdatasync(fd);)
CALL(x_fallocate, return fallocate(fd, 0, 0, 1);)
CALL(x_fadvise, errno = posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL); return errno ? -1 : 0;)
CALL(x_readahead, return readahead(fd, 0, 1);)
CALL(x_sync_range, return sync_file_range(fd, 0, 0, 0);)
CALL(x_copy_range, return copy_file_range(fd, NULL, fd, NULL, 1, 0);)
CALL(x_vmsplice, struct iovec v = { note, 1 }; return vmsplice(fd, &v, 1, 0);)
CALL(x_tee, return tee(fd, fd, 1, 0);)
CALL(x_mmap, return mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0;)
CALL(x_fchdir, return fchdir(fd);)
CALL(x_openat, return openat(fd, "x", O_RDONLY);)
CALL(x_getdents, char b[512]; return syscall(SYS_getdents64, fd, b, sizeof(b));)
CALL(x_getxattr, char b[32] = ""; long r = keep(fgetxattr(fd, "system.sockprotoname", b, sizeof(b)));
     say(" %.8s", b); return r;)
CALL(x_setxattr, return fsetxattr(fd, "user.x", "1", 1, 0);)
CALL(x_chmod, return fchmod(fd, 0777);)
CALL(x_epoll_wait, struct epoll_event e; return epoll_wait(fd, &e, 1, 0);)
CALL(x_epoll_self, struct epoll_event e = { 0 }; return epoll_ctl(fd, EPOLL_CTL_ADD, fd, &e);)
CALL(x_fdinfo, char path[64], b[256] = "", *p; snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
     int f = open(path, O_RDONLY); long n = read(f, b, sizeof(b) - 1); close(f);
     p = strstr(b, "flags:"); say(" %d %.6s", n > 0, p ? p : "none"); return 0;)

CALL(err_take, int e = 0; socklen_t n = 4; long r = keep(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n));
     say(" %s", e ? t_errname(e) : "0"); getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
     say(" %s", e ? t_errname(e) : "0"); return r;)
CALL(info_state, until_acked(fd); struct tcp_info ti = { 0 }; socklen_t n = sizeof(ti);
     long r = keep(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &n));
     say(" state %d", ti.tcpi_state); return r;)

#define C(f) { #f, f }
#define NAMES(f) C(f##_full), C(f##_16), C(f##_3), C(f##_0), C(f##_minus), C(f##_null), C(f##_null_0), \
	C(f##_nolen)
static const struct {
	const char *name;
	long (*run)(int fd);
} calls[] = {
	C(shutdown_rd), C(shutdown_wr), C(shutdown_both), C(shutdown_rd_wr), C(shutdown_wr_twice),
	C(shutdown_both_twice), C(shutdown_3), C(shutdown_minus), NAMES(getsockname),
	NAMES(getpeername), C(bind_server), C(bind_long), C(bind_longer), C(bind_short), C(bind_2),
	C(bind_1), C(bind_0), C(bind_minus), C(bind_null), C(bind_null_0), C(bind_fault),
	C(bind_strange), C(bind_group), C(bind_broadcast), C(bind_unspec_any), C(bind_unspec_addr),
	C(bind_unix), C(bind_inet6), C(bind_inet6_24), C(bind_twice), C(listen_5), C(listen_0),
	C(listen_minus), C(listen_huge), C(listen_twice), C(listen_shut_listen), C(accept_plain),
	C(accept_null), C(accept_minus), C(accept_fault), C(accept_nolen), C(accept_flags_1),
	C(accept_flags_all), C(connect_open), C(connect_open_twice), C(connect_full),
	C(connect_full_twice), C(connect_nobody), C(connect_nobody_open), C(connect_port_0),
	C(connect_group), C(connect_broadcast), C(connect_short), C(connect_2), C(connect_1),
	C(connect_0), C(connect_minus), C(connect_longer), C(connect_null), C(connect_null_0),
	C(connect_unix), C(connect_inet6), C(connect_77), C(connect_unspec), C(connect_unspec_2),
	C(connect_unspec_1), C(connect_unspec_again), C(connect_unspec_listen),
	C(connect_unspec_twice), C(io_fionread), C(io_outq), C(io_outqnsd), C(io_atmark),
	C(io_sockatmark), C(io_getpgrp), C(io_getown), C(io_fionread_fault), C(io_outq_fault),
	C(io_atmark_fault), C(io_nbio_fault), C(io_nbio), C(io_clex), C(io_gstamp), C(io_gstampns),
	C(io_tcgets), C(io_winsz), C(io_qsize), C(io_figetbsz), C(io_unknown), C(io_zero),
	C(io_ifname), C(io_ifindex), C(io_ifmtu), C(io_ifhwaddr), C(io_ifnone), C(io_ifconf_size),
	C(io_ifconf_fault), C(f_getfl), C(f_getfd), C(f_setfd), C(f_setfl_append),
	C(f_setfl_nonblock), C(f_setfl_noatime), C(f_setfl_direct), C(f_setfl_sync),
	C(f_setfl_creat), C(f_setfl_rdonly), C(f_setfl_all), C(f_getlk), C(f_setlk),
	C(f_setlk_fault), C(f_ofd_setlk), C(f_flock), C(f_lockf), C(f_getsig), C(f_setsig_bad),
	C(f_getlease), C(f_setlease), C(f_notify), C(f_getpipe), C(f_setpipe), C(f_seals),
	C(f_addseals), C(f_rwhint), C(f_unknown), C(f_dupfd_minus), C(f_dupfd_huge), C(f_dup_query),
	C(x_stat), C(x_statfs), C(x_link), C(x_open), C(x_isfdtype), C(x_isatty), C(x_lseek),
	C(x_pread), C(x_pwrite), C(x_ftruncate), C(x_fsync), C(x_fdatasync), C(x_fallocate),
	C(x_fadvise), C(x_readahead), C(x_sync_range), C(x_copy_range), C(x_vmsplice), C(x_tee),
	C(x_mmap), C(x_fchdir), C(x_openat), C(x_getdents), C(x_getxattr), C(x_setxattr),
	C(x_chmod), C(x_epoll_wait), C(x_epoll_self), C(x_fdinfo), C(err_take), C(info_state),
};

/* ---- all of them ---- */
static void drain(void)
{
	int fd;
	while ((fd = accept(other, NULL, NULL)) >= 0)
		close(fd);
}

static void one(size_t call, size_t state, char *out, size_t room)
{
	int fd = states[state].make();
	char errs[32] = "";
	long r;

	note[0] = '\0';
	errno = kept = 0;
	r = calls[call].run(fd);
	if (r < 0)
		snprintf(errs, sizeof(errs), " %s", t_errname(kept ? kept : errno));
	settle(fd);
	snprintf(out, room, "%ld%s%s | %s", r, errs, note,
		 t_mask((uint32_t)t_poll(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP)));
	t_reset(fd);
	if (peer >= 0)
		t_reset(peer);
	peer = -1;
	drain();
}

static void matrix(void)
{
	static char seen[T_COUNT(states)][512];

	for (size_t c = 0; c < T_COUNT(calls); c++) {
		for (size_t s = 0; s < T_COUNT(states); s++)
			one(c, s, seen[s], sizeof(seen[s]));
		for (size_t s = 0; s < T_COUNT(states); s++) {
			char names[256];
			size_t n;

			if (!seen[s][0])
				continue;
			n = (size_t)sprintf(names, "%s", states[s].name);
			for (size_t k = s + 1; k < T_COUNT(states); k++) {
				if (strcmp(seen[s], seen[k]))
					continue;
				n += (size_t)sprintf(names + n, ",%s", states[k].name);
				seen[k][0] = '\0';
			}
			t_out("%s (%s) %s", calls[c].name, names, seen[s]);
		}
	}
}

static void all(void)
{
	int fill[2], l = t_listen(0, &full), none = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(nobody);

	signal(SIGPIPE, SIG_IGN);
	/* Bound, because a free port could become that of a connecting socket, which then is its own peer. */
	nobody = t_addr(0);
	if (bind(none, (struct sockaddr *)&nobody, sizeof(nobody)) < 0 ||
	    getsockname(none, (struct sockaddr *)&nobody, &len) < 0)
		t_out("bind failed: %s", t_errname(errno));
	other = t_listen(64, &open_to);
	fcntl(other, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&full, sizeof(full));
		if (i == 0)
			t_until(fill[i], POLLOUT);
	}
	matrix();
	close(fill[0]);
	close(fill[1]);
	close(l);
	close(none);
	close(other);
}

T_MAIN(T_CASE(all))
