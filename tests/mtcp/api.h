/* What the tests of mTCP's interface share: a context, connected pairs, waiting with a deadline. */
// SPDX-License-Identifier: MIT
#pragma once
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <mtcp_api.h>
#include <mtcp_epoll.h>

extern mctx_t api_ctx; /* context 0, made by api_setup() */
void api_setup(void);
void api_teardown(void);
/* The address of the engine, FN_TEST_ADDR, and a port. */
struct sockaddr_in api_addr(int port);
/* A listener at a port that the engine chooses, in *at. */
int api_listen(mctx_t m, struct sockaddr_in *at);
/* A connected pair in api_ctx: *a by connect, *b by accept; both non-blocking. */
void api_pair(int *a, int *b);
void api_block(mctx_t m, int id, int on);
/* The next connection of a non-blocking listener; bounded. */
int api_accept(mctx_t m, int listener);
/* Bytes until n are there, or the end, or an error, or the time is over. */
ssize_t api_read(mctx_t m, int id, void *buf, size_t n);
/* Writes until EAGAIN; the bytes. */
size_t api_fill(mctx_t m, int id);
uint64_t api_now_ms(void);
/* For conditions that come true within the time. */
#define API_UNTIL(cond)                                                                            \
	do {                                                                                       \
		uint64_t end_ = api_now_ms() + 20000;                                              \
		while (!(cond)) {                                                                  \
			ck_assert_msg(api_now_ms() < end_, "in vain: %s", #cond);                  \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)
/* r is -1 with that errno. */
#define API_FAILS(call, err)                                                                       \
	do {                                                                                       \
		errno = 0;                                                                         \
		ck_assert_int_eq((call), -1);                                                      \
		ck_assert_int_eq(errno, (err));                                                    \
	} while (0)
