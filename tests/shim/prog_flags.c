/* Every flag of send and recv in every state of a stream, alone and in pairs: one line each. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	pipes++;
}

struct flag {
	const char *name;
	unsigned int bits;
};
static const struct flag flags[] = {
	{ "0", 0 },
	{ "PEEK", MSG_PEEK },
	{ "DONTROUTE", MSG_DONTROUTE },
	{ "CTRUNC", MSG_CTRUNC },
	{ "PROXY", 0x10 },
	{ "TRUNC", MSG_TRUNC },
	{ "DONTWAIT", MSG_DONTWAIT },
	{ "EOR", MSG_EOR },
	{ "WAITALL", MSG_WAITALL },
	{ "SYN", MSG_SYN },
	{ "CONFIRM", MSG_CONFIRM },
	{ "RST", MSG_RST },
	{ "ERRQUEUE", MSG_ERRQUEUE },
	{ "NOSIGNAL", MSG_NOSIGNAL },
	{ "MORE", MSG_MORE },
	{ "WAITFORONE", MSG_WAITFORONE },
	{ "BATCH", 0x40000 },
	{ "ZEROCOPY", MSG_ZEROCOPY },
	{ "0x80000", 0x80000 },
	{ "0x100000", 0x100000 },
	{ "0x800000", 0x800000 },
	{ "CMSG_CLOEXEC", MSG_CMSG_CLOEXEC },
	{ "PEEK|TRUNC", MSG_PEEK | MSG_TRUNC },
	{ "PEEK|WAITALL", MSG_PEEK | MSG_WAITALL },
	{ "TRUNC|WAITALL", MSG_TRUNC | MSG_WAITALL },
	{ "DONTWAIT|WAITALL", MSG_DONTWAIT | MSG_WAITALL },
	{ "DONTWAIT|PEEK", MSG_DONTWAIT | MSG_PEEK },
	{ "ERRQUEUE|DONTWAIT", MSG_ERRQUEUE | MSG_DONTWAIT },
	{ "ERRQUEUE|PEEK", MSG_ERRQUEUE | MSG_PEEK },
	{ "MORE|NOSIGNAL", MSG_MORE | MSG_NOSIGNAL },
};

/* Makes a fresh pair in some state; *b may be -1. */
struct state {
	const char *name;
	void (*make)(int *a, int *b);
};

static void unconnected(int *a, int *b)
{
	*a = socket(AF_INET, SOCK_STREAM, 0);
	*b = -1;
}
static void bound(int *a, int *b)
{
	struct sockaddr_in at = t_addr(0);

	unconnected(a, b);
	bind(*a, (struct sockaddr *)&at, sizeof(at));
}
static void listening(int *a, int *b)
{
	*a = t_listen(4, NULL);
	*b = -1;
}
static void connected(int *a, int *b)
{
	t_pair(a, b);
}
static void with_data(int *a, int *b)
{
	t_pair(a, b);
	send(*b, "abcdef", 6, 0);
	t_until(*a, POLLIN);
}
static void shut_wr(int *a, int *b)
{
	t_pair(a, b);
	shutdown(*a, SHUT_WR);
	t_until(*b, POLLRDHUP);
}
static void shut_rd(int *a, int *b)
{
	t_pair(a, b);
	shutdown(*a, SHUT_RD);
}
static void shut_both(int *a, int *b)
{
	t_pair(a, b);
	shutdown(*a, SHUT_RDWR);
	t_until(*b, POLLRDHUP);
}
static void peer_shut(int *a, int *b)
{
	t_pair(a, b);
	shutdown(*b, SHUT_WR);
	t_until(*a, POLLRDHUP);
}
static void peer_shut_with_data(int *a, int *b)
{
	t_pair(a, b);
	send(*b, "abc", 3, 0);
	shutdown(*b, SHUT_WR);
	t_until(*a, POLLRDHUP | POLLIN);
}
static void both_ended(int *a, int *b)
{
	peer_shut(a, b);
	shutdown(*a, SHUT_WR);
	t_until(*a, POLLHUP);
}
static void reset(int *a, int *b)
{
	t_pair(a, b);
	t_reset(*b);
	*b = -1;
	t_until(*a, POLLHUP);
}
static void reset_with_data(int *a, int *b)
{
	t_pair(a, b);
	send(*b, "abc", 3, 0);
	t_until(*a, POLLIN);
	t_reset(*b);
	*b = -1;
	t_until(*a, POLLHUP);
}
static void reset_and_told(int *a, int *b)
{
	int err;

	reset(a, b);
	getsockopt(*a, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){ sizeof(err) });
}
static void refused(int *a, int *b)
{
	struct sockaddr_in at;
	int l = t_listen(1, &at);

	close(l);
	unconnected(a, b);
	t_res("connect", connect(*a, (struct sockaddr *)&at, sizeof(at)));
}
static void full(int *a, int *b)
{
	int small = 8192;

	t_pair(a, b);
	setsockopt(*a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(*b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	t_fill(*a);
	fcntl(*a, F_SETFL, O_NONBLOCK);
}
static void disconnected(int *a, int *b)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	t_pair(a, b);
	t_res("AF_UNSPEC", connect(*a, &none, sizeof(none)));
	close(*b);
	*b = -1;
}

static const struct state states[] = {
	{ "unconnected", unconnected },
	{ "bound", bound },
	{ "listening", listening },
	{ "connected", connected },
	{ "with data", with_data },
	{ "shut wr", shut_wr },
	{ "shut rd", shut_rd },
	{ "shut both", shut_both },
	{ "peer shut", peer_shut },
	{ "peer shut, data", peer_shut_with_data },
	{ "both ended", both_ended },
	{ "reset", reset },
	{ "reset, data", reset_with_data },
	{ "reset, told", reset_and_told },
	{ "refused", refused },
	{ "disconnected", disconnected },
};

/* A receive that would wait here for ever gets MSG_DONTWAIT: the caller's case is another one. */
static int no_hang(int a, unsigned int f)
{
	struct timeval tv = { .tv_usec = 20000 };

	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return (int)f;
}

static void done(int a, int b)
{
	close(a);
	if (b >= 0)
		close(b);
}

static void send_flags(void)
{
	signal(SIGPIPE, on_pipe);
	for (size_t s = 0; s < T_COUNT(states); s++) {
		for (size_t f = 0; f < T_COUNT(flags); f++) {
			char line[96];
			int a, b;

			states[s].make(&a, &b);
			pipes = 0;
			snprintf(line, sizeof(line), "%s, %s", states[s].name, flags[f].name);
			t_res(line, send(a, "xyz", 3, (int)flags[f].bits));
			snprintf(line, sizeof(line), "%s, %s, again", states[s].name, flags[f].name);
			t_res(line, send(a, "xyz", 3, (int)flags[f].bits));
			if (pipes)
				t_out("SIGPIPE %d", pipes);
			done(a, b);
		}
	}
}

static void recv_flags(void)
{
	for (size_t s = 0; s < T_COUNT(states); s++) {
		for (size_t f = 0; f < T_COUNT(flags); f++) {
			char line[96], buf[8] = "-------";
			int a, b;

			states[s].make(&a, &b);
			snprintf(line, sizeof(line), "%s, %s", states[s].name, flags[f].name);
			t_res(line, recv(a, buf, 4, no_hang(a, flags[f].bits)));
			snprintf(line, sizeof(line), "%s, %s, again", states[s].name, flags[f].name);
			t_res(line, recv(a, buf + 4, 4, MSG_DONTWAIT));
			t_out("%.8s", buf);
			done(a, b);
		}
	}
}

/* Nothing goes, so that one socket does for all. */
static void send_flags_when_full(void)
{
	int a, b;

	full(&a, &b);
	for (size_t f = 0; f < T_COUNT(flags); f++)
		t_res(flags[f].name, send(a, "xyz", 3, (int)flags[f].bits));
	done(a, b);
}

/* The same through recvmsg(), whose header comes back. */
static void recvmsg_flags(void)
{
	for (size_t f = 0; f < T_COUNT(flags); f++) {
		char buf[8] = "-------", control[64];
		struct sockaddr_in from;
		struct iovec v = { buf, 4 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_name = &from,
				    .msg_namelen = sizeof(from), .msg_control = control,
				    .msg_controllen = sizeof(control), .msg_flags = 0x5555 };
		int a, b;

		with_data(&a, &b);
		t_res(flags[f].name, recvmsg(a, &m, no_hang(a, flags[f].bits)));
		t_out("flags %x namelen %u controllen %zu %.8s", (unsigned int)m.msg_flags,
		      m.msg_namelen, m.msg_controllen, buf);
		done(a, b);
	}
}

/* Flags inside msg_flags do nothing when sending. */
static void sendmsg_flags(void)
{
	for (size_t f = 0; f < T_COUNT(flags); f++) {
		struct iovec v = { "abc", 3 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_flags = (int)flags[f].bits };
		struct mmsghdr mm[2] = { { .msg_hdr = m }, { .msg_hdr = m } };
		char buf[16], line[64];
		int a, b;

		connected(&a, &b);
		snprintf(line, sizeof(line), "msg_flags %s", flags[f].name);
		t_res(line, sendmsg(a, &m, 0));
		snprintf(line, sizeof(line), "sendmmsg %s", flags[f].name);
		t_res(line, sendmmsg(a, mm, 2, (int)flags[f].bits));
		t_out("lengths %u %u", mm[0].msg_len, mm[1].msg_len);
		send(a, "", 0, 0);
		setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		t_res("arrives", t_read_all(b, buf, 9));
		done(a, b);
	}
}

/* The second of two threads' worth of calls, without threads: what a name costs on a connected stream. */
static void names_on_streams(void)
{
	static const struct {
		const char *name;
		int family;
		socklen_t len;
	} rows[] = { { "right one", AF_INET, 16 },   { "short", AF_INET, 8 },
		     { "one byte", AF_INET, 1 },     { "none", AF_INET, 0 },
		     { "another family", AF_UNIX, 16 }, { "unspecified", AF_UNSPEC, 16 },
		     { "long", AF_INET, 128 },	     { "too long", AF_INET, 129 },
		     { "much too long", AF_INET, 4096 }, { "negative", AF_INET, (socklen_t)-1 } };
	static char room[4096];
	struct sockaddr_in to = t_addr(9);
	int a, b, l = t_listen(4, NULL), u = socket(AF_INET, SOCK_STREAM, 0);

	t_pair(&a, &b);
	signal(SIGPIPE, on_pipe);
	for (size_t i = 0; i < T_COUNT(rows); i++) {
		struct iovec v = { "x", 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_name = room,
				    .msg_namelen = rows[i].len };
		char line[64];

		memcpy(room, &to, sizeof(to));
		((struct sockaddr *)(void *)room)->sa_family = (sa_family_t)rows[i].family;
		snprintf(line, sizeof(line), "sendto, %s", rows[i].name);
		t_res(line, sendto(a, "x", 1, 0, (struct sockaddr *)(void *)room, rows[i].len));
		snprintf(line, sizeof(line), "sendmsg, %s", rows[i].name);
		t_res(line, sendmsg(a, &m, 0));
		snprintf(line, sizeof(line), "sendto unconnected, %s", rows[i].name);
		t_res(line, sendto(u, "x", 1, 0, (struct sockaddr *)(void *)room, rows[i].len));
		snprintf(line, sizeof(line), "sendto listening, %s", rows[i].name);
		t_res(line, sendto(l, "x", 1, 0, (struct sockaddr *)(void *)room, rows[i].len));
	}
	close(l);
	close(u);
	done(a, b);
}

static int cork_of(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);
	getsockopt(fd, IPPROTO_TCP, TCP_CORK, &v, &len);
	return v;
}

static void more_and_cork(void)
{
	int a, b, on = 1, off = 0, held = -1;
	char in[8];
	t_pair(&a, &b);
	t_res("more", send(a, "ab", 2, MSG_MORE));
	t_out("corked %d", cork_of(a));
	setsockopt(a, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	t_out("corked %d", cork_of(a));
	t_res("no more", send(a, "cd", 2, 0));
	t_out("corked %d", cork_of(a));
	t_res("more", send(a, "ef", 2, MSG_MORE));
	t_out("corked %d", cork_of(a));
	setsockopt(a, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	t_out("corked %d", cork_of(a));
	t_res("arrived", t_read_all(b, in, 6));
	t_res("more", send(a, "gh", 2, MSG_MORE));
	setsockopt(a, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	t_res("arrived", t_read_all(b, in, 2));
	t_res("left", (ioctl(b, FIONREAD, &held), held));
	close(a);
	close(b);
}

T_MAIN(T_CASE(more_and_cork), T_CASE(send_flags), T_CASE(recv_flags), T_CASE(send_flags_when_full),
       T_CASE(recvmsg_flags), T_CASE(sendmsg_flags), T_CASE(names_on_streams))
