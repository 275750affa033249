/* Actions on datagram sockets: made, bound, connected, sent from and received on. What takes any socket
 * (names, options, dup, readiness) is in the other files. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"

static unsigned char data[70000];

static void do_dgram(struct dice *d)
{
	int slot = empty_slot(d), fd, flags = ONE_OF(d, 0, 0, SOCK_NONBLOCK, SOCK_CLOEXEC), r;
	int family = some_family(d);
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);

	if (!w.udp || slot < 0)
		return;
	r = (int)roll(d, 10);
	tr(" s%d socket(%s%x)", slot, family == AF_INET6 ? "6, " : "", (unsigned int)flags);
	fd = tr_fd(socket(family, SOCK_DGRAM | flags, ONE_OF(d, 0, IPPROTO_UDP)));
	if (fd < 0)
		return;
	put(slot, fd, object_new(K_DGRAM));
	if (r < 3)
		return;
	if (r < 6)
		a.sin_port = htons(w.pool[roll(d, POOL_PORTS)]);
	tr(" bind(%s)", addr_text(&a));
	const struct sockaddr *sa = addr_for(fd, &a, &len);
	tr_res(bind(fd, sa, len));
}

/* The address of some datagram socket, or of nobody. */
static struct sockaddr_in some_peer(struct dice *d)
{
	struct sockaddr_in a = t_addr(0), me = { 0 };
	socklen_t len = sizeof(me); /* the port is in the same place whatever the family */
	uint32_t r = roll(d, 100);
	int to = pick(d, K_DGRAM);

	if (r < 65 && to >= 0 && getsockname(fd_of(to), (struct sockaddr *)&me, &len) == 0)
		a.sin_port = me.sin_port;
	else if (r < 85)
		a.sin_port = htons(w.pool[roll(d, POOL_PORTS)]);
	else if (r < 92)
		a.sin_port = htons(9); /* closed */
	else if (r < 94)
		a.sin_family = AF_UNSPEC;
	else if (r < 96)
		a.sin_family = 99;
	/* Port 0 is left out: the kernel sends to it once a socket is connected to it. */
	return a.sin_port || a.sin_family != AF_INET ? a : t_addr(9);
}

static void do_dgram_bind(struct dice *d)
{
	int slot = pick(d, K_DGRAM);
	struct sockaddr_in a = t_addr(chance(d, 80) ? w.pool[roll(d, POOL_PORTS)] : 0);
	socklen_t len = sizeof(a);
	const struct sockaddr *sa = addr_for(fd_of(slot), &a, &len);

	if (slot < 0)
		return;
	tr(" s%d bind(%s)", slot, addr_text(&a));
	tr_res(bind(fd_of(slot), sa, len));
}

static void do_dgram_connect(struct dice *d)
{
	int slot = pick(d, K_DGRAM);
	struct sockaddr_in a = some_peer(d);
	socklen_t len = chance(d, 95) ? sizeof(a) : (socklen_t)ONE_OF(d, 0, 2, 15, -1);

	if (slot < 0)
		return;
	tr(" s%d connect(%s, len %d)", slot, addr_text(&a), (int)len);
	const struct sockaddr *sa = addr_for(fd_of(slot), &a, &len);
	if (tr_res(connect(fd_of(slot), sa, len)) == 0)
		object_of(slot)->peered = a.sin_family != AF_UNSPEC;
}

static size_t some_size(struct dice *d)
{
	return (size_t)ONE_OF(d, 0, 1, 2, 10, 10, 100, 100, 1000, 1472, 1473, 3000, 9000, 65507, 65508,
			      69000);
}

static int some_flags(struct dice *d)
{
	return ONE_OF(d, 0, 0, 0, MSG_DONTWAIT, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_CONFIRM, MSG_EOR,
		      MSG_OOB, MSG_DONTROUTE);
}

static void do_dgram_send(struct dice *d)
{
	int slot = pick(d, K_DGRAM), flags = some_flags(d), how = (int)roll(d, 3), v = 0;
	struct sockaddr_in a = some_peer(d);
	bool named = chance(d, 60);
	socklen_t len = chance(d, 95) ? sizeof(a) : (socklen_t)ONE_OF(d, 0, 2, 15, -1);
	size_t n = some_size(d);
	const struct sockaddr *sa = (struct sockaddr *)&a;
	ssize_t r;

	if (slot < 0)
		return;
	/* An IPv6 socket takes both forms. */
	if (w.six && chance(d, 80))
		sa = addr_for(fd_of(slot), &a, &len);
	/* How much a receive buffer takes is each kernel's own: never near it. */
	for (int i = 0; i < SLOTS; i++)
		if (object_of(i) && object_of(i)->kind == K_DGRAM &&
		    t_poll(fd_of(i), POLLIN) & POLLIN && n > 3000)
			n = 100;
	if (w.small_buffers && n > 100)
		n = 100;
	fill_pattern(data, 0, n);
	ioctl(fd_of(slot), FIONREAD, &v);
	guard_begin(true);
	if (how == 0 && !named) {
		tr(" s%d send(%zu, %x)", slot, n, (unsigned int)flags);
		r = send(fd_of(slot), data, n, flags);
	} else if (how < 2) {
		tr(" s%d sendto(%zu, %x) to %s len %d", slot, n, (unsigned int)flags, addr_text(&a),
		   (int)len);
		r = sendto(fd_of(slot), data, n, flags, sa, len);
	} else {
		size_t cut = n ? roll(d, (uint32_t)n) : 0;
		struct iovec iov[2] = { { data, cut }, { data + cut, n - cut } };
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
		if (named) {
			m.msg_name = (void *)sa;
			m.msg_namelen = len;
		}
		tr(" s%d sendmsg(%zu, %x) to %s len %d", slot, n, (unsigned int)flags,
		   named ? addr_text(&a) : "-", (int)m.msg_namelen);
		r = sendmsg(fd_of(slot), &m, flags);
	}
	guard_end();
	tr_res(r);
}

static void do_dgram_recv(struct dice *d)
{
	int slot = pick(d, K_DGRAM);
	int flags = ONE_OF(d, 0, 0, MSG_DONTWAIT, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC,
			   MSG_TRUNC | MSG_PEEK | MSG_DONTWAIT, MSG_WAITALL, MSG_OOB);
	size_t n = (size_t)ONE_OF(d, 0, 1, 10, 100, 2000, 66000, 66000, 66000), shown;
	struct sockaddr_storage from = { .ss_family = 0x5555 };
	char control[64];
	struct iovec iov = { data, n };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(struct sockaddr_in6), .msg_iov = &iov,
			    .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control), .msg_flags = 0x7777 };
	bool plain = chance(d, 40);
	ssize_t r;

	if (slot < 0)
		return;
	memset(data, 0x55, n + 1);
	tr(" s%d %s(%zu, %x)", slot, plain ? "recv" : "recvmsg", n, (unsigned int)flags);
	guard_recv(fd_of(slot), t_poll(fd_of(slot), POLLIN) & (POLLIN | POLLERR));
	r = plain ? recv(fd_of(slot), data, n, flags) : recvmsg(fd_of(slot), &m, flags);
	guard_end();
	tr_res(r);
	if (r < 0)
		return;
	shown = (size_t)r < n ? (size_t)r : n;
	tr(" %s%s", check_pattern(data, 0, shown), data[shown] == 0x55 ? "" : " OVERRUN");
	if (!plain)
		tr(" from %s len %d control %zu flags %x", addr_text(&from), (int)m.msg_namelen,
		   m.msg_controllen, m.msg_flags);
}

const struct action dgram_actions[] = {
	{ "dgram", 5, do_dgram },	      { "dgram_bind", 2, do_dgram_bind },
	{ "dgram_connect", 4, do_dgram_connect }, { "dgram_send", 10, do_dgram_send },
	{ "dgram_recv", 8, do_dgram_recv },   { NULL },
};
