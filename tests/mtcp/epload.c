/* A load generator in mTCP's way: each thread has a context, opens its part of the connections, sends
 * requests on each and compares the answers. Prints what came of it; any error is exit status 1. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/mtcp/ep.h"

struct conn {
	int id;
	uint32_t number;   /* of this connection: its bytes */
	uint32_t request;  /* under way, from 0 */
	uint32_t put, got; /* bytes of it */
	bool waits;	   /* for room to write */
};
struct load {
	const struct ep_options *o;
	int number;
	mctx_t m;
	int ep;
	uint32_t want, begun, done, open;
	uint64_t requests, errors;
	uint64_t ms;
};
enum { PATIENCE_MS = 60000 };

static void watch(struct load *l, int op, struct conn *c, uint32_t events)
{
	struct mtcp_epoll_event ev = { .events = events, .data.ptr = c };

	if (l->o->edge)
		ev.events |= (uint32_t)MTCP_EPOLLET;
	if (mtcp_epoll_ctl(l->m, l->ep, op, c->id, &ev) < 0)
		ep_die("mtcp_epoll_ctl");
}

static void begin(struct load *l)
{
	const struct sockaddr_in *to = &l->o->addr;
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		ep_die("memory");
	c->number = l->begun++ * (uint32_t)l->o->threads + (uint32_t)l->number;
	c->id = mtcp_socket(l->m, AF_INET, SOCK_STREAM, 0);
	if (c->id < 0)
		ep_die("mtcp_socket");
	mtcp_setsock_nonblock(l->m, c->id);
	if (mtcp_connect(l->m, c->id, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS)
		ep_die("mtcp_connect");
	l->open++;
	c->waits = true;
	watch(l, MTCP_EPOLL_CTL_ADD, c, MTCP_EPOLLIN | MTCP_EPOLLOUT);
}

static void end(struct load *l, struct conn *c, bool good, const char *why)
{
	if (!good && l->errors++ < 5)
		fprintf(stderr, "connection %u, request %u: %s: %s\n", c->number, c->request, why,
			strerror(errno));
	if (mtcp_close(l->m, c->id) < 0)
		l->errors++;
	l->open--;
	l->done++;
	free(c);
}

/* Writes what is left of the request; false: it has failed. */
static bool ask(struct load *l, struct conn *c)
{
	char buf[EP_SIZE_MAX];
	ssize_t n;

	if (c->put == l->o->size)
		return true;
	for (uint32_t i = c->put; i < l->o->size; i++)
		buf[i] = ep_byte(c->number + c->request, i);
	n = mtcp_write(l->m, c->id, buf + c->put, l->o->size - c->put);
	if (n < 0 && errno != EAGAIN)
		return false;
	if (n > 0)
		c->put += (uint32_t)n;
	if (c->waits == (c->put < l->o->size))
		return true;
	c->waits = c->put < l->o->size;
	watch(l, MTCP_EPOLL_CTL_MOD, c, MTCP_EPOLLIN | (c->waits ? MTCP_EPOLLOUT : 0));
	return true;
}

/* Reads what there is of the answer. False: it has failed. */
static bool hear(struct load *l, struct conn *c)
{
	char buf[EP_SIZE_MAX];

	while (c->got < c->put) {
		ssize_t n = mtcp_read(l->m, c->id, buf, l->o->size - c->got);

		if (n < 0)
			return errno == EAGAIN;
		errno = n ? EBADMSG : ECONNRESET;
		if (n == 0)
			return false;
		for (uint32_t i = 0; i < (uint32_t)n; i++)
			if (buf[i] != ep_byte(c->number + c->request, c->got + i))
				return false;
		c->got += (uint32_t)n;
	}
	return true;
}

static bool failed(struct load *l, const struct conn *c, uint32_t events)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (!(events & MTCP_EPOLLERR))
		return false;
	mtcp_getsockopt(l->m, c->id, SOL_SOCKET, SO_ERROR, &err, &len);
	errno = err;
	return true;
}

static void go_on(struct load *l, struct conn *c, uint32_t events)
{
	if (failed(l, c, events)) {
		end(l, c, false, "event");
		return;
	}
	for (;;) {
		if (!ask(l, c) || !hear(l, c)) {
			end(l, c, false, "bytes");
			return;
		}
		if (c->got < l->o->size)
			return;
		l->requests++;
		c->put = c->got = 0;
		if (++c->request == l->o->requests) {
			end(l, c, true, "");
			return;
		}
	}
}

static void *generate(void *arg)
{
	struct load *l = arg;
	struct mtcp_epoll_event ev[EP_EVENTS];
	uint32_t at_once = (l->o->at_once + (uint32_t)l->o->threads - 1) / (uint32_t)l->o->threads;
	uint64_t start, last;

	mtcp_core_affinitize(l->number);
	l->m = mtcp_create_context(l->number);
	if (!l->m)
		ep_die("mtcp_create_context");
	mtcp_init_rss(l->m, INADDR_ANY, 1, l->o->addr.sin_addr.s_addr, l->o->addr.sin_port);
	l->ep = mtcp_epoll_create(l->m, EP_EVENTS);
	if (l->ep < 0)
		ep_die("mtcp_epoll_create");
	start = last = ep_now_ms();
	while (l->done < l->want && !ep_stop) {
		int n;

		for (int i = 0; i < 64 && l->begun < l->want && l->open < at_once; i++)
			begin(l);
		n = mtcp_epoll_wait(l->m, l->ep, ev, EP_EVENTS, l->begun < l->want && l->open < at_once ? 0 :
								1000);
		if (n < 0 && errno != EINTR)
			ep_die("mtcp_epoll_wait");
		if (n > 0)
			last = ep_now_ms();
		if (ep_now_ms() - last > PATIENCE_MS) {
			fprintf(stderr, "nothing happens: %u of %u done, %u open\n", l->done, l->want,
				l->open);
			l->errors++;
			break;
		}
		for (int i = 0; i < n; i++)
			go_on(l, ev[i].data.ptr, ev[i].events);
	}
	l->ms = ep_now_ms() - start;
	mtcp_destroy_context(l->m);
	return l;
}

int main(int argc, char **argv)
{
	struct ep_options o = ep_options(argc, argv);
	static struct load load[EP_THREADS];
	uint64_t requests = 0, errors = 0, done = 0, ms = 1;

	for (int i = 0; i < o.threads; i++)
		load[i] = (struct load){ .o = &o, .number = i,
					 .want = (o.conns + (uint32_t)(o.threads - 1 - i)) /
						 (uint32_t)o.threads };
	if (!ep_run(&o, generate, load, sizeof(load[0])))
		return 1;
	for (int i = 0; i < o.threads; i++) {
		requests += load[i].requests;
		errors += load[i].errors;
		done += load[i].done;
		ms = load[i].ms > ms ? load[i].ms : ms;
	}
	printf("{\"connections\": %llu, \"requests\": %llu, \"errors\": %llu, \"seconds\": %.3f, "
	       "\"rate\": %.0f}\n", (unsigned long long)done, (unsigned long long)requests,
	       (unsigned long long)errors, (double)ms / 1e3, (double)requests * 1e3 / (double)ms);
	return errors || done != o.conns || requests != (uint64_t)o.conns * o.requests;
}
