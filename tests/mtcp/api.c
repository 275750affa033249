/* The common half of the tests: see api.h. */
// SPDX-License-Identifier: MIT
#include "tests/mtcp/api.h"

mctx_t api_ctx;

void api_setup(void)
{
	ck_assert_int_eq(mtcp_init(NULL), 0);
	ck_assert_ptr_nonnull(api_ctx = mtcp_create_context(0));
}

void api_teardown(void)
{
	mtcp_destroy_context(api_ctx);
	mtcp_destroy();
}

uint64_t api_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct sockaddr_in api_addr(int port)
{
	const char *addr = getenv("FN_TEST_ADDR");

	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = inet_addr(addr ? addr : "10.77.0.2") };
}

int api_listen(mctx_t m, struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int id = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	*at = api_addr(0);
	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(mtcp_bind(m, id, (struct sockaddr *)at, sizeof(*at)), 0);
	ck_assert_int_eq(mtcp_listen(m, id, 64), 0);
	ck_assert_int_eq(mtcp_getsockname(m, id, (struct sockaddr *)at, &len), 0);
	return id;
}

void api_block(mctx_t m, int id, int on)
{
	int non = !on;

	ck_assert_int_eq(mtcp_socket_ioctl(m, id, FIONBIO, &non), 0);
}

int api_accept(mctx_t m, int listener)
{
	int id = -1;

	API_UNTIL((id = mtcp_accept(m, listener, NULL, NULL)) >= 0 || errno != EAGAIN);
	ck_assert_int_ge(id, 0);
	return id;
}

void api_pair(int *a, int *b)
{
	struct sockaddr_in at;
	int l = api_listen(api_ctx, &at);

	*a = mtcp_socket(api_ctx, AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ge(*a, 0);
	api_block(api_ctx, *a, 1);
	ck_assert_int_eq(mtcp_connect(api_ctx, *a, (struct sockaddr *)&at, sizeof(at)), 0);
	api_block(api_ctx, *a, 0);
	*b = api_accept(api_ctx, l);
	ck_assert_int_eq(mtcp_close(api_ctx, l), 0);
}

ssize_t api_read(mctx_t m, int id, void *buf, size_t n)
{
	size_t got = 0;
	ssize_t r = 1;

	while (got < n && r > 0) {
		API_UNTIL((r = mtcp_read(m, id, (char *)buf + got, n - got)) >= 0 || errno != EAGAIN);
		got += r > 0 ? (size_t)r : 0;
	}
	return r < 0 && !got ? r : (ssize_t)got;
}

size_t api_fill(mctx_t m, int id)
{
	static char block[65536];
	uint64_t quiet = api_now_ms();
	size_t sent = 0;

	/* The buffer grows while the other side takes: full is what stays so for a while. */
	while (api_now_ms() - quiet < 200) {
		ssize_t n = mtcp_write(m, id, block, sizeof(block));

		if (n > 0) {
			sent += (size_t)n;
			quiet = api_now_ms();
			continue;
		}
		ck_assert_int_eq(errno, EAGAIN);
		usleep(1000);
	}
	return sent;
}
