/* What each state of a stream socket looks like to poll, select and epoll, for every mask asked: one table
 * of states, one of masks. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"
#include <sys/select.h>

static int fd, peer, extra; /* the socket looked at; what else the state needs, -1: nothing */

/* ---- the states ---- */
static void fresh(void) { fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); }

static void bound(void)
{
	struct sockaddr_in a = t_addr(0);
	fresh();
	bind(fd, (struct sockaddr *)&a, sizeof(a));
}

static void listening(void) { fd = t_listen(4, NULL); }

static void queue_full_of_one(void)
{
	struct sockaddr_in a;
	fd = t_listen(4, &a);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	connect(peer, (struct sockaddr *)&a, sizeof(a));
	t_until(fd, POLLIN);
}

static void listener_shut_down(void)
{
	listening();
	shutdown(fd, SHUT_RD);
	t_sleep_ms(3);
}

static void refused(void)
{
	struct sockaddr_in a;
	int l = t_listen(4, &a);
	close(l);
	fresh();
	connect(fd, (struct sockaddr *)&a, sizeof(a));
	t_until(fd, POLLHUP);
}

static void refused_and_told(void)
{
	int err;
	socklen_t len = sizeof(err);
	refused();
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
}

static void idle(void) { t_pair(&fd, &peer); }

static void accepted(void) { t_pair(&peer, &fd); }

static void data(void)
{
	idle();
	send(peer, "data", 4, 0);
	t_until(fd, POLLIN);
}

static void data_below_lowat(void)
{
	int low = 100;
	idle();
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	send(peer, "data", 4, 0);
	t_sleep_ms(5);
}

static void full(void)
{
	idle();
	t_fill(fd);
}

static void full_with_data(void)
{
	full();
	send(peer, "data", 4, 0);
	t_until(fd, POLLIN);
}

static void peer_fin(void)
{
	idle();
	shutdown(peer, SHUT_WR);
	t_until(fd, POLLRDHUP);
}

static void peer_fin_behind_data(void)
{
	idle();
	send(peer, "data", 4, 0);
	shutdown(peer, SHUT_WR);
	t_until(fd, POLLRDHUP);
}

static void own_fin(void)
{
	idle();
	shutdown(fd, SHUT_WR);
	t_sleep_ms(5);
}

static void own_end_of_reading(void)
{
	idle();
	shutdown(fd, SHUT_RD);
}

static void shut_both_ways(void)
{
	idle();
	shutdown(fd, SHUT_RDWR);
	t_until(fd, POLLHUP);
}

static void both_fin(void)
{
	peer_fin();
	shutdown(fd, SHUT_WR);
	t_until(fd, POLLHUP);
	t_sleep_ms(3);
}

static void both_fin_behind_data(void)
{
	peer_fin_behind_data();
	shutdown(fd, SHUT_WR);
	t_until(fd, POLLHUP);
	t_sleep_ms(3);
}

static void reset(void)
{
	idle();
	t_reset(peer);
	peer = -1;
	t_until(fd, POLLHUP);
}

static void reset_behind_data(void)
{
	idle();
	send(peer, "data", 4, 0);
	t_until(fd, POLLIN);
	t_reset(peer);
	peer = -1;
	t_until(fd, POLLHUP);
}

static void reset_and_told(void)
{
	char c;
	reset();
	recv(fd, &c, 1, 0);
}

static void disconnected(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	idle();
	connect(fd, &none, sizeof(none));
}

static void dup_of_closed(void)
{
	data();
	extra = fd;
	fd = dup(fd);
	close(extra);
	extra = -1;
}

static const struct t_case states[] = {
	T_CASE(fresh), T_CASE(bound), T_CASE(listening), T_CASE(queue_full_of_one),
	T_CASE(listener_shut_down), T_CASE(refused), T_CASE(refused_and_told), T_CASE(idle),
	T_CASE(accepted), T_CASE(data), T_CASE(data_below_lowat), T_CASE(full), T_CASE(full_with_data),
	T_CASE(peer_fin), T_CASE(peer_fin_behind_data), T_CASE(own_fin), T_CASE(own_end_of_reading),
	T_CASE(shut_both_ways), T_CASE(both_fin), T_CASE(both_fin_behind_data), T_CASE(reset),
	T_CASE(reset_behind_data), T_CASE(reset_and_told), T_CASE(disconnected), T_CASE(dup_of_closed),
};

static void enter(const struct t_case *state)
{
	fd = peer = extra = -1;
	state->run();
}

static void leave(void)
{
	close(fd);
	if (peer >= 0)
		close(peer);
	if (extra >= 0)
		close(extra);
}

/* ---- the calls ---- */
static const int masks[] = { 0, POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI, POLLRDHUP,
	POLLRDNORM | POLLWRNORM, POLLRDBAND | POLLWRBAND,
	POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM };

static void by_poll(void)
{
	for (size_t i = 0; i < T_COUNT(states); i++) {
		enter(&states[i]);
		for (size_t m = 0; m < T_COUNT(masks); m++) {
			struct pollfd p = { .fd = fd, .events = (short)masks[m], .revents = 77 };
			int n = poll(&p, 1, 0);
			t_out("%s asked %s: %d %s", states[i].name, t_mask((uint32_t)masks[m]), n,
			      t_mask((uint32_t)p.revents));
		}
		leave();
	}
}

static void by_select(void)
{
	for (size_t i = 0; i < T_COUNT(states); i++) {
		fd_set r, w, x;
		struct timeval none = { 0 };
		enter(&states[i]);
		FD_ZERO(&r);
		FD_SET(fd, &r);
		w = x = r;
		int n = select(fd + 1, &r, &w, &x, &none);
		t_out("%s: %d read %d write %d except %d", states[i].name, n, !!FD_ISSET(fd, &r),
		      !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &x));
		leave();
	}
}

/* Level, edge and one-shot, each asked twice. */
static void by_epoll(void)
{
	static const uint32_t how[] = { 0, EPOLLET, EPOLLONESHOT };
	for (size_t i = 0; i < T_COUNT(states); i++) {
		enter(&states[i]);
		for (size_t h = 0; h < T_COUNT(how); h++) {
			struct epoll_event ev[2];
			int ep = epoll_create1(0);
			t_epoll_add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | how[h]);
			int n = t_epoll_wait(ep, ev, 2, 0);
			uint32_t got = ev[0].events;
			int again = t_epoll_wait(ep, ev, 2, 0);
			t_out("%s %s: %d %s, again %d", states[i].name,
			      how[h] == EPOLLET ? "edge" : how[h] ? "oneshot" : "level", n,
			      t_mask(got), again);
			close(ep);
		}
		leave();
	}
}

/* The set itself is looked at, by poll and by a set around it. */
static void by_nested_set(void)
{
	for (size_t i = 0; i < T_COUNT(states); i++) {
		struct epoll_event ev[2];
		int inner = epoll_create1(0), outer = epoll_create1(0);
		enter(&states[i]);
		t_epoll_add(inner, fd, EPOLLIN | EPOLLRDHUP);
		t_epoll_add(outer, inner, EPOLLIN | EPOLLET);
		t_out("%s: poll %s, outer %d, again %d, inner %d", states[i].name,
		      t_mask((uint32_t)t_poll(inner, POLLIN | POLLOUT)), t_epoll_wait(outer, ev, 2, 0),
		      t_epoll_wait(outer, ev, 2, 0), t_epoll_wait(inner, ev, 2, 0));
		close(inner);
		close(outer);
		leave();
	}
}

static void *connect_now(void *arg)
{
	connect(fd, arg, sizeof(struct sockaddr_in));
	return NULL;
}

/* Whoever has accepted a connection finds the other end connected, however far its connect() has come. */
static void peer_of_accepted(void)
{
	int good = 0;
	for (int i = 0; i < 300; i++) {
		struct sockaddr_in addr;
		pthread_t t;
		char c;
		int l = t_listen(4, &addr);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		pthread_create(&t, NULL, connect_now, &addr);
		peer = accept(l, NULL, NULL);
		if (i % 2)
			good += t_poll(fd, POLLIN | POLLOUT) == POLLOUT;
		else
			good += recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
		pthread_join(t, NULL);
		close(peer);
		close(fd);
		close(l);
	}
	t_out("%d times connected", good);
}

T_MAIN(T_CASE(peer_of_accepted), T_CASE(by_poll), T_CASE(by_select), T_CASE(by_epoll), T_CASE(by_nested_set))
