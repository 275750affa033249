/* Actions on descriptors: dup in all forms, fcntl, ioctl, and the file calls that a socket refuses.
 */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <linux/sockios.h>
#include <sys/stat.h>

static void do_dup(struct dice *d)
{
	int from = pick_wild(d, K_SOCKET), to = empty_slot(d), how = (int)roll(d, 3), fd;
	struct object *o = object_of(from);

	if (to < 0)
		return;
	tr(" %s %s", slot_name(from), how == 0 ? "dup" : how == 1 ? "F_DUPFD" : "F_DUPFD_CLOEXEC");
	fd = how == 0 ? dup(fd_of(from))
		      : fcntl(fd_of(from), how == 1 ? F_DUPFD : F_DUPFD_CLOEXEC, w.base_fd + 20);
	tr_fd(fd);
	if (fd < 0)
		return;
	tr(" in s%d", to);
	put(to, fd, o);
}

static void do_dup2(struct dice *d)
{
	int from = pick_wild(d, K_SOCKET), to = pick(d, K_ANY), fd = fd_of(to), r;
	int flags = chance(d, 80) ? 0 : ONE_OF(d, O_CLOEXEC, O_NONBLOCK);
	bool three = chance(d, 50);
	struct object *o = object_of(from);

	if (chance(d, 40) || to < 0) {
		to = empty_slot(d);
		fd = w.base_fd + 40 + to;
	}
	if (to < 0)
		return;
	tr(" %s dup%d onto s%d flags %x", slot_name(from), three ? 3 : 2, to, three ? flags : 0);
	r = three ? dup3(fd_of(from), fd, flags) : dup2(fd_of(from), fd);
	tr_fd(r);
	if (r < 0 || from == to)
		return;
	o->refs++; /* it stays when `to` was its only slot */
	forget(to);
	put(to, r, o);
	o->refs--;
}

static void do_fcntl(struct dice *d)
{
	int slot = pick_wild(d, K_SOCKET), arg = 0;
	int cmd = ONE_OF(d, F_GETFL, F_GETFL, F_SETFL, F_SETFL, F_SETFL, F_GETFD, F_SETFD, F_GETOWN,
			 F_GETSIG, 9999, F_GETLK, F_GETPIPE_SZ);
	struct flock lock = {.l_type = F_WRLCK};
	long r;

	if (cmd == F_SETFL)
		arg = ONE_OF(d, 0, 0, O_NONBLOCK, O_NONBLOCK, O_APPEND, O_NONBLOCK | O_APPEND,
			     O_RDONLY, O_WRONLY, O_CREAT, O_NOATIME);
	if (cmd == F_SETFD)
		arg = ONE_OF(d, 0, FD_CLOEXEC, 2);
	tr(" %s fcntl(%d, %x)", slot_name(slot), cmd, arg);
	r = cmd == F_GETLK ? fcntl(fd_of(slot), cmd, &lock) : fcntl(fd_of(slot), cmd, arg);
	if (cmd == F_GETFL && r >= 0)
		tr(" = %lx", r);
	else
		tr_res(r);
}

/* Unacknowledged bytes go when the delayed acknowledgement (40 ms) has come. */
static int outq(int fd, unsigned long req)
{
	int v = -1, r = 0;

	for (int i = 0; i < 60; i++) {
		r = ioctl(fd, req, &v);
		if (r < 0 || v == 0)
			break;
		t_sleep_ms(1);
	}
	tr_res(r);
	return v;
}

static void do_ioctl(struct dice *d)
{
	static const struct {
		unsigned long req;
		const char *name;
	} reqs[] = {{FIONREAD, "FIONREAD"}, {SIOCOUTQ, "SIOCOUTQ"}, {SIOCOUTQNSD, "SIOCOUTQNSD"},
		    {FIONBIO, "FIONBIO"},   {FIONBIO, "FIONBIO"},   {SIOCATMARK, "SIOCATMARK"},
		    {FIOCLEX, "FIOCLEX"},   {FIONCLEX, "FIONCLEX"}, {0x5401, "TCGETS"},
		    {0x9999, "unknown"}};
	int slot = pick_wild(d, K_SOCKET), v = -1, r;
	uint32_t i = roll(d, T_COUNT(reqs));
	unsigned char room[64] = {0};

	if (reqs[i].req == FIONBIO)
		v = (int)roll(d, 2);
	tr(" %s ioctl(%s, %d)", slot_name(slot), reqs[i].name, v);
	if (reqs[i].req == SIOCOUTQ || reqs[i].req == SIOCOUTQNSD) {
		v = outq(fd_of(slot), reqs[i].req);
		/* What a connection that has ended had not sent is counted on by the kernel. */
		if (!(t_poll(fd_of(slot), 0) & POLLHUP))
			tr(" gives %d", v);
		return;
	}
	if (chance(d, 4) && reqs[i].req != FIOCLEX && reqs[i].req != FIONCLEX) {
		tr(" bad pointer");
		tr_res(ioctl(fd_of(slot), reqs[i].req, (void *)8));
		return;
	}
	memcpy(room, &v, sizeof(v));
	r = ioctl(fd_of(slot), reqs[i].req, room);
	memcpy(&v, room, sizeof(v));
	tr_res(r);
	if (r == 0)
		tr(" gives %d", v);
}

static void do_file_call(struct dice *d)
{
	int slot = pick_wild(d, K_SOCKET), fd = fd_of(slot);
	struct stat st;
	char c = 0;

	tr(" %s", slot_name(slot));
	switch (roll(d, 8)) {
	case 0:
		tr(" lseek");
		tr_res(lseek(fd, 0, SEEK_SET));
		break;
	case 1:
		tr(" pread");
		tr_res(pread(fd, &c, 1, 0));
		break;
	case 2:
		tr(" pwrite");
		tr_res(pwrite(fd, &c, 1, 0));
		break;
	case 3:
		tr(" ftruncate");
		tr_res(ftruncate(fd, 0));
		break;
	case 4:
		tr(" fsync");
		tr_res(fsync(fd));
		break;
	case 5:
		tr(" isatty");
		tr_res(isatty(fd));
		if (!isatty(fd))
			tr(" %s", t_errname(errno));
		break;
	case 6:
		tr(" fstat");
		if (tr_res(fstat(fd, &st)) == 0)
			tr(" %o", st.st_mode);
		break;
	default:
		tr(" isfdtype");
		tr_res(isfdtype(fd, S_IFSOCK));
	}
}

const struct action fd_actions[] = {
	{"dup", 3, do_dup},	{"dup2", 3, do_dup2},	   {"fcntl", 5, do_fcntl},
	{"ioctl", 5, do_ioctl}, {"file", 2, do_file_call}, {NULL},
};
