/* Actions that send: each call of the family with sizes, flags and vectors; full buffers. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <sys/sendfile.h>

static unsigned char data[65536];

static const struct {
	int bit;
	const char *name;
} flag_names[] = {
	{MSG_DONTWAIT, "DONTWAIT"}, {MSG_NOSIGNAL, "NOSIGNAL"}, {MSG_MORE, "MORE"},
	{MSG_EOR, "EOR"},	    {MSG_CONFIRM, "CONFIRM"},	{MSG_DONTROUTE, "DONTROUTE"},
	{MSG_PEEK, "PEEK"},	    {MSG_TRUNC, "TRUNC"},	{MSG_WAITALL, "WAITALL"},
	{MSG_OOB, "OOB"},	    {0x80000, "unknown"},
};

static const char *flag_text(int flags)
{
	static char text[128];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < T_COUNT(flag_names); i++)
		if (flags & flag_names[i].bit)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? "|" : "",
					      flag_names[i].name);
	return n ? text : "0";
}

/* MSG_FIN is left out: the stack gives it the meaning of HP-UX's MSG_EOF, a declared difference. */
static int some_flags(struct dice *d)
{
	int flags = 0;

	if (chance(d, 45))
		return 0;
	if (chance(d, 40))
		flags |= MSG_NOSIGNAL;
	if (chance(d, 40))
		flags |= MSG_DONTWAIT;
	if (chance(d, 6))
		flags |= MSG_MORE;
	if (chance(d, 10))
		flags |= ONE_OF(d, MSG_EOR, MSG_CONFIRM, MSG_DONTROUTE, MSG_PEEK, MSG_TRUNC,
				MSG_WAITALL, 0x80000);
	return flags;
}

static size_t some_size(struct dice *d, const struct object *o)
{
	uint32_t unread = o ? o->tx - (o->peer ? o->peer->rx : 0) : 0;
	size_t n = (size_t)ONE_OF(d, 0, 1, 1, 2, 3, 7, 16, 100, 100, 536, 1000, 1448, 1460, 4096,
				  9000, 16384, 30000);

	/* How much fits beyond this is each kernel's own affair; act of its own: "fill". */
	if (w.small_buffers)
		n = n > 100 ? 100 : n;
	return unread + n > (w.small_buffers ? 400 : MAX_UNREAD) ? 1 : n;
}

struct send {
	int slot, fd, flags;
	size_t size;
	struct object *o;
};

/* Linux, with a peer: what is sent after a MSG_MORE to somebody else goes there, too. */
static void name_it(struct send *s)
{
	const struct object *o = object_of(s->slot);

	if (o && o->peered)
		s->flags &= ~MSG_MORE;
}

static struct send begin(struct dice *d, const char *call, bool with_flags)
{
	struct send s = {.slot = pick_wild(d, chance(d, 90) ? K_CONNECTED : K_TCP)};

	s.fd = fd_of(s.slot);
	s.o = object_of(s.slot);
	if (s.o && !(s.o->kind & K_TCP))
		s.o = NULL;
	s.size = some_size(d, s.o);
	s.flags = with_flags ? some_flags(d) : 0;
	fill_pattern(data, s.o ? s.o->tx : 0, s.size);
	tr(" %s %s(%zu", slot_name(s.slot), call, s.size);
	if (with_flags)
		tr(", %s", flag_text(s.flags));
	tr(")");
	guard_send(s.fd, t_poll(s.fd, POLLOUT) != 0);
	return s;
}

static void end(struct send *s, ssize_t r)
{
	guard_end();
	tr_res(r);
	if (r > 0 && s->o)
		s->o->tx += (uint32_t)r;
}

static void do_send(struct dice *d)
{
	struct send s = begin(d, "send", true);

	end(&s, send(s.fd, data, s.size, s.flags));
}

static void do_write(struct dice *d)
{
	struct send s = begin(d, "write", false);

	end(&s, write(s.fd, data, s.size));
}

static void do_sendto(struct dice *d)
{
	struct send s = begin(d, "sendto", true);
	struct sockaddr_in to = t_addr(w.pool[roll(d, POOL_PORTS)]);
	socklen_t len = chance(d, 80) ? sizeof(to) : (socklen_t)ONE_OF(d, 0, 8, 200, -1);
	bool null = chance(d, 20);

	name_it(&s);
	tr(" to %s len %d", null ? "NULL" : addr_text(&to), (int)len);
	const struct sockaddr *sa = addr_for(s.fd, &to, &len);
	end(&s, sendto(s.fd, data, s.size, s.flags, null ? NULL : sa, len));
}

/* Cuts the bytes into parts, some of them empty; one may be a bad pointer. */
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

static void do_writev(struct dice *d)
{
	struct send s = begin(d, "writev", false);
	struct iovec iov[8];
	int n = cut(d, iov, 8, s.size);

	if (chance(d, 4))
		n = ONE_OF(d, 0, -1, 1025);
	tr(" in %d", n);
	if (n == 1025) {
		static struct iovec many[1025];
		end(&s, writev(s.fd, many, n));
		return;
	}
	/* Alone: how much of what comes before it is sent depends on where the kernel's pages end. */
	if (chance(d, 4)) {
		tr(" the last is bad");
		for (int i = 0; i < n; i++)
			iov[i].iov_len = 0;
		iov[n - 1] = (struct iovec){(void *)8, 10};
	}
	end(&s, writev(s.fd, iov, n));
}

static void do_sendmsg(struct dice *d)
{
	struct send s = begin(d, "sendmsg", true);
	struct sockaddr_in to = t_addr(w.pool[0]);
	struct iovec iov[4];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)cut(d, iov, 4, s.size)};
	char control[64] = {0};

	if (chance(d, 15)) {
		name_it(&s);
		m.msg_name = &to;
		m.msg_namelen = (socklen_t)ONE_OF(d, sizeof(to), 4, -1);
		tr(" named %d", (int)m.msg_namelen);
	}
	if (chance(d, 6)) {
		m.msg_control = control;
		m.msg_controllen = (size_t)ONE_OF(d, 0, 8, 16, 32);
		((struct cmsghdr *)control)->cmsg_len = (size_t)ONE_OF(d, 0, 16, 20, 64);
		((struct cmsghdr *)control)->cmsg_level = ONE_OF(d, SOL_SOCKET, IPPROTO_IP, 77);
		((struct cmsghdr *)control)->cmsg_type = 77;
		tr(" control %zu %zu %d", m.msg_controllen, ((struct cmsghdr *)control)->cmsg_len,
		   ((struct cmsghdr *)control)->cmsg_level);
	}
	if (chance(d, 3)) {
		m.msg_iovlen = (size_t)ONE_OF(d, 0, 1025);
		tr(" iovlen %zu", m.msg_iovlen);
	}
	if (m.msg_iovlen == 1025) {
		static struct iovec many[1025];
		m.msg_iov = many;
	}
	end(&s, sendmsg(s.fd, &m, s.flags));
}

static void do_sendmmsg(struct dice *d)
{
	struct send s = begin(d, "sendmmsg", true);
	struct mmsghdr m[3] = {0};
	struct iovec iov[3];
	/* A reset by the first message comes back before the second in the kernel, later on the stack. */
	bool whole = t_poll(s.fd, POLLRDHUP | POLLERR | POLLHUP) == 0 && s.o && s.o->peer &&
		     !s.o->peer->shut;
	unsigned int n = roll(d, whole ? 4 : 2);
	size_t at = 0;
	int r;

	for (unsigned int i = 0; i < 3; i++) {
		size_t part = i + 1 == n ? s.size - at : roll(d, (uint32_t)(s.size - at) + 1);
		iov[i] = (struct iovec){data + at, part};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		at += part;
	}
	tr(" of %u", n);
	r = sendmmsg(s.fd, m, n, s.flags);
	guard_end();
	tr_res(r);
	for (int i = 0; i < r; i++) {
		tr(" %u", m[i].msg_len);
		if (s.o)
			s.o->tx += m[i].msg_len;
	}
}

static void do_sendfile(struct dice *d)
{
	struct send s = begin(d, "sendfile", false);
	off_t at = s.o ? s.o->tx % 30000 : 0, start = at;
	bool own = chance(d, 70);

	/* In several pieces on the stack: a reset by the first may come before the last. */
	if (s.size > 100 && t_poll(s.fd, POLLRDHUP) & (POLLRDHUP | POLLERR | POLLHUP))
		s.size = 100;
	/* The file has the pattern's first 64 KB: elsewhere the stream is no longer checked. */
	if (s.o && s.o->tx >= 30000) {
		s.o->loose = true;
		if (s.o->peer)
			s.o->peer->loose = true;
	}
	lseek(w.file, at, SEEK_SET);
	end(&s, sendfile(s.fd, w.file, own ? &at : NULL, s.size));
	tr(" offset +%lld", (long long)((own ? at : lseek(w.file, 0, SEEK_CUR)) - start));
}

static void do_splice_out(struct dice *d)
{
	struct send s = begin(d, "splice", false);
	int held = 0;
	ssize_t in;

	if (s.size > 4096)
		s.size = 4096;
	in = write(w.pipe[1], data, s.size);
	tr(" pipe %zd", in);
	end(&s, splice(w.pipe[0], NULL, s.fd, NULL, 65536, chance(d, 30) ? SPLICE_F_NONBLOCK : 0));
	ioctl(w.pipe[0], FIONREAD, &held);
	tr(" left %d", held);
	while (read(w.pipe[0], data, sizeof(data)) > 0)
		;
}

static void do_oob(struct dice *d)
{
	int slot = pick(d, K_CONNECTED);
	struct object *o = object_of(slot);

	if (slot < 0 || !w.oob)
		return;
	tr(" %s send(1, OOB)", slot_name(slot));
	guard_begin(true);
	if (tr_res(send(fd_of(slot), "!", 1, MSG_OOB)) > 0) {
		o->loose = true;
		if (o->peer)
			o->peer->loose = true;
	}
	guard_end();
}

/* Sends until nothing more fits, then reads all of it at the other end: counts in between are each
 * kernel's own, the sum is not. */
static void do_fill(struct dice *d)
{
	int slot = pick(d, K_CONNECTED), at = -1;
	struct object *o = object_of(slot);
	uint64_t end_ms;
	uint32_t sent;
	static char sink[262144];

	if (!o || !o->peer || o->peer->shut || o->loose || !chance(d, 40))
		return;
	for (int i = 0; i < SLOTS; i++)
		if (object_of(i) == o->peer)
			at = i;
	tr(" s%d fill", slot);
	guard_begin(true);
	sent = (uint32_t)t_fill(fd_of(slot));
	guard_end();
	/* From here on: a smallest send buffer fills the peer at the pace of delayed ACKs. */
	end_ms = t_now_ms() + 5000;
	tr(" some=%d %s", sent > 0, t_mask((uint32_t)t_poll(fd_of(slot), POLLIN | POLLOUT)));
	o->tx += sent;
	o->loose = o->peer->loose = true; /* t_fill() has its own bytes */
	while (o->peer->rx != o->tx && t_now_ms() < end_ms) {
		ssize_t n = recv(fd_of(at), sink, sizeof(sink), MSG_DONTWAIT);
		if (n > 0)
			o->peer->rx += (uint32_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
		else
			t_sleep_ms(1);
	}
	tr(" all arrived=%d", o->peer->rx == o->tx);
}

const struct action send_actions[] = {
	{"send", 12, do_send},
	{"write", 6, do_write},
	{"sendto", 3, do_sendto},
	{"writev", 5, do_writev},
	{"sendmsg", 6, do_sendmsg},
	{"sendmmsg", 3, do_sendmmsg},
	{"sendfile", 3, do_sendfile},
	{"splice", 2, do_splice_out},
	{"oob", 1, do_oob},
	{"fill", 1, do_fill},
	{NULL},
};
