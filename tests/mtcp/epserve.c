/* A server in mTCP's way: a context, a listener and an event set for each thread. Sends back what it
 * receives; ends a connection when the client does. Prints what it has seen. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/mtcp/ep.h"

struct conn {
	int id;
	uint32_t held; /* bytes read that are still to be written */
	uint32_t at;   /* of them in the buffer */
	bool ended;    /* the client's end has been read */
	char *rest;    /* bytes that did not fit, NULL: none */
};
struct server {
	const struct ep_options *o;
	int number;
	mctx_t m;
	int ep, listener;
	uint64_t accepted, bytes, errors, open;
};
static _Atomic uint64_t all_bytes;

static void watch(struct server *s, int op, struct conn *c, uint32_t events)
{
	struct mtcp_epoll_event ev = { .events = events, .data.ptr = c };

	if (s->o->edge)
		ev.events |= (uint32_t)MTCP_EPOLLET;
	if (mtcp_epoll_ctl(s->m, s->ep, op, c->id, &ev) < 0)
		ep_die("mtcp_epoll_ctl");
}

static void end(struct server *s, struct conn *c)
{
	if (mtcp_close(s->m, c->id) < 0)
		s->errors++;
	s->open--;
	free(c->rest);
	free(c);
}

/* Writes what is there; false: the connection is over. */
static bool give_back(struct server *s, struct conn *c, const char *buf, uint32_t n)
{
	ssize_t w = mtcp_write(s->m, c->id, buf, n);

	if (w < 0 && errno != EAGAIN) {
		s->errors++;
		return false;
	}
	if (w < 0)
		w = 0;
	if ((uint32_t)w == n) {
		if (c->rest)
			watch(s, MTCP_EPOLL_CTL_MOD, c, MTCP_EPOLLIN);
		free(c->rest);
		c->rest = NULL;
		return true;
	}
	if (!c->rest) {
		c->rest = malloc(n);
		if (!c->rest)
			ep_die("memory");
		memcpy(c->rest, buf + w, n - (uint32_t)w);
		c->at = 0;
		watch(s, MTCP_EPOLL_CTL_MOD, c, MTCP_EPOLLOUT);
	} else {
		c->at += (uint32_t)w;
	}
	c->held = n - (uint32_t)w;
	return true;
}

/* Until there is nothing to read, or nothing can be written; false: it is over. */
static bool echo(struct server *s, struct conn *c)
{
	char buf[EP_SIZE_MAX];

	for (;;) {
		ssize_t n;

		if (c->rest && (!give_back(s, c, c->rest + c->at, c->held)))
			return false;
		if (c->rest)
			return true;
		n = mtcp_read(s->m, c->id, buf, sizeof(buf));
		if (n == 0)
			return false;
		if (n < 0) {
			s->errors += errno != EAGAIN;
			return errno == EAGAIN;
		}
		s->bytes += (uint64_t)n;
		atomic_fetch_add(&all_bytes, (uint64_t)n);
		if (!give_back(s, c, buf, (uint32_t)n))
			return false;
		if (!s->o->edge && (uint32_t)n < sizeof(buf) && !c->rest)
			return true;
	}
}

static void take_all(struct server *s)
{
	int id;

	while ((id = mtcp_accept(s->m, s->listener, NULL, NULL)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (!c)
			ep_die("memory");
		c->id = id;
		s->accepted++;
		s->open++;
		watch(s, MTCP_EPOLL_CTL_ADD, c, MTCP_EPOLLIN);
	}
	if (errno != EAGAIN)
		s->errors++;
}

static void listen_on(struct server *s)
{
	struct mtcp_epoll_event ev = { .events = MTCP_EPOLLIN };
	const struct sockaddr_in *addr = &s->o->addr;

	s->listener = mtcp_socket(s->m, AF_INET, SOCK_STREAM, 0);
	if (s->listener < 0 ||
	    mtcp_bind(s->m, s->listener, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		ep_die("bind");
	if (s->o->wait_for)
		fprintf(stderr, "bound\n");
	while (s->o->wait_for && access(s->o->wait_for, F_OK) != 0 && !ep_stop)
		usleep(10000);
	if (mtcp_listen(s->m, s->listener, 4096) < 0)
		ep_die("listen");
	ev.data.ptr = NULL;
	if (mtcp_epoll_ctl(s->m, s->ep, MTCP_EPOLL_CTL_ADD, s->listener, &ev) < 0)
		ep_die("mtcp_epoll_ctl");
}

static bool is_done(const struct ep_options *o)
{
	return ep_stop ||
	       (o->stop_after && atomic_load(&all_bytes) >= (uint64_t)o->stop_after * o->size);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct mtcp_epoll_event ev[EP_EVENTS];

	mtcp_core_affinitize(s->number);
	s->m = mtcp_create_context(s->number);
	if (!s->m)
		ep_die("mtcp_create_context");
	s->ep = mtcp_epoll_create(s->m, EP_EVENTS);
	if (s->ep < 0)
		ep_die("mtcp_epoll_create");
	listen_on(s);
	while (!is_done(s->o)) {
		int n = mtcp_epoll_wait(s->m, s->ep, ev, EP_EVENTS, s->o->stop_after ? 100 : -1);

		if (n < 0 && errno != EINTR)
			ep_die("mtcp_epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (!c)
				take_all(s);
			else if (!echo(s, c))
				end(s, c);
		}
	}
	mtcp_destroy_context(s->m);
	return s;
}

int main(int argc, char **argv)
{
	struct ep_options o = ep_options(argc, argv);
	static struct server server[EP_THREADS];
	uint64_t accepted = 0, bytes = 0, errors = 0, open = 0, least = UINT64_MAX;

	for (int i = 0; i < o.threads; i++)
		server[i] = (struct server){ .o = &o, .number = i };
	if (!ep_run(&o, serve, server, sizeof(server[0])))
		return 1;
	for (int i = 0; i < o.threads; i++) {
		accepted += server[i].accepted;
		bytes += server[i].bytes;
		errors += server[i].errors;
		open += server[i].open;
		least = server[i].accepted < least ? server[i].accepted : least;
	}
	printf("{\"accepted\": %llu, \"least\": %llu, \"bytes\": %llu, \"errors\": %llu, \"open\": %llu}\n",
	       (unsigned long long)accepted, (unsigned long long)least, (unsigned long long)bytes,
	       (unsigned long long)errors, (unsigned long long)open);
	return errors != 0;
}
