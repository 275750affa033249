/* send(2) of Linux (003_dbc72f7b7ea2a324.txt): each case paraphrases a sentence of the page. */
// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include "tests/shim/t.h"

static volatile sig_atomic_t pipes, alarms;
static volatile pid_t pipe_tid;
static void on_pipe(int sig)
{
	pipes++;
	pipe_tid = t_self();
}
static void on_alarm(int sig) { alarms++; }

static void done(int a, int b)
{
	close(a);
	close(b);
}

static void got(int fd, size_t n)
{
	char buf[64] = { 0 };

	t_res("arrives", t_read_all(fd, buf, n));
	t_out("%s", buf);
}

/* "are used to transmit a message to another socket" */
static void transmit_a_message(void)
{
	struct iovec v[2] = { { "send", 4 }, { "msg", 3 } };
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "send", 4, 0));
	t_res("sendto", sendto(a, "sendto", 6, 0, NULL, 0));
	t_res("sendmsg", sendmsg(a, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 2 }, 0));
	got(b, 17);
	done(a, b);
}

/* "Send may be used only when the socket is in a connected state, while sendto and sendmsg may be used at any
 * time": on a stream that is not connected they fail all the same, unless asked to connect */
static void connected_state(void)
{
	struct sockaddr_in to = t_addr(1);
	struct iovec v = { "x", 1 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	t_res("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_res("sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)));
	t_res("sendmsg", sendmsg(fd, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1, .msg_name = &to,
						       .msg_namelen = sizeof(to) }, MSG_NOSIGNAL));
	close(fd);
}

/* "The address of the target is given by to with tolen": a connected stream does not look at it */
static void target_address(void)
{
	struct sockaddr_in to = t_addr(1);
	int a, b;

	t_pair(&a, &b);
	t_res("another address", sendto(a, "one", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	to.sin_family = AF_UNIX;
	t_res("another family", sendto(a, "two", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	t_res("no length", sendto(a, "six", 3, 0, (struct sockaddr *)&to, 0));
	t_res("impossible length", sendto(a, "x", 1, 0, (struct sockaddr *)&to, 1000));
	got(b, 9);
	done(a, b);
}

/* "The length of the message is given by len" */
static void length(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("3 of 6", send(a, "abcdef", 3, 0));
	t_res("0", send(a, "abcdef", 0, 0));
	shutdown(a, SHUT_WR);
	got(b, 10);
	done(a, b);
}

/* "If the message is too long to pass atomically ... EMSGSIZE, and the message is not transmitted" */
static void too_long(void)
{
	struct sockaddr_in to = t_addr(9);
	static char big[100000];
	static struct iovec many[2000];
	int u = socket(AF_INET, SOCK_DGRAM, 0), a, b;

	t_res("datagram", sendto(u, big, sizeof(big), 0, (struct sockaddr *)&to, sizeof(to)));
	close(u);
	t_pair(&a, &b);
	t_res("stream with too many parts",
	      sendmsg(a, &(struct msghdr){ .msg_iov = many, .msg_iovlen = 2000 }, 0));
	t_out("peer %s", t_mask((uint32_t)t_poll(b, POLLIN)));
	done(a, b);
}

/* "No indication of failure to deliver is implicit in a send": the peer may be gone already */
static void no_indication(void)
{
	int a, b;

	t_pair(&a, &b);
	close(b);
	t_until(a, POLLRDHUP);
	t_res("send", send(a, "lost", 4, 0));
	close(a);
}

/* "Locally detected errors are indicated by a return value of -1" */
static void minus_one(void)
{
	int a, b;

	t_pair(&a, &b);
	t_out("%d", (int)send(-1, "x", 1, 0));
	t_out("%d", (int)send(a, (void *)8, 1, 0));
	done(a, b);
}

static size_t fill(int *a, int *b)
{
	int small = 8192;

	t_pair(a, b);
	setsockopt(*a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(*b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	return t_fill(*a);
}

static volatile size_t to_drain;
static void *drain_later(void *arg)
{
	static char buf[65536];
	int *x = arg;
	size_t n = 0;
	ssize_t r;

	t_until_asleep(x[1]);
	while (n < to_drain && (r = recv(x[0], buf, sizeof(buf), 0)) > 0)
		n += (size_t)r;
	return NULL;
}

/* "When the message does not fit into the send buffer, send normally blocks" */
static void blocks(void)
{
	int a, b, x[2];
	pthread_t t;

	to_drain = fill(&a, &b) + 3;
	x[0] = b;
	x[1] = t_self();
	pthread_create(&t, NULL, drain_later, x);
	t_res("send waits and is complete", send(a, "end", 3, 0));
	pthread_join(t, NULL);
	done(a, b);
}

/* "unless the socket has been placed in non-blocking I/O mode. It would return EAGAIN" */
static void non_blocking_mode(void)
{
	int a, b;

	fill(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("send", send(a, "x", 1, 0));
	t_out("EAGAIN is EWOULDBLOCK %d", EAGAIN == EWOULDBLOCK);
	done(a, b);
}

/* "select(2) may be used to determine when it is possible to send more data" */
static void select_tells(void)
{
	struct timeval none = { 0 }, second = { .tv_sec = 2 };
	static char buf[65536];
	size_t n, all;
	fd_set w;
	ssize_t r;
	int a, b;

	all = fill(&a, &b);
	FD_ZERO(&w);
	FD_SET(a, &w);
	t_res("full", select(a + 1, NULL, &w, NULL, &none));
	for (n = 0; n < all && (r = recv(b, buf, sizeof(buf), 0)) > 0; n += (size_t)r)
		;
	FD_SET(a, &w);
	t_res("drained", select(a + 1, NULL, &w, NULL, &second));
	t_res("send", send(a, "x", 1, MSG_DONTWAIT));
	done(a, b);
}

/* MSG_DONTROUTE: "Don't use a gateway ... only directly connected networks" */
static void dontroute(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "near", 4, MSG_DONTROUTE));
	got(b, 4);
	done(a, b);
}

/* MSG_DONTWAIT: "Enables non-blocking operation; if the operation would block, EAGAIN" */
static void dontwait(void)
{
	int a, b;

	fill(&a, &b);
	t_res("send", send(a, "x", 1, MSG_DONTWAIT));
	t_out("the socket stays as it is: %x", (unsigned int)fcntl(a, F_GETFL));
	done(a, b);
}

/* MSG_NOSIGNAL: "not to send SIGPIPE when the other end breaks the connection. EPIPE is still returned" */
static void nosignal(void)
{
	int a, b;

	signal(SIGPIPE, on_pipe);
	t_pair(&a, &b);
	t_reset(b);
	t_until(a, POLLHUP);
	t_res("the error", send(a, "x", 1, MSG_NOSIGNAL));
	t_res("then", send(a, "x", 1, MSG_NOSIGNAL));
	t_out("signals %d", pipes);
	t_res("without", send(a, "x", 1, 0));
	t_out("signals %d", pipes);
	close(a);
}

/* MSG_CONFIRM: "Only valid on SOCK_DGRAM and SOCK_RAW": ignored on a stream */
static void confirm(void)
{
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "sure", 4, MSG_CONFIRM));
	got(b, 4);
	done(a, b);
}

/* struct msghdr: "optional address", "scatter/gather array", "ancillary data", "flags on received message" */
static void message_header(void)
{
	struct sockaddr_in to = t_addr(1);
	struct iovec v[3] = { { "ga", 2 }, { NULL, 0 }, { "ther", 4 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	int a, b;

	t_pair(&a, &b);
	t_res("parts", sendmsg(a, &m, 0));
	m.msg_name = &to;
	m.msg_namelen = sizeof(to);
	t_res("with an address", sendmsg(a, &m, 0));
	m.msg_flags = MSG_OOB | MSG_DONTWAIT;
	t_res("flags in it are not for sending", sendmsg(a, &m, 0));
	t_out("nor changed: %x", (unsigned int)m.msg_flags);
	m = (struct msghdr){ 0 };
	t_res("nothing in it", sendmsg(a, &m, 0));
	got(b, 18);
	done(a, b);
}

/* "You may send control information using msg_control and msg_controllen"; "The maximum control buffer
 * length is limited per socket" */
static void control_information(void)
{
	_Alignas(struct cmsghdr) static char room[1 << 20];
	struct cmsghdr *c = (struct cmsghdr *)(void *)room;
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room };
	int a, b;

	t_pair(&a, &b);
	*c = (struct cmsghdr){ CMSG_LEN(4), SOL_IP, 77 };
	m.msg_controllen = CMSG_SPACE(4);
	t_res("of another level", sendmsg(a, &m, 0));
	c->cmsg_level = SOL_SOCKET;
	t_res("unknown", sendmsg(a, &m, 0));
	m.msg_controllen = sizeof(room);
	t_res("too much", sendmsg(a, &m, 0));
	done(a, b);
}

/* "The calls return the number of characters sent" */
static void number_of_characters(void)
{
	static char buf[200000];
	int a, b;

	t_pair(&a, &b);
	t_res("1", send(a, buf, 1, 0));
	t_res("1000", send(a, buf, 1000, 0));
	t_res("read", t_read_all(b, buf, 1001));
	done(a, b);
}

/* "EBADF An invalid descriptor was specified" */
static void ebadf(void)
{
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int a, b;

	t_pair(&a, &b);
	done(a, b);
	t_res("send", send(a, "x", 1, 0));
	t_res("sendto", sendto(-1, "x", 1, 0, NULL, 0));
	t_res("sendmsg", sendmsg(1000000, &m, 0));
}

/* "ENOTSOCK The argument s is not a socket" */
static void enotsock(void)
{
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int p[2];

	pipe(p);
	t_res("send", send(p[1], "x", 1, 0));
	t_res("sendto", sendto(p[1], "x", 1, 0, NULL, 0));
	t_res("sendmsg", sendmsg(p[1], &m, 0));
	done(p[0], p[1]);
}

/* "EFAULT An invalid user space address was specified for a parameter" */
static void efault(void)
{
	struct iovec v = { (void *)8, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int a, b;

	t_pair(&a, &b);
	t_res("bytes", send(a, (void *)8, 1, 0));
	t_res("address", sendto(a, "x", 1, 0, (struct sockaddr *)8, 16));
	t_res("message", sendmsg(a, (struct msghdr *)8, 0));
	t_res("bytes of a message", sendmsg(a, &m, 0));
	m.msg_iov = (struct iovec *)8;
	t_res("parts of a message", sendmsg(a, &m, 0));
	m.msg_iov = NULL;
	m.msg_iovlen = 0;
	m.msg_control = (void *)8;
	m.msg_controllen = 32;
	t_res("control of a message", sendmsg(a, &m, 0));
	t_res("the socket is whole", send(a, "ok", 2, 0));
	got(b, 2);
	done(a, b);
}

/* "ENOBUFS The output queue for a network interface was full. (This cannot occur in Linux ...)" */
static void enobufs_does_not_occur(void)
{
	static char buf[4096];
	int a, b, bad = 0;

	t_pair(&a, &b);
	for (int i = 0; i < 2000; i++)
		if (send(a, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno != EAGAIN)
			bad++;
	t_out("other errors than EAGAIN: %d", bad);
	done(a, b);
}

static void *kick(void *arg)
{
	t_until_asleep(*(int *)arg);
	kill(getpid(), SIGALRM);
	return NULL;
}

/* "EINTR A signal occurred" */
static void eintr(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int a, b, me = t_self();
	sigset_t all, old;
	pthread_t t;

	fill(&a, &b);
	sigaction(SIGALRM, &sa, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_create(&t, NULL, kick, &me);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t_res("send", send(a, "x", 1, 0));
	t_out("handled %d", alarms);
	pthread_join(t, NULL);
	done(a, b);
}

/* "EINVAL Invalid argument passed" */
static void einval(void)
{
	struct sockaddr_in to = t_addr(1);
	struct msghdr m = { .msg_name = &to, .msg_namelen = (socklen_t)-1 };
	int a, b;

	t_pair(&a, &b);
	t_res("negative length of a name", sendmsg(a, &m, 0));
	t_res("length of an address", sendto(a, "x", 1, 0, (struct sockaddr *)&to, 5000));
	done(a, b);
}

static void *send_on_closed(void *arg)
{
	t_res("send in a thread", send(*(int *)arg, "x", 1, 0));
	t_out("the signal came here %d", pipe_tid == t_self());
	return NULL;
}

/* "EPIPE The local end has been shut down. The process will also receive a SIGPIPE unless MSG_NOSIGNAL" */
static void epipe(void)
{
	pthread_t t;
	int a, b;

	signal(SIGPIPE, on_pipe);
	t_pair(&a, &b);
	shutdown(a, SHUT_WR);
	t_res("send", send(a, "x", 1, 0));
	t_out("signals %d", pipes);
	t_res("of nothing", send(a, "", 0, 0));
	t_out("signals %d", pipes);
	t_res("NOSIGNAL", send(a, "x", 1, MSG_NOSIGNAL));
	t_out("signals %d", pipes);
	pthread_create(&t, NULL, send_on_closed, &a);
	pthread_join(t, NULL);
	signal(SIGPIPE, SIG_IGN);
	t_res("ignored", send(a, "x", 1, 0));
	done(a, b);
}

T_MAIN(T_CASE(transmit_a_message), T_CASE(connected_state), T_CASE(target_address), T_CASE(length),
       T_CASE(too_long), T_CASE(no_indication), T_CASE(minus_one), T_CASE(blocks),
       T_CASE(non_blocking_mode), T_CASE(select_tells), T_CASE(dontroute), T_CASE(dontwait),
       T_CASE(nosignal), T_CASE(confirm), T_CASE(message_header), T_CASE(control_information),
       T_CASE(number_of_characters), T_CASE(ebadf), T_CASE(enotsock), T_CASE(efault),
       T_CASE(enobufs_does_not_occur), T_CASE(eintr), T_CASE(einval), T_CASE(epipe))
