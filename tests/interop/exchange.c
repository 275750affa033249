/* One end of one connection: bytes out and in at once, in the manner it was told. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/interop/streams.h"

enum { BUF = 1 << 18, MIX = 1 << 16, STALL_AT = 1 << 16, LOOK_MS = 100 };

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool failed(const struct exchange *x, const char *what, int err)
{
	fprintf(stderr, "streams: %s%s%s; sent %llu of %llu, got %llu of %llu\n", what,
		err ? ": " : "", err ? strerror(err) : "", (unsigned long long)x->sent,
		(unsigned long long)x->out, (unsigned long long)x->got, (unsigned long long)x->in);
	return false;
}

void manner_set(int fd, const struct manner *how)
{
	int n = (int)how->rcvbuf;

	if (n && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n)) < 0)
		perror("streams: SO_RCVBUF");
	if (how->cc[0] && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, how->cc,
				     (socklen_t)strnlen(how->cc, CC_NAME)) < 0)
		perror("streams: TCP_CONGESTION");
}

bool read_whole(int fd, void *buf, size_t n)
{
	for (size_t had = 0; had < n;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r = poll(&p, 1, IDLE_MS) == 1 ? recv(fd, (char *)buf + had, n - had, 0) : -1;

		if (r <= 0)
			return false;
		had += (size_t)r;
	}
	return true;
}

/* Sizes of one byte to 64 KB, each power of two as likely as the next. */
static size_t some(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (size_t)1 + ((*state >> 20 & (MIX - 1)) >> (*state >> 40) % 17);
}

/* 1: moved, 0: nothing can be moved now, -1: over. */
static int push(struct exchange *x, uint8_t *buf, size_t *have, uint64_t *dice)
{
	uint64_t left = x->out - x->sent;
	size_t n = x->how.write ? x->how.write : some(dice);
	ssize_t r;

	if (n > left)
		n = (size_t)left;
	if (*have < n || (*have == 0 && n)) { /* what was not taken is still there */
		stream_fill(buf, x->seed_out, x->sent, n);
		*have = n;
	}
	r = send(x->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	x->sent += (uint64_t)r;
	*have = 0;
	if (x->sent == x->out && !x->keep_open && shutdown(x->fd, SHUT_WR) < 0)
		return -1;
	return 1;
}

static int pull(struct exchange *x, uint8_t *buf, uint64_t *dice)
{
	uint64_t left = x->in - x->got;
	size_t n = x->how.read ? x->how.read : some(dice) + BUF / 2;
	ssize_t r = recv(x->fd, buf, n < left ? n : left, MSG_DONTWAIT);

	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (r == 0) {
		errno = 0;
		return -1;
	}
	if (!stream_check(buf, x->seed_in, x->got, (size_t)r)) {
		errno = EILSEQ;
		return -1;
	}
	x->got += (uint64_t)r;
	x->v.right += (uint64_t)r;
	return 1;
}

void exchange_look(struct exchange *x)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(x->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return;
	if (info.tcpi_backoff > x->v.backoff)
		x->v.backoff = info.tcpi_backoff;
	x->v.segs_out = info.tcpi_data_segs_out;
	x->v.options = info.tcpi_options;
	x->v.retrans = info.tcpi_total_retrans;
}

bool exchange_run(struct exchange *x)
{
	static _Thread_local uint8_t in[BUF], out[BUF];
	uint64_t dice = x->seed_out * 2654435761u + x->seed_in, last = now_ms(), looked = 0, wait_until = 0;
	size_t have = 0;
	bool stalled = !x->how.stall_ms;

	if (x->how.write > BUF || x->how.read > BUF)
		return failed(x, "pieces too large", 0);
	if (!x->out && !x->keep_open && shutdown(x->fd, SHUT_WR) < 0)
		return failed(x, "shutdown", errno);
	while (x->sent < x->out || x->got < x->in) {
		bool reads = x->got < x->in && now_ms() >= wait_until, writes = x->sent < x->out;
		struct pollfd p = { .fd = x->fd,
				    .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)) };
		int r = poll(&p, 1, LOOK_MS), moved = 0;

		if (r > 0 && reads && p.revents & (POLLIN | POLLHUP | POLLERR))
			moved = pull(x, in, &dice);
		if (moved < 0)
			return failed(x, "recv", errno);
		if (r > 0 && writes && p.revents & (POLLOUT | POLLERR)) {
			r = push(x, out, &have, &dice);
			if (r < 0)
				return failed(x, "send", errno);
			moved |= r;
		}
		if (!stalled && x->got >= STALL_AT) {
			stalled = true;
			wait_until = now_ms() + x->how.stall_ms;
		}
		if (now_ms() - looked >= LOOK_MS) {
			looked = now_ms();
			exchange_look(x);
		}
		if (moved || wait_until > now_ms())
			last = now_ms();
		if (now_ms() - last > IDLE_MS)
			return failed(x, "nothing moves", 0);
	}
	exchange_look(x);
	return true;
}
