/* The last bytes and the end come while recv() has found nothing yet and is about to say so: a signal handler
 * on top of it is who sends them. No byte may be lost, and the end is told after them. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/time.h>

enum { ROUNDS = 400, LEN = 2369, LATEST_US = 60 };

static int reader, writer;
static bool by_reset;
static volatile sig_atomic_t sent;

static void last_words(int sig)
{
	static char bytes[LEN];
	int saved = errno;

	(void)sig;
	send(writer, bytes, sizeof(bytes), 0);
	if (by_reset) {
		t_until(reader, POLLIN); /* what it would discard at the sender is here */
		t_reset(writer);
	} else {
		shutdown(writer, SHUT_WR);
	}
	t_until(reader, POLLRDHUP);
	sent = 1;
	errno = saved;
}

/* Reads until the end: what it was, and how much came before. */
static ssize_t read_all(size_t *got, int *err)
{
	char buf[8192];
	ssize_t n;

	*got = 0;
	for (;;) {
		n = recv(reader, buf, sizeof(buf), MSG_DONTWAIT);
		*err = errno;
		if (n > 0)
			*got += (size_t)n;
		else if (n == 0 || *err != EAGAIN)
			return n;
	}
}

static void rounds(const char *end)
{
	uint32_t rnd = 12345;
	int whole = 0, ended = 0;

	signal(SIGALRM, last_words);
	for (int i = 0; i < ROUNDS; i++) {
		struct itimerval in = { 0 };
		size_t got;
		ssize_t n;
		int err;

		t_pair(&reader, &writer);
		rnd = rnd * 1664525 + 1013904223;
		in.it_value.tv_usec = 1 + (rnd >> 8) % LATEST_US;
		sent = 0;
		setitimer(ITIMER_REAL, &in, NULL);
		n = read_all(&got, &err);
		whole += got == LEN;
		ended += sent && n == (by_reset ? -1 : 0) && (!by_reset || err == ECONNRESET);
		close(reader);
		if (!by_reset)
			close(writer);
	}
	signal(SIGALRM, SIG_DFL);
	t_out("%s: %d whole, %d ended so", end, whole, ended);
}

static void by_fin(void) { rounds("FIN"); }

static void by_rst(void)
{
	by_reset = true;
	rounds("RST");
	by_reset = false;
}

T_MAIN(T_CASE(by_fin), T_CASE(by_rst))
