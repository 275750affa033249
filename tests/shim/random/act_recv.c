/* Actions that receive: each call of the family with sizes, flags and vectors. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

static unsigned char data[65536 + 16];

static int some_flags(struct dice *d)
{
	int flags = 0;

	if (chance(d, 35))
		return 0;
	if (chance(d, 60))
		flags |= MSG_DONTWAIT;
	if (chance(d, 20))
		flags |= MSG_PEEK;
	if (chance(d, 12))
		flags |= MSG_TRUNC;
	if (chance(d, 12))
		flags |= MSG_WAITALL;
	if (chance(d, 5))
		flags |= ONE_OF(d, MSG_OOB, MSG_ERRQUEUE, MSG_CMSG_CLOEXEC, MSG_NOSIGNAL, 0x80000);
	return w.oob ? flags : flags & ~MSG_OOB;
}

static const char *flag_text(int flags)
{
	static char text[128];
	snprintf(text, sizeof(text), "%s%s%s%s%s", flags & MSG_DONTWAIT ? "DONTWAIT " : "",
		 flags & MSG_PEEK ? "PEEK " : "", flags & MSG_TRUNC ? "TRUNC " : "",
		 flags & MSG_WAITALL ? "WAITALL " : "",
		 flags & MSG_OOB						? "OOB"
		 : flags & MSG_ERRQUEUE						? "ERRQUEUE"
		 : flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_WAITALL) ? "other"
										: "");
	return text;
}

struct recv {
	int slot, fd, flags;
	size_t size;
	struct object *o;
};

static struct recv begin(struct dice *d, const char *call, bool with_flags)
{
	struct recv s = {.slot = pick_wild(d, chance(d, 90) ? K_CONNECTED : K_TCP)};
	int waits = 0;

	s.fd = fd_of(s.slot);
	s.o = object_of(s.slot);
	if (s.o && !(s.o->kind & K_TCP))
		s.o = NULL;
	s.size = (size_t)ONE_OF(d, 0, 1, 2, 5, 16, 100, 100, 1000, 4096, 65536, 65536, 65536);
	s.flags = with_flags ? some_flags(d) : 0;
	tr(" %s %s(%zu", slot_name(s.slot), call, s.size);
	if (with_flags)
		tr(", %s", flag_text(s.flags));
	tr(")");
	memset(data, 0x55, s.size + 1);
	ioctl(s.fd, FIONREAD, &waits);
	guard_recv(s.fd, t_poll(s.fd, POLLIN) &&
			      (!(s.flags & MSG_WAITALL) || (size_t)waits >= s.size));
	return s;
}

static void content(struct recv *s, ssize_t r)
{
	if (r < 0 || !s->o || s->flags & MSG_ERRQUEUE)
		return;
	if ((size_t)r > s->size) {
		tr(" TOO MUCH");
		return;
	}
	if (s->flags & MSG_OOB) {
		tr(" '%c'", data[0]);
		return;
	}
	if (!(s->flags & MSG_TRUNC) && !s->o->loose)
		tr(" %s", check_pattern(data, s->o->rx, (size_t)r));
	/* Linux does not touch the buffer with MSG_TRUNC on a stream. */
	if (data[s->flags & MSG_TRUNC ? 0 : r] != 0x55)
		tr(" OVERRUN");
	if (!(s->flags & MSG_PEEK))
		s->o->rx += (uint32_t)r;
}

static void end(struct recv *s, ssize_t r)
{
	guard_end();
	tr_res(r);
	content(s, r);
}

static void do_recv(struct dice *d)
{
	struct recv s = begin(d, "recv", true);

	end(&s, recv(s.fd, data, s.size, s.flags));
}

static void do_read(struct dice *d)
{
	struct recv s = begin(d, "read", false);

	end(&s, read(s.fd, data, s.size));
}

static void do_recvfrom(struct dice *d)
{
	struct recv s = begin(d, "recvfrom", true);
	struct sockaddr_in from = {.sin_family = 0x5555};
	socklen_t len = (socklen_t)ONE_OF(d, sizeof(from), sizeof(from), 0, 100, -1);

	tr(" len %d", (int)len);
	end(&s, recvfrom(s.fd, data, s.size, s.flags, (struct sockaddr *)&from, &len));
	tr(" now %d family %x", (int)len, from.sin_family);
}

static int cut(struct dice *d, struct iovec *iov, int max, size_t size)
{
	int n = 1 + (int)roll(d, (uint32_t)max);
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		size_t part = i == n - 1 ? size - at : roll(d, (uint32_t)(size - at) + 1);
		iov[i] = (struct iovec){data + at, part};
		at += part;
	}
	return n;
}

static void do_readv(struct dice *d)
{
	struct recv s = begin(d, "readv", false);
	struct iovec iov[8];
	int n = cut(d, iov, 8, s.size);

	if (chance(d, 4)) {
		n = ONE_OF(d, 0, -1);
		s.size = 0;
	}
	tr(" in %d", n);
	end(&s, readv(s.fd, iov, n));
}

static void do_recvmsg(struct dice *d)
{
	struct recv s = begin(d, "recvmsg", true);
	struct sockaddr_in from = {.sin_family = 0x5555};
	char control[64];
	struct iovec iov[4];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)cut(d, iov, 4, s.size)};
	ssize_t r;

	if (chance(d, 30)) {
		m.msg_name = &from;
		m.msg_namelen = (socklen_t)ONE_OF(d, sizeof(from), 4, -1);
	}
	if (chance(d, 30)) {
		m.msg_control = control;
		m.msg_controllen = (size_t)ONE_OF(d, 0, 8, 64);
	}
	if (chance(d, 3))
		m.msg_iovlen = s.size = 0;
	m.msg_flags = 0x7777;
	tr(" name %d control %zu iov %zu", (int)m.msg_namelen, m.msg_controllen, m.msg_iovlen);
	r = recvmsg(s.fd, &m, s.flags);
	end(&s, r);
	tr(" name %d control %zu flags %x", (int)m.msg_namelen, m.msg_controllen, m.msg_flags);
}

static void do_recvmmsg(struct dice *d)
{
	struct recv s = begin(d, "recvmmsg", true);
	struct mmsghdr m[3] = {0};
	struct iovec iov[3];
	unsigned int n = roll(d, 4);
	struct timespec t = {.tv_nsec = 1000000};
	bool timed = chance(d, 30);
	int r;

	if (s.size > 16)
		s.size = 16;
	s.flags &= ~MSG_PEEK;
	if (chance(d, 50))
		s.flags |= MSG_WAITFORONE;
	if (n > 1 && !(s.flags & MSG_WAITFORONE)) {
		s.flags |= MSG_DONTWAIT;
		tr(" DONTWAIT");
	}
	tr(" of %u %zu%s%s", n, s.size, timed ? " timed" : "",
	   s.flags & MSG_WAITFORONE ? " FORONE" : "");
	for (unsigned int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){data + i * s.size, s.size};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	r = recvmmsg(s.fd, m, n, s.flags, timed ? &t : NULL);
	guard_end();
	tr_res(r);
	for (int i = 0; i < r; i++) {
		tr(" %u", m[i].msg_len);
		if (s.o && !s.o->loose && !(s.flags & (MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE)))
			tr(" %s", check_pattern(data + (size_t)i * s.size, s.o->rx, m[i].msg_len));
		if (s.o && !(s.flags & (MSG_OOB | MSG_ERRQUEUE)))
			s.o->rx += m[i].msg_len;
	}
}

static void do_splice_in(struct dice *d)
{
	struct recv s = begin(d, "splice", false);
	ssize_t r;

	/* A pipe takes 16 buffers, whose size is each kernel's own. */
	if (s.size > 4096)
		s.size = 4096;
	guard_recv(s.fd, t_poll(s.fd, POLLIN));
	r = splice(s.fd, NULL, w.pipe[1], NULL, s.size, chance(d, 30) ? SPLICE_F_NONBLOCK : 0);
	guard_end();
	tr_res(r);
	if (r > 0 && read(w.pipe[0], data, sizeof(data)) != r)
		tr(" PIPE");
	if (r > 0 && s.o && !s.o->loose)
		tr(" %s", check_pattern(data, s.o->rx, (size_t)r));
	if (r > 0 && s.o)
		s.o->rx += (uint32_t)r;
}

const struct action recv_actions[] = {
	{"recv", 12, do_recv},		{"read", 6, do_read},
	{"recvfrom", 3, do_recvfrom},	{"readv", 4, do_readv},
	{"recvmsg", 6, do_recvmsg},	{"recvmmsg", 3, do_recvmmsg},
	{"splice_in", 2, do_splice_in}, {NULL},
};
