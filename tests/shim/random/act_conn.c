/* Actions that make and end connections: socket, bind, listen, connect, accept, shutdown, close. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

static const char *type_flags(int flags)
{
	return flags == 0				 ? "0"
	       : flags == SOCK_NONBLOCK			 ? "NONBLOCK"
	       : flags == SOCK_CLOEXEC			 ? "CLOEXEC"
	       : flags == (SOCK_NONBLOCK | SOCK_CLOEXEC) ? "NONBLOCK|CLOEXEC"
							 : "bad";
}

static int some_type_flags(struct dice *d)
{
	return ONE_OF(d, 0, 0, 0, SOCK_NONBLOCK, SOCK_NONBLOCK, SOCK_CLOEXEC,
		      SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void prepare(int fd)
{
	int one = 1;

	if (w.nodelay)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void do_socket(struct dice *d)
{
	int slot = empty_slot(d), flags = some_type_flags(d);
	int type = chance(d, 96) ? SOCK_STREAM : ONE_OF(d, 77, SOCK_SEQPACKET, SOCK_RDM);
	int proto = chance(d, 96) ? ONE_OF(d, 0, IPPROTO_TCP) : ONE_OF(d, IPPROTO_UDP, 255, -1);
	int fd, family = some_family(d);

	if (slot < 0)
		return;
	tr(" s%d socket(%s%d|%s, %d)", slot, family == AF_INET6 ? "6, " : "", type,
	   type_flags(flags), proto);
	fd = tr_fd(socket(family, type | flags, proto));
	if (fd < 0)
		return;
	prepare(fd);
	put(slot, fd, object_new(K_STREAM));
}

/* The port of another slot's socket, or 0. */
static uint16_t port_of(int slot)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	if (slot < 0 || getsockname(fd_of(slot), (struct sockaddr *)&a, &len) < 0)
		return 0;
	return ntohs(a.sin_port);
}

static int tcp_state_of(int slot)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	getsockopt(fd_of(slot), IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_state;
}

/* One that bind() may ask for, too: not that of an ended connection, which is anybody's by now. */
static uint16_t port_to_share(int slot)
{
	return slot >= 0 && tcp_state_of(slot) == TCP_CLOSE && object_of(slot)->kind == K_CONNECTED ?
		       0 : port_of(slot);
}

static void do_bind(struct dice *d)
{
	int slot = pick_wild(d, chance(d, 80) ? K_STREAM : K_TCP), port = 0, r;
	struct object *o = object_of(slot);
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);

	/* An ended connection that is bound anew: the stack forgets what was not read, Linux does not. */
	if (o && o->kind == K_CONNECTED && tcp_state_of(slot) == TCP_CLOSE)
		return;
	if (chance(d, 70))
		port = w.pool[roll(d, POOL_PORTS)];
	else if (chance(d, 50))
		port = port_to_share(pick(d, K_TCP));
	a.sin_port = htons((uint16_t)port);
	r = (int)roll(d, 100);
	if (r < 25)
		a.sin_addr.s_addr = htonl(INADDR_ANY);
	else if (r < 30)
		inet_pton(AF_INET, "10.99.9.9", &a.sin_addr);
	else if (r < 35)
		a.sin_family = AF_UNSPEC;
	else if (r < 37)
		a.sin_family = 99;
	else if (r < 41)
		len = (socklen_t)ONE_OF(d, 0, 2, 15, 200, -1);
	tr(" %s bind(%s, len %d)", slot_name(slot), addr_text(&a), (int)len);
	const struct sockaddr *sa = addr_for(fd_of(slot), &a, &len);
	tr_res(bind(fd_of(slot), sa, len));
}

static void do_listen(struct dice *d)
{
	int slot = pick_wild(d, K_STREAM | K_LISTENER);
	int backlog = ONE_OF(d, 5, 5, 8, 128, 4096, -1, INT32_MAX);
	struct object *o = object_of(slot);

	if (o && o->shut)
		return;

	tr(" %s listen(%d)", slot_name(slot), backlog);
	if (tr_res(listen(fd_of(slot), backlog)) == 0 && o && o->kind & K_TCP)
		o->kind = K_LISTENER;
}

/* The slot's socket goes, with all its numbers. */
static void close_all_of(int slot)
{
	const struct object *o = object_of(slot);

	for (int i = 0; o && i < SLOTS; i++) {
		if (object_of(i) == o) {
			close(fd_of(i));
			forget(i);
		}
	}
}

/* A connection attempt that nobody answers would come to life at some later time, by a
 * retransmission: its socket is closed. */
static void close_the_stuck(int slot)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (slot < 0 || slot >= SLOTS || !object_of(slot))
		return;
	getsockopt(fd_of(slot), IPPROTO_TCP, TCP_INFO, &info, &len);
	if (info.tcpi_state != TCP_SYN_SENT)
		return;
	tr(" stuck");
	close_all_of(slot);
}

static struct sockaddr_in destination(struct dice *d, int slot)
{
	struct sockaddr_in a = t_addr(0);
	uint32_t r = roll(d, 100);
	int l = pick(d, K_LISTENER);

	if (r < 75 && l >= 0)
		a.sin_port = htons(port_of(l));
	else if (r < 85)
		a.sin_port = htons(w.pool[roll(d, POOL_PORTS)]);
	else if (r < 90)
		a.sin_port = htons(9); /* closed */
	else if (r < 93)
		a.sin_port = htons(port_of(slot)); /* to itself, if bound */
	else if (r < 95)
		a.sin_family = AF_UNSPEC;
	else if (r < 96)
		a.sin_family = 99;
	else if (r < 98)
		inet_pton(AF_INET, "192.0.2.1", &a.sin_addr); /* no route */
	return a;
}

static void do_connect(struct dice *d)
{
	int slot = pick_wild(d, chance(d, 85) ? K_STREAM : K_TCP), r;
	struct sockaddr_in a = destination(d, slot);
	socklen_t len = chance(d, 97) ? sizeof(a) : (socklen_t)ONE_OF(d, 0, 1, 2, 15, 200, -1);
	struct object *o = object_of(slot);
	const struct sockaddr *sa;

	/* Linux keeps what a shutdown() of an unconnected socket noted: a connection or a listener born
	 * half-closed. On the stack a new one is whole. */
	if (o && o->shut)
		return;
	tr(" %s connect(%s, len %d)", slot_name(slot), addr_text(&a), (int)len);
	sa = addr_for(fd_of(slot), &a, &len);
	guard_begin(true);
	r = connect(fd_of(slot), sa, len);
	guard_end();
	tr_res(r);
	if (o && r == 0)
		o->peered = a.sin_family != AF_UNSPEC;
	/* Linux sends to where it found no way to, if there was a peer before. */
	if (o && o->kind == K_DGRAM && o->peered && r < 0 && errno == ENETUNREACH)
		close_all_of(slot);
	if (!o || object_of(slot) != o || !(o->kind & K_TCP))
		return;
	if (r == 0 && a.sin_family == AF_UNSPEC) {
		/* A listener's port, when Linux chose it, is free again: its own old address would be a
		 * closed port for the kernel, itself for the stack. */
		o->shut |= o->kind == K_LISTENER;
		object_restart(o);
		o->kind = K_STREAM;
		return;
	}
	/* Without a route the socket is the kernel's for ever: a meant difference. */
	if (r < 0 && errno == ENETUNREACH)
		close_all_of(slot);
	if (r < 0 && errno != EINPROGRESS)
		return;
	settle();
	close_the_stuck(slot);
	if (object_of(slot) == o && !o->local)
		learn_connection(o, fd_of(slot));
}

static int do_accept_on(struct dice *d, int slot, int flags, bool four)
{
	struct sockaddr_storage a = {0};
	socklen_t len = w.six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	bool named = chance(d, 60);
	int to = empty_slot(d), fd;
	struct sockaddr *sa = named ? (struct sockaddr *)&a : NULL;
	socklen_t *lp = named || chance(d, 50) ? &len : NULL;

	if (to < 0)
		return -1;
	if (named && chance(d, 15))
		len = (socklen_t)ONE_OF(d, 0, 8, 100, -1);
	tr(" %s accept%s(%s%s, len %d)", slot_name(slot), four ? "4" : "", type_flags(flags),
	   named ? " addr" : "", (int)len);
	guard_recv(fd_of(slot), t_poll(fd_of(slot), POLLIN) & POLLIN);
	fd = four ? accept4(fd_of(slot), sa, lp, flags) : accept(fd_of(slot), sa, lp);
	guard_end();
	tr_fd(fd);
	if (fd < 0)
		return -1;
	tr(" in s%d", to);
	if (named)
		tr(" from %s len %d", len >= 8 ? addr_text(&a) : "-", (int)len);
	prepare(fd);
	put(to, fd, object_new(K_CONNECTED));
	learn_connection(object_of(to), fd);
	return to;
}

static void do_accept(struct dice *d)
{
	bool four = chance(d, 70);
	int flags = four ? (chance(d, 95) ? some_type_flags(d) : 0xff) : 0;

	do_accept_on(d, pick_wild(d, K_LISTENER), flags, four);
}

bool make_pair(struct dice *d)
{
	int a = empty_slot(d), b, l, fd, flags = some_type_flags(d);
	struct sockaddr_in to;
	socklen_t len = sizeof(to);

	if (a < 0)
		return false;
	l = t_listen(8, &to);
	fd = socket(some_family(d), SOCK_STREAM, 0);
	if (l < 0 || fd < 0 || connect(fd, addr_for(fd, &to, &len), len) < 0) {
		tr(" pair failed: %s", t_errname(errno));
		close(l);
		close(fd);
		return false;
	}
	prepare(fd);
	put(a, fd, object_new(K_CONNECTED));
	learn_connection(object_of(a), fd);
	b = empty_slot(d);
	if (b >= 0) {
		fd = accept4(l, NULL, NULL, flags);
		tr(" pair s%d s%d %s", a, b, type_flags(flags));
		if (fd >= 0) {
			prepare(fd);
			put(b, fd, object_new(K_CONNECTED));
			learn_connection(object_of(b), fd);
		}
	}
	close(l); /* resets the connection if there was no room to accept it */
	return b >= 0;
}

static void do_pair(struct dice *d)
{
	make_pair(d);
}

/* A listener in a slot, with connections that wait for accept(). */
static void do_served(struct dice *d)
{
	int slot = empty_slot(d), n = (int)roll(d, 3);
	struct sockaddr_in to;
	int l;

	if (slot < 0)
		return;
	l = t_listen(8, &to);
	tr(" s%d listener with %d waiting", slot, n);
	put(slot, l, object_new(K_LISTENER));
	if (chance(d, 50))
		fcntl(l, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < n; i++) {
		int c = empty_slot(d), fd;
		if (c < 0)
			break;
		fd = socket(AF_INET, SOCK_STREAM, 0);
		tr(" s%d", c);
		tr_res(connect(fd, (struct sockaddr *)&to, sizeof(to)));
		prepare(fd);
		put(c, fd, object_new(K_CONNECTED));
		learn_connection(object_of(c), fd);
	}
}

static void do_shutdown(struct dice *d)
{
	int slot = pick_wild(d, chance(d, 85) ? K_CONNECTED : K_SOCKET);
	int how = ONE_OF(d, SHUT_WR, SHUT_WR, SHUT_WR, SHUT_RD, SHUT_RDWR, SHUT_RDWR, 3, -1);

	if (object_of(slot) && (how != SHUT_WR || object_of(slot)->kind != K_CONNECTED))
		object_of(slot)->shut = true;
	tr(" %s shutdown(%d)", slot_name(slot), how);
	tr_res(shutdown(fd_of(slot), how));
}

static void do_close(struct dice *d)
{
	int slot = chance(d, 97) ? pick(d, K_ANY) : SLOTS;

	if (slot < 0)
		return;
	tr(" %s close", slot_name(slot));
	guard_begin(true);
	tr_res(close(fd_of(slot)));
	guard_end();
	forget(slot);
}

void make_room(struct dice *d)
{
	if (empty_slot(d) >= 0)
		return;
	for (int i = 0; i < 3; i++) {
		do_close(d);
		tr(";");
	}
}

static void do_reset(struct dice *d)
{
	int slot = pick(d, K_TCP);

	if (slot < 0)
		return;
	tr(" %s reset", slot_name(slot));
	t_reset(fd_of(slot));
	forget(slot);
}

const struct action conn_actions[] = {
	{"socket", 8, do_socket},
	{"bind", 8, do_bind},
	{"listen", 7, do_listen},
	{"connect", 14, do_connect},
	{"accept", 10, do_accept},
	{"pair", 14, do_pair},
	{"served", 4, do_served},
	{"shutdown", 7, do_shutdown},
	{"close", 8, do_close},
	{"reset", 2, do_reset},
	{NULL},
};

static void do_name(struct dice *d, bool peer)
{
	int slot = pick_wild(d, K_SOCKET), r;
	struct sockaddr_storage room;
	struct sockaddr_in *a = (struct sockaddr_in *)&room;
	socklen_t len = chance(d, 85) ? sizeof(*a) : (socklen_t)ONE_OF(d, 0, 4, 8, 100, -1);
	if (w.six && len == sizeof(*a))
		len = sizeof(struct sockaddr_in6);
	socklen_t had = len;

	memset(&room, 0x55, sizeof(room));
	tr(" %s %s(len %d)", slot_name(slot), peer ? "getpeername" : "getsockname", (int)len);
	r = (peer ? getpeername : getsockname)(fd_of(slot), (struct sockaddr *)a, &len);
	tr_res(r);
	if (r < 0)
		return;
	tr(" len %d", (int)len);
	if (had >= len)
		tr(" %s", addr_text(&room));
	/* The byte after what was asked for must be untouched. */
	if ((int)had >= 0 && ((unsigned char *)&room)[had] != 0x55)
		tr(" OVERRUN");
}

static void do_getsockname(struct dice *d)
{
	do_name(d, false);
}

static void do_getpeername(struct dice *d)
{
	do_name(d, true);
}

const struct action name_actions[] = {
	{"getsockname", 3, do_getsockname},
	{"getpeername", 3, do_getpeername},
	{NULL},
};
