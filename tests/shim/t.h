/* What the differential programs share: cases by name, results printed as lines without numbers that
 * may differ between two kernels (ports, descriptors of strangers), waiting for a condition with a
 * deadline. A program runs bare and preloaded; the printed lines must be equal. */
// SPDX-License-Identifier: MIT
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct t_case {
	const char *name;
	void (*run)(void);
};
#define T_CASE(f) { #f, f }
#define T_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define T_MAIN(...)                                                                                \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		static const struct t_case cases[] = { __VA_ARGS__ };                              \
		return t_run(cases, T_COUNT(cases), argc, argv);                                   \
	}

int t_run(const struct t_case *cases, size_t n, int argc, char **argv);

/* One line: "case: text". */
void t_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "what = value" or "what = -1 ENAME"; returns the value, keeps errno. */
long t_res(const char *what, long value);
/* The same where a success is a number that may differ (a descriptor): prints "ok". */
long t_ok(const char *what, long value);
const char *t_errname(int err);

/* The address of this run's server side: FN_TEST_ADDR, default 127.0.0.1. */
struct sockaddr_in t_addr(int port);
/* Names the address: "server:port", "any:0", or the numbers. */
const char *t_addr_name(const struct sockaddr_in *a);
int t_port(int fd);
int t_listen(int backlog, struct sockaddr_in *addr);
/* A connected pair over this run's address: *a made by connect, *b by accept. */
void t_pair(int *a, int *b);
/* A new connection to addr; prints only a failure. */
int t_connect_to(const struct sockaddr_in *addr);
/* Sends word to who echoes, and prints what comes back. */
void t_ask(int fd, const char *word);
/* Prints how the other side's end looks. */
void t_gone(int fd);
/* Takes what is in fd's way: closes with RST. */
void t_reset(int fd);

uint64_t t_now_ms(void);
/* Polls fd until (revents & want) == want or a second has gone; returns the last revents. */
int t_until(int fd, int want);
/* Returns poll's revents now. */
int t_poll(int fd, int events);
/* Epoll: the mask reported for `data` once it has all of want, or after a second the last seen. */
uint32_t t_epoll_until(int ep, int data, uint32_t want);
/* Epoll: number of events within ms. */
int t_epoll_wait(int ep, struct epoll_event *ev, int max, int ms);
int t_epoll_add(int ep, int fd, uint32_t events);
int t_epoll_mod(int ep, int fd, uint32_t events);
const char *t_mask(uint32_t epoll_or_poll_events);
/* Receives exactly n bytes or up to EOF or an error; returns the count. */
ssize_t t_read_all(int fd, void *buf, size_t n);
/* Sends with MSG_DONTWAIT until nothing more fits and it stays so; returns the bytes. */
size_t t_fill(int fd);
void t_sleep_ms(int ms);
/* Waits for a child: its exit status, 1000 + the signal that ended it, or -1: there is none. */
int t_finish(pid_t pid);
/* There is no child but those that the program has waited for: prints what waitpid() says. */
void t_no_other_child(void);
/* Has another engine take over, if there is one (run.py --upgrade). Exit status of the tool, 0 without one.
 * Prepared before there are sockets: a fork later would decide about some. */
void t_upgrade_prepare(void);
int t_upgrade(void);
/* Listeners and datagram sockets that the old engine still waits for, after some time. */
int t_left_behind(void);
/* The caller's thread, for t_until_asleep(): returns when that thread has slept for a while. */
int t_self(void);
void t_until_asleep(int tid);
