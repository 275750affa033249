/* send(2) of HP-UX (004_5b58b766a326e8a8.txt): each case paraphrases a sentence of the page as far as Linux
 * can express it. Linux has one non-blocking bit: O_NONBLOCK, O_NDELAY and FIONBIO (their FIOSNBIO) all
 * set it, so the last one wins; and a full buffer is EAGAIN, not a count of 0. AF_CCITT, AF_VME_LINK and the
 * X/Open header do not exist here. MSG_EOF is Linux's MSG_FIN, see differences.txt. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { EOF_FLAG = 0x200 };

static void done(int a, int b)
{
	close(a);
	close(b);
}

static void make_small(int *a, int *b)
{
	int small = 8192;

	t_pair(a, b);
	setsockopt(*a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(*b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
}

static char big[1 << 20];

static size_t drain(int fd, size_t n)
{
	static char buf[65536];
	size_t have = 0;
	ssize_t r;

	while (have < n && (r = recv(fd, buf, sizeof(buf), 0)) > 0)
		have += (size_t)r;
	return have;
}

/* "If there is enough space to buffer all of the data, send() completes, having written out all of it" */
static void enough_space(void)
{
	int a, b;

	t_pair(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	t_res("send", send(a, big, 4000, 0));
	t_out("arrives %zu", drain(b, 4000));
	done(a, b);
}

/* "If there is not enough space for the entire request, send() completes, having written as much data as
 * possible, and returns the number of bytes it was able to write" */
static void not_enough_space(void)
{
	ssize_t r;
	int a, b;

	make_small(&a, &b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	r = send(a, big, sizeof(big), 0);
	t_out("a part %d", r > 0 && r < (ssize_t)sizeof(big));
	shutdown(a, SHUT_WR);
	t_out("that part arrives %d", drain(b, sizeof(big)) == (size_t)r);
	done(a, b);
}

/* "If there is no space to buffer any of the data, ... returns 0": EAGAIN here */
static void no_space(void)
{
	int a, b;

	make_small(&a, &b);
	t_fill(a);
	fcntl(a, F_SETFL, O_NDELAY);
	t_res("send", send(a, "x", 1, 0));
	done(a, b);
}

static volatile size_t wanted, arrived;
static void *reader(void *arg)
{
	int *x = arg;

	t_until_asleep(x[1]);
	arrived = drain(x[0], wanted);
	return NULL;
}

/* "If the O_NDELAY flag is cleared using fcntl(), nonblocking I/O is disabled. The send() always executes
 * completely (blocking as necessary)" */
static void cleared_flag_blocks(void)
{
	int a, b, x[2];
	pthread_t t;

	make_small(&a, &b);
	fcntl(a, F_SETFL, O_NDELAY);
	fcntl(a, F_SETFL, 0);
	x[0] = b;
	x[1] = t_self();
	wanted = sizeof(big);
	pthread_create(&t, NULL, reader, x);
	t_res("all of it", send(a, big, sizeof(big), 0));
	pthread_join(t, NULL);
	t_out("arrives %d", arrived == wanted);
	done(a, b);
}

static void would_block(const char *what, int fd)
{
	struct timeval tv = { .tv_usec = 20000 };
	uint64_t t0;
	ssize_t r;

	/* A time limit tells waiting from not waiting. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	t0 = t_now_ms();
	r = send(fd, "x", 1, 0);
	t_out("%s: %s, flags %x", what,
	      r >= 0			? "sent" :
	      t_now_ms() - t0 >= 15	? "waits" :
					  "does not wait",
	      (unsigned int)fcntl(fd, F_GETFL));
}

/* "If O_NONBLOCK or O_NDELAY has been set, send() behaves accordingly, regardless of any FIOSNBIO. If neither
 * has been set, FIOSNBIO controls the behaviour": one bit here, each sets and clears it */
static void one_bit_for_all_three(void)
{
	int a, b, on = 1, off = 0;

	make_small(&a, &b);
	t_fill(a);
	would_block("by default", a);
	t_res("O_NONBLOCK", fcntl(a, F_SETFL, O_NONBLOCK));
	would_block("O_NONBLOCK", a);
	t_res("FIONBIO off", ioctl(a, FIONBIO, &off));
	would_block("FIONBIO off clears it", a);
	t_res("O_NDELAY", fcntl(a, F_SETFL, O_NDELAY));
	would_block("O_NDELAY", a);
	t_res("cleared", fcntl(a, F_SETFL, 0));
	would_block("cleared", a);
	t_res("FIONBIO", ioctl(a, FIONBIO, &on));
	would_block("FIONBIO", a);
	t_res("FIONBIO off", ioctl(a, FIONBIO, &off));
	would_block("FIONBIO off", a);
	t_res("FIONBIO 7", ioctl(a, FIONBIO, &(int){ 7 }));
	would_block("FIONBIO 7", a);
	done(a, b);
}

/* "By default nonblocking I/O is disabled" */
static void blocking_by_default(void)
{
	struct sockaddr_in at;
	int l = t_listen(1, &at), a = socket(AF_INET, SOCK_STREAM, 0), b;

	t_out("socket %x", (unsigned int)fcntl(a, F_GETFL) & O_NONBLOCK);
	connect(a, (struct sockaddr *)&at, sizeof(at));
	fcntl(l, F_SETFL, O_NONBLOCK);
	t_until(l, POLLIN);
	b = accept(l, NULL, NULL);
	t_out("accepted from a non-blocking one %x", (unsigned int)fcntl(b, F_GETFL) & O_NONBLOCK);
	close(l);
	done(a, b);
}

/* "MSG_EOF is used to initiate a write-side shutdown along with the send operation"; "equivalent to a send()
 * followed immediately (if the send is successful) by shutdown(s, SHUT_WR)"; "no further data may be sent" */
static void eof_flag(void)
{
	char buf[16] = { 0 };
	int a, b;

	t_pair(&a, &b);
	t_res("send", send(a, "last", 4, EOF_FLAG));
	t_res("arrives", t_read_all(b, buf, 4));
	t_sleep_ms(10);
	t_res("end", recv(b, buf, 1, MSG_DONTWAIT));
	t_res("no further data", send(a, "x", 1, MSG_NOSIGNAL));
	t_res("the other way", send(b, "y", 1, 0));
	done(a, b);
}

/* "If the data send operation fails then the shutdown operation is not performed" */
static void eof_flag_of_a_failed_send(void)
{
	size_t all;
	int a, b;

	make_small(&a, &b);
	t_res("bad address", send(a, (void *)8, 4, EOF_FLAG));
	t_res("still open", send(a, "x", 1, 0));
	fcntl(a, F_SETFL, O_NONBLOCK);
	all = t_fill(a) + 1;
	t_res("full", send(a, "x", 1, EOF_FLAG));
	t_out("all of it arrives %d", drain(b, all) == all);
	t_until(a, POLLOUT);
	t_res("still open", send(a, "x", 1, MSG_NOSIGNAL));
	done(a, b);
}

/* "A write() call behaves in exactly the same way as send() with flags set to zero" */
static void write_is_send(void)
{
	char buf[8] = { 0 };
	int a, b;

	t_pair(&a, &b);
	t_res("write", write(a, "abc", 3));
	t_res("send", send(a, "def", 3, 0));
	t_res("arrive", t_read_all(b, buf, 6));
	t_out("%s", buf);
	t_res("write, bad", write(a, (void *)8, 1));
	t_res("send, bad", send(a, (void *)8, 1, 0));
	t_res("write nothing", write(a, "", 0));
	t_res("send nothing", send(a, "", 0, 0));
	shutdown(a, SHUT_WR);
	signal(SIGPIPE, SIG_IGN);
	t_res("write, closed", write(a, "x", 1));
	t_res("send, closed", send(a, "x", 1, 0));
	done(a, b);
}

/* "MSG_OOB is not supported for AF_UNIX": Linux does support it by now; of a stream that is not connected
 * it is an error like any other */
static void out_of_band_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	t_res("send", send(fd, "x", 1, MSG_OOB | MSG_NOSIGNAL) < 0);
	close(fd);
}

/* "select() can be used to determine when it is possible to send more data" */
static void select_tells(void)
{
	struct timeval none = { 0 }, long_enough = { .tv_sec = 2 };
	size_t all;
	fd_set w;
	int a, b;

	make_small(&a, &b);
	FD_ZERO(&w);
	FD_SET(a, &w);
	t_res("empty", select(a + 1, NULL, &w, NULL, &none));
	all = t_fill(a);
	FD_SET(a, &w);
	t_res("full", select(a + 1, NULL, &w, NULL, &none));
	drain(b, all);
	FD_SET(a, &w);
	t_res("drained", select(a + 1, NULL, &w, NULL, &long_enough));
	t_res("send", send(a, "x", 1, MSG_DONTWAIT));
	done(a, b);
}

T_MAIN(T_CASE(enough_space), T_CASE(not_enough_space), T_CASE(no_space), T_CASE(cleared_flag_blocks),
       T_CASE(one_bit_for_all_three), T_CASE(blocking_by_default), T_CASE(eof_flag),
       T_CASE(eof_flag_of_a_failed_send), T_CASE(write_is_send), T_CASE(out_of_band_unconnected),
       T_CASE(select_tells))
