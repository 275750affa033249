/* Datagrams out: the checks of Linux's udp_sendmsg() in its order, then a record into the send ring, or the
 * kernel's half; and the datagram that MSG_MORE and UDP_CORK put together. What the kernel's half can refuse
 * by itself (bad pointers, malformed addresses) is left to it. */
// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "shim/addr.h"
#include "shim/dgram_int.h"
#include "shim/libc.h"
#include "shim/sock_errq.h"
#include "shim/wait.h"
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"

enum { GSO_SEGMENTS = 128 /* UDP_MAX_SEGMENTS */, N_MSG_PROBE = 0x10 };
#define IP_BYTES_MAX 65535u

static bool is_corked(const struct sock *s, int flags)
{
	return flags & MSG_MORE || dgram_flag(s, DGRAM_S_CORK);
}

/* ---- where to ---- */
/* The destination that the message names; 1: none, 0, or SOCK_TO_KERNEL. */
static int destination(const struct sock *s, const struct msghdr *msg, struct endpoint *to)
{
	const struct sockaddr *addr = msg->msg_name;
	struct sockaddr_in in;
	int r;

	if (!addr || !msg->msg_namelen)
		return 1;
	if (msg->msg_namelen < sizeof(addr->sa_family))
		return SOCK_TO_KERNEL;
	if (addr->sa_family == AF_UNSPEC && s->family == AF_INET6) /* as if unnamed, but by IPv6 */
		return dgram_is_stack_conn(s) ? -ENETUNREACH : 1;
	if (addr->sa_family == AF_UNSPEC && msg->msg_namelen >= sizeof(in)) {
		memcpy(&in, addr, sizeof(in)); /* an old program's forgotten family */
		in.sin_family = AF_INET;
		r = addr_parse(to, AF_INET, (struct sockaddr *)&in, sizeof(in), ADDR_CONNECT);
		return r < 0 || to->port ? r : -EINVAL;
	}
	if (dgram_parse(s, to, addr, msg->msg_namelen) < 0)
		return SOCK_TO_KERNEL;
	return to->port ? 0 : -EINVAL;
}

static uint8_t ttl_of(const struct sock *s, const struct dgram_ask *ask, bool six, bool group)
{
	uint32_t send = atomic_load_explicit(&s->b->dg_send, memory_order_relaxed);

	if (ask->ttl >= 0)
		return (uint8_t)ask->ttl;
	if (!group)
		return six ? s->b->opts.hops : s->b->opts.ttl;
	if (six)
		return dgram_flag(s, DGRAM_S_HOPS6_SET) ? (uint8_t)(send >> 24) : 1;
	return dgram_flag(s, DGRAM_S_TTL_SET) ? (uint8_t)(send >> 16) : 1;
}

/* What the two families have for "don't fragment" and the path's MTU. */
static uint32_t cut_flags(const struct sock *s, bool six)
{
	int disc = (six ? s->b->opts.mtu_disc6 : s->b->opts.mtu_disc) - 1;
	uint32_t flags = 0;

	if (disc == IP_PMTUDISC_DO || disc == IP_PMTUDISC_PROBE || (six && disc == IP_PMTUDISC_INTERFACE))
		flags |= CHAN_DG_DONT_FRAG;
	if (disc == IP_PMTUDISC_PROBE || disc == IP_PMTUDISC_INTERFACE)
		flags |= CHAN_DG_NO_PMTU;
	if (disc == IP_PMTUDISC_DONT || disc == IP_PMTUDISC_INTERFACE || disc == IP_PMTUDISC_OMIT)
		flags |= CHAN_DG_MAY_CUT;
	return flags;
}

/* By which interface a datagram to a group leaves, from which address, and whether we hear it. */
static void fill_group(const struct sock *s, const struct dgram_ask *ask, const struct endpoint *to,
		       struct dgram_out *o)
{
	const _Atomic uint32_t *option = o->six ? &s->b->dg_mcast_if6 : &s->b->dg_mcast_if;
	uint32_t mcast_if = atomic_load_explicit(option, memory_order_relaxed);
	uint32_t mcast_ip = atomic_load_explicit(&s->b->dg_mcast_ip, memory_order_relaxed);
	struct chan_dgram *h = &o->h;

	if (!h->ifindex && !to->scope && mcast_if != DGRAM_MCAST_KERNEL)
		h->ifindex = mcast_if;
	if (!o->six && mcast_ip && ipaddr_is_any(&ask->src) && !sock_has(s, DGRAM_ONLY_STACK))
		h->from.addr = ipaddr_v4(mcast_ip);
	if (!dgram_flag(s, o->six ? DGRAM_S_LOOP6_OFF : DGRAM_S_LOOP_OFF))
		h->flags |= CHAN_DG_MCAST_LOOP;
	if (h->ttl == 0)
		h->flags |= CHAN_DG_HOST_ONLY;
}

static void fill(const struct sock *s, const struct dgram_ask *ask, const struct endpoint *to, int flags,
		 struct dgram_out *o)
{
	struct chan_dgram *h = &o->h;

	h->gso = ask->gso;
	h->ttl = ttl_of(s, ask, o->six, o->way.group);
	h->tos = ask->tos >= 0 ? (uint8_t)ask->tos : o->six ? s->b->opts.tclass : s->b->opts.tos;
	h->flags = cut_flags(s, o->six);
	if (o->six) {
		o->dontfrag = ask->dontfrag >= 0 ? ask->dontfrag != 0 : dgram_flag(s, DGRAM_S_DONTFRAG6);
		h->flags |= o->dontfrag ? CHAN_DG_DONT_FRAG : 0;
		h->flow = ask->flowinfo & 0xfffff; /* the class in it counts for nothing, as on Linux */
		h->frag = (uint16_t)min_u32(atomic_load_explicit(&s->b->dg_frag, memory_order_relaxed),
					    UINT16_MAX);
	}
	h->from.addr = ask->src;
	h->ifindex = ask->ifindex;
	if (o->way.group)
		fill_group(s, ask, to, o);
	if (dgram_flag(s, DGRAM_S_NO_CHECK))
		h->flags |= CHAN_DG_NO_CSUM;
	if (s->b->opts.flags & CHAN_O_BROADCAST)
		h->flags |= CHAN_DG_BROADCAST;
	if (flags & MSG_DONTROUTE || dgram_flag(s, DGRAM_S_DONTROUTE))
		h->flags |= CHAN_DG_DONTROUTE;
}

/* Who has the next bytes: 0: o is filled and the stack sends it, SOCK_TO_KERNEL, or -errno. */
static int aim(struct sock *s, int fd, const struct msghdr *msg, int flags, struct dgram_out *o)
{
	struct dgram_ask ask = {
		.gso = (uint16_t)atomic_load_explicit(&s->b->dg_send, memory_order_relaxed),
		.ttl = -1,
		.tos = -1,
		.dontfrag = -1,
	};
	struct endpoint to = { 0 };
	int r = destination(s, msg, &to);

	if (r < 0)
		return r;
	o->named = r == 0;
	if (!o->named) {
		if (!dgram_is_stack_conn(s))
			return SOCK_TO_KERNEL; /* which says EDESTADDRREQ, or sends to its peer */
		to = s->a->remote;
		if (unlikely(!to.port) && s->family == AF_INET6 && ipaddr_is_v4(&to.addr))
			return -EINVAL; /* Linux: to a mapped address it is as if named */
	} else if (s->family == AF_INET6 && s->b->opts.flags & CHAN_O_V6ONLY &&
		   ipaddr_is_v4(&to.addr)) {
		return SOCK_TO_KERNEL;
	}
	o->six = !ipaddr_is_v4(&to.addr);
	if (o->six && unlikely(dgram_flag(s, DGRAM_S_FLOWINFO)))
		ask.flowinfo = o->named ? addr_flowinfo(msg->msg_name, msg->msg_namelen) : 0;
	if (o->six && !o->named)
		ask.flowinfo = atomic_load_explicit(&s->b->dg_flowinfo, memory_order_relaxed);
	if (msg->msg_controllen) {
		r = dgram_cmsg_in(s, msg, o->six, &ask);
		if (r < 0)
			return r;
		o->named = true;
	}
	dgram_way(s, o->app, &to, &ask.src, ask.ifindex, &o->way);
	if (o->way.side == DGRAM_KERNEL) {
		if (sock_has(s, DGRAM_ONLY_STACK))
			return -ENETUNREACH;
		r = dgram_kernel_ready(s, fd);
		return r < 0 && r != SOCK_TO_KERNEL ? r : SOCK_TO_KERNEL;
	}
	r = dgram_way_check(s, &o->way);
	if (r == 0 && unlikely(!dgram_stack_port(s))) {
		r = dgram_autobind(s, fd);
		if (r == 0 && !dgram_stack_port(s))
			r = -EAGAIN;
	}
	if (r < 0)
		return r;
	fill(s, &ask, &to, flags, o);
	if (o->named || is_corked(s, flags)) /* what is pending keeps its peer */
		o->h.to = to;
	return 0;
}

/* ---- how long ---- */
static uint32_t mtu_of(const struct sock *s, const struct dgram_out *o)
{
	uint32_t mtu = o->way.has_route ? o->way.route.mtu : 0;
	uint32_t path = ((const volatile struct chan_sock_a *)s->a)->path_mtu;

	int disc = (o->six ? s->b->opts.mtu_disc6 : s->b->opts.mtu_disc) - 1;

	/* From IP_PMTUDISC_PROBE on it is the interface that counts. */
	if (!o->named && path && (disc == IP_PMTUDISC_DO || (o->dontfrag && disc < IP_PMTUDISC_PROBE)))
		return path;
	return mtu ? mtu : IP_BYTES_MAX;
}

/* Linux notes a datagram that was too long for its way in the error queue, too. */
static int too_long(struct sock *s, const struct dgram_out *o, uint32_t mtu)
{
	struct dgram *d = s->dgram;

	/* The loopback interface is a byte larger than any packet: seen by those who ask the interface. */
	if (mtu >= IP_BYTES_MAX)
		mtu = IP_BYTES_MAX + (s->b->opts.mtu_disc > IP_PMTUDISC_PROBE);
	if (!(s->b->opts.flags & (o->six ? CHAN_O_RECVERR6 : CHAN_O_RECVERR)) || chan_lock(&d->long_lock) < 0)
		return -EMSGSIZE;
	if (d->n_long < DGRAM_LONG_MAX)
		d->too_long[d->n_long++] = (struct dgram_long){
			.mtu = mtu,
			.to = o->named ? o->h.to : s->a->remote,
		};
	chan_unlock(&d->long_lock);
	if (s->epoll_items)
		epoll_sock_changed(s);
	return -EMSGSIZE;
}

/* IPV6_RECVPATHMTU: the next receive call says what the path takes (ipv6_local_rxpmtu()). */
static void path_is_told(struct sock *s, const struct dgram_out *o, uint32_t mtu)
{
	struct dgram *d = s->dgram;

	if (!dgram_flag(s, DGRAM_R_PATHMTU) || chan_lock(&d->long_lock) < 0)
		return;
	d->path = (struct dgram_long){ .mtu = mtu, .to = o->named ? o->h.to : s->a->remote };
	atomic_store(&d->path_told, true);
	chan_unlock(&d->long_lock);
}

/* ip6_append_data(): the length counts without the IPv6 header. */
static int check_length6(struct sock *s, const struct dgram_out *o, size_t len)
{
	bool whole = o->h.flags & CHAN_DG_DONT_FRAG;
	uint32_t mtu = mtu_of(s, o);

	if (o->h.frag && mtu > o->h.frag)
		mtu = o->h.frag;
	size_t room = (!whole && !o->h.gso) || mtu >= IP_BYTES_MAX ? CHAN_DGRAM_MAX : mtu - DGRAM_HEADERS6;

	if (!o->h.gso && len > room && o->dontfrag)
		path_is_told(s, o, mtu);
	if (!o->h.gso)
		return len > room ? too_long(s, o, mtu) : 0;
	if (len > CHAN_DGRAM_MAX)
		return too_long(s, o, mtu);
	if (min_u64(len, o->h.gso) > room)
		return -EMSGSIZE;
	return len > (size_t)o->h.gso * GSO_SEGMENTS ? -EINVAL : 0;
}

static int check_length(struct sock *s, const struct dgram_out *o, size_t len)
{
	if (o->six)
		return check_length6(s, o, len);
	int disc = s->b->opts.mtu_disc - 1;
	bool whole = disc == IP_PMTUDISC_DO || disc == IP_PMTUDISC_PROBE || disc == IP_PMTUDISC_INTERFACE;
	uint32_t mtu = whole || o->h.gso ? mtu_of(s, o) : IP_BYTES_MAX;

	if (len + DGRAM_HEADERS > IP_BYTES_MAX)
		return too_long(s, o, mtu);
	if (!o->h.gso)
		return len + DGRAM_HEADERS > mtu ? too_long(s, o, mtu) : 0;
	if (min_u64(len, o->h.gso) + DGRAM_HEADERS > mtu)
		return -EMSGSIZE;
	if (len > (size_t)o->h.gso * GSO_SEGMENTS || o->h.flags & CHAN_DG_NO_CSUM)
		return -EINVAL;
	return 0;
}

/* ---- into the ring ---- */
static int send_wait(struct sock *s, uint32_t seen, uint64_t *deadline, int flags)
{
	if (flags & MSG_DONTWAIT || sock_is_nonblocking(s))
		return -EAGAIN;
	if (!*deadline)
		*deadline = wait_deadline_ms(atomic_load(&s->b->sndtimeo_ms));
	return wait_sock(s, seen, *deadline);
}

/* As sock_alloc_send_pskb(), which a later piece of a datagram does not come to. */
static int refusal(struct sock *s)
{
	int err = sock_take_error(s);

	if (err)
		return -err;
	return atomic_load_explicit(&s->b->flags, memory_order_relaxed) & CHAN_B_SHUT_WR ? -EPIPE : 0;
}

/* Would the next one go? -EAGAIN: news are asked for. */
static int room_for_next(struct sock *s)
{
	if (chan_dgram_has_room(s->a, s->b))
		return 0;
	sock_want_out(s);
	return chan_dgram_has_room(s->a, s->b) ? 0 : -EAGAIN;
}

static int send_at(const struct sock *s, const struct chan_dgram *h, const struct iovec *iov, int n)
{
	struct sock_place p = sock_place(s);

	return chan_dgram_send(p.app, p.id, h, iov, n);
}

static ssize_t emit(struct sock *s, const struct dgram_out *o, const struct iovec *iov, int n, size_t len,
		    int flags)
{
	uint64_t deadline = 0;
	int r;

	if (flags & N_MSG_PROBE)
		return (ssize_t)len;
	for (;;) {
		uint32_t seen = atomic_load_explicit(&s->a->evseq, memory_order_acquire);

		r = likely(!o->later) ? refusal(s) : 0;
		if (r)
			return r;
		if (!dgram_has_stack(s))
			r = -ENOTCONN;
		else if (unlikely(o->only_check))
			r = room_for_next(s);
		else
			r = send_at(s, &o->h, iov, n);
		if (r == 0 && unlikely(o->only_check))
			return (ssize_t)len;
		if (r == 0 && unlikely(sock_has(s, SOCK_EDGE_OUT)))
			epoll_sock_sent(s);
		if (r == 0 && unlikely(flags & MSG_ZEROCOPY) && dgram_flag(s, DGRAM_S_ZEROCOPY))
			errq_zerocopy_sent(s);
		if (r == 0)
			return (ssize_t)len;
		if (r == -ENOTCONN)
			return -ENETUNREACH;
		if (r != -EAGAIN)
			return r == -EDEADLK ? -EAGAIN : r;
		r = send_wait(s, seen, &deadline, flags);
		if (r < 0)
			return r;
	}
}

/* ---- MSG_MORE, UDP_CORK ---- */
/* Appends to the pending datagram; caller holds the cork's lock. A failure drops all of it, as Linux does. */
static int cork_add(struct sock *s, const struct iovec *iov, size_t n, size_t len)
{
	struct dgram *d = s->dgram;
	size_t total = d->cork_len + len;
	int r;

	if (!d->cork) {
		void *p = mmap(NULL, DGRAM_CORK_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -ENOBUFS;
		d->cork = p;
	}
	/* Segments are looked at when all of them are there. */
	r = d->cork_out.h.gso ? (total > CHAN_DGRAM_MAX ? -EMSGSIZE : 0) :
				check_length(s, &d->cork_out, total);
	if (r == 0 && !d->cork_out.later)
		r = refusal(s);
	if (r < 0)
		return r;
	d->cork_out.later = true;
	for (size_t i = 0; i < n; i++) {
		if (user_get(d->cork + d->cork_len, iov[i].iov_base, iov[i].iov_len) < 0)
			return -EFAULT;
		d->cork_len += (uint32_t)iov[i].iov_len;
	}
	return 0;
}

static ssize_t cork_emit(struct sock *s, int flags)
{
	struct dgram *d = s->dgram;
	struct iovec iov = { .iov_base = d->cork, .iov_len = d->cork_len };
	struct dgram_out o = d->cork_out;
	int r = check_length(s, &o, d->cork_len);

	atomic_store(&d->cork_side, DGRAM_NOBODY);
	d->cork_len = 0;
	return r < 0 ? r : emit(s, &o, &iov, 1, iov.iov_len, flags);
}

/* o: the first piece's; NULL: a later one. */
static ssize_t cork_send(struct sock *s, const struct msghdr *msg, size_t len, int flags,
			 const struct dgram_out *o)
{
	struct dgram *d = s->dgram;
	ssize_t r;

	if (chan_lock(&d->cork_lock) < 0)
		return -EAGAIN;
	if (o && d->cork_side == DGRAM_NOBODY) {
		d->cork_out = *o;
		d->cork_len = 0;
		atomic_store(&d->cork_side, DGRAM_STACK);
	}
	r = cork_add(s, msg->msg_iov, msg->msg_iovlen, len);
	if (r < 0)
		atomic_store(&d->cork_side, DGRAM_NOBODY);
	else if (!is_corked(s, flags))
		r = cork_emit(s, flags);
	chan_unlock(&d->cork_lock);
	return r < 0 ? r : (ssize_t)len;
}

int dgram_uncork(struct sock *s)
{
	struct dgram *d = s->dgram;
	ssize_t r = 0;

	if (chan_lock(&d->cork_lock) < 0)
		return 0;
	if (d->cork_side == DGRAM_STACK)
		r = cork_emit(s, 0);
	else
		atomic_store(&d->cork_side, DGRAM_NOBODY);
	chan_unlock(&d->cork_lock);
	return r < 0 ? (int)r : 0;
}

/* The kernel sends it, or keeps it pending. */
static int to_kernel(struct sock *s, int flags)
{
	uint32_t side = is_corked(s, flags) ? DGRAM_KERNEL : DGRAM_NOBODY;

	if (unlikely(atomic_load_explicit(&s->dgram->cork_side, memory_order_relaxed) != side))
		atomic_store(&s->dgram->cork_side, side);
	return SOCK_TO_KERNEL;
}

static ssize_t send_on(struct sock *s, int fd, const struct msghdr *msg, int flags, size_t len,
		       struct dgram_out *o)
{
	int r = aim(s, fd, msg, flags, o);

	if (r < 0)
		return r == SOCK_TO_KERNEL ? to_kernel(s, flags) : r;
	if (unlikely(is_corked(s, flags)) && !o->only_check)
		return cork_send(s, msg, len, flags, o);
	r = check_length(s, o, len);
	return r < 0 ? r : emit(s, o, msg->msg_iov, (int)msg->msg_iovlen, len, flags);
}

/* Who has a datagram pending. What was left to the kernel it may have refused. */
static uint32_t pending_at(struct sock *s, int fd)
{
	uint32_t side = atomic_load_explicit(&s->dgram->cork_side, memory_order_relaxed);
	int held = 0;

	if (likely(side != DGRAM_KERNEL) || libc.ioctl(fd, TIOCOUTQ, &held) < 0 || held > 0)
		return side;
	atomic_store(&s->dgram->cork_side, DGRAM_NOBODY);
	return DGRAM_NOBODY;
}

/* udpv6_sendmsg(): who it is for comes before length and flags, of which udp_sendmsg() knows. 0,
 * -ENETUNREACH or SOCK_TO_KERNEL. */
static int six_destination(const struct sock *s, const struct msghdr *msg)
{
	struct endpoint to = { 0 };
	int r;

	if (likely(s->family != AF_INET6))
		return 0;
	r = destination(s, msg, &to);
	if (r == -ENETUNREACH)
		return r;
	return r == SOCK_TO_KERNEL || (r == 1 && !dgram_is_stack_conn(s)) ||
			       (r <= 0 && s->b->opts.flags & CHAN_O_V6ONLY && ipaddr_is_v4(&to.addr)) ?
		       SOCK_TO_KERNEL : 0;
}

/* Does it go by IPv6? udpv6_sendmsg() does not look at MSG_OOB. */
static bool is_six(const struct sock *s, const struct msghdr *msg)
{
	struct endpoint to;
	int r;

	if (likely(s->family != AF_INET6))
		return false;
	r = destination(s, msg, &to);
	if (r == 1 && dgram_is_stack_conn(s))
		to = s->a->remote;
	else if (r != 0)
		return false;
	return !ipaddr_is_v4(&to.addr);
}

/* Too long, or MSG_OOB. 0: it may go on. */
static int refuse(struct sock *s, const struct msghdr *msg, size_t len, int flags, uint32_t pending)
{
	if (len <= IP_BYTES_MAX && pending == DGRAM_NOBODY && is_six(s, msg))
		return 0;
	int r = pending == DGRAM_NOBODY ? six_destination(s, msg) : 0;

	if (r == SOCK_TO_KERNEL)
		return to_kernel(s, flags);
	return r < 0 ? r : len > IP_BYTES_MAX ? -EMSGSIZE : -EOPNOTSUPP;
}

static ssize_t send_or_check(struct sock *s, int fd, const struct msghdr *msg, size_t len, int flags,
			     bool only_check)
{
	uint32_t pending = pending_at(s, fd);
	enum chan_reason no;
	struct dgram_out o;
	ssize_t r;

	if (sock_mode(s) == SOCK_KERNEL || sock_has(s, DGRAM_NO_STACK))
		return SOCK_TO_KERNEL;
	if (unlikely(pending == DGRAM_KERNEL))
		return to_kernel(s, flags);
	if (unlikely(dgram_is_orphan(s)))
		dgram_revive_now(s);
	r = dgram_need_port(s, fd);
	if (unlikely(r < 0))
		return r == SOCK_TO_KERNEL ? to_kernel(s, flags) : r;
	if (unlikely(len > IP_BYTES_MAX || flags & MSG_OOB)) {
		r = refuse(s, msg, len, flags, pending);
		if (r)
			return r;
	}
	if (unlikely(pending == DGRAM_STACK))
		return only_check ? (ssize_t)len : cork_send(s, msg, len, flags, NULL);
	memset(&o, 0, sizeof(o));
	o.only_check = only_check;
	if (likely(dgram_has_stack(s))) {
		o.app = s->app;
		return send_on(s, fd, msg, flags, len, &o);
	}
	o.app = engine_get(&no);
	if (!o.app)
		return to_kernel(s, flags);
	r = send_on(s, fd, msg, flags, len, &o);
	engine_put(o.app);
	return r;
}

ssize_t dgram_send(struct sock *s, int fd, const struct msghdr *msg, size_t len, int flags)
{
	return send_or_check(s, fd, msg, len, flags, false);
}

ssize_t dgram_may_send(struct sock *s, int fd, size_t len, int flags)
{
	struct msghdr msg = { 0 };

	return send_or_check(s, fd, &msg, len, flags, true);
}

void dgram_cork_turn(struct sock *s, const struct endpoint *to)
{
	struct dgram *d = s->dgram;

	if (likely(atomic_load_explicit(&d->cork_side, memory_order_relaxed) != DGRAM_STACK) ||
	    chan_lock(&d->cork_lock) < 0)
		return;
	d->cork_out.h.to = *to;
	chan_unlock(&d->cork_lock);
}
