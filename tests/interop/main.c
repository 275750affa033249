/* Checked streams between two stacks: the server does what the client orders, and both compare every byte
 * with what it has to be.
 *   streams serve PORT [ADDR]
 *   streams to ADDR PORT [key=value ...]    up= down= seed= write= read= stall= rcvbuf= cc=,
 *       peer-write= peer-read= peer-stall= peer-rcvbuf= peer-cc=    and for the kernel's end
 *       seq=  the first sequence number   near=  connects until the peer's is at most this far from the wrap
 *       clock=  the timestamps go on at this value
 * `to` prints "right UP DOWN options OWN PEER backoff OWN PEER segs OWN PEER retrans OWN PEER". */
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/interop/streams.h"

enum { TRIES = 200000 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static socklen_t address_of(struct sockaddr_storage *a, const char *host, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		die("streams: address");
	return sizeof(*v4);
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct order o;

	if (read_whole(fd, &o, sizeof(o)) && o.magic == MAGIC) {
		struct exchange x = { .fd = fd, .seed_out = o.seed + 1, .seed_in = o.seed, .out = o.down,
				      .in = o.up, .how = o.peer };

		o.peer.cc[CC_NAME - 1] = 0;
		manner_set(fd, &o.peer);
		x.keep_open = true;
		if (exchange_run(&x) && send(fd, &x.v, sizeof(x.v), MSG_NOSIGNAL) < 0)
			perror("streams: verdict");
	}
	close(fd);
	return NULL;
}

static void serve(uint16_t port, const char *host)
{
	struct sockaddr_storage a;
	socklen_t len = address_of(&a, host, port);
	int fd = socket(a.ss_family, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 128) < 0)
		die("streams: listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);
		pthread_t t;

		if (c < 0)
			die("streams: accept");
		if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)c))
			die("streams: thread");
		pthread_detach(t);
	}
}

/* ---- the client ---- */
struct wishes {
	struct order o;
	struct manner how;
	bool has_seq, has_near, has_clock;
	uint32_t seq, near, clock;
};

static bool manner_key(struct manner *m, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint32_t *at;
	} keys[] = { { "write", &m->write }, { "read", &m->read }, { "stall", &m->stall_ms },
		     { "rcvbuf", &m->rcvbuf } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(key, keys[i].key) == 0) {
			*keys[i].at = (uint32_t)strtoul(value, NULL, 0);
			return true;
		}
	if (strcmp(key, "cc") != 0)
		return false;
	snprintf(m->cc, sizeof(m->cc), "%s", value);
	return true;
}

static void wish(struct wishes *w, char *arg)
{
	char *value = strchr(arg, '=');

	if (!value) {
		fprintf(stderr, "streams: not understood: %s\n", arg);
		exit(2);
	}
	*value++ = 0;
	if (strcmp(arg, "up") == 0) {
		w->o.up = strtoull(value, NULL, 0);
	} else if (strcmp(arg, "down") == 0) {
		w->o.down = strtoull(value, NULL, 0);
	} else if (strcmp(arg, "seed") == 0) {
		w->o.seed = (uint32_t)strtoul(value, NULL, 0);
	} else if (strcmp(arg, "seq") == 0) {
		w->seq = (uint32_t)strtoul(value, NULL, 0);
		w->has_seq = true;
	} else if (strcmp(arg, "near") == 0) {
		w->near = (uint32_t)strtoul(value, NULL, 0);
		w->has_near = true;
	} else if (strcmp(arg, "clock") == 0) {
		w->clock = (uint32_t)strtoul(value, NULL, 0);
		w->has_clock = true;
	} else if (strncmp(arg, "peer-", 5) ? !manner_key(&w->how, arg, value) :
					      !manner_key(&w->o.peer, arg + 5, value)) {
		fprintf(stderr, "streams: not understood: %s\n", arg);
		exit(2);
	}
}

/* A connection as it was wished for: the peer's sequence numbers can only be waited for. */
static int connect_to(const struct sockaddr_storage *a, socklen_t len, const struct wishes *w)
{
	struct linger at_once = { .l_onoff = 1 };

	for (int i = 0; i < TRIES; i++) {
		int fd = socket(a->ss_family, SOCK_STREAM, 0);

		manner_set(fd, &w->how);
		if (w->has_seq)
			seq_start_at(fd, w->seq);
		if (connect(fd, (const struct sockaddr *)a, len) < 0)
			die("streams: connect");
		if ((!w->has_near || 0u - seq_received(fd) <= w->near) &&
		    (!w->has_clock || clock_set_ahead(fd, w->clock)))
			return fd;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
	fprintf(stderr, "streams: no connection as wished in %d\n", TRIES);
	exit(1);
}

static int to(int argc, char **argv)
{
	struct wishes w = { .o = { .magic = MAGIC, .seed = 1 } };
	struct sockaddr_storage a;
	socklen_t len = address_of(&a, argv[0], (uint16_t)atoi(argv[1]));
	struct verdict peer = { 0 };
	char more;

	for (int i = 2; i < argc; i++)
		wish(&w, argv[i]);
	struct exchange x = { .fd = connect_to(&a, len, &w), .seed_out = w.o.seed, .seed_in = w.o.seed + 1,
			      .out = w.o.up, .in = w.o.down, .how = w.how };

	if (send(x.fd, &w.o, sizeof(w.o), MSG_NOSIGNAL) != sizeof(w.o))
		die("streams: send");
	if (!exchange_run(&x))
		return 1;
	errno = 0;
	if (!read_whole(x.fd, &peer, sizeof(peer))) {
		exchange_look(&x);
		fprintf(stderr, "streams: no verdict of the server, retransmitted %u, backoff %u: %s\n",
			x.v.retrans, x.v.backoff, strerror(errno));
		return 1;
	}
	exchange_look(&x);
	if (peer.right != w.o.up || read_whole(x.fd, &more, 1)) {
		fprintf(stderr, "streams: the server says %llu of %llu bytes were right, or says more\n",
			(unsigned long long)peer.right, (unsigned long long)w.o.up);
		return 1;
	}
	printf("right %llu %llu options %u %u backoff %u %u segs %u %u retrans %u %u\n",
	       (unsigned long long)peer.right, (unsigned long long)x.v.right, x.v.options, peer.options,
	       x.v.backoff, peer.backoff, x.v.segs_out, peer.segs_out, x.v.retrans, peer.retrans);
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "serve") == 0)
		serve((uint16_t)atoi(argv[2]), argc == 4 ? argv[3] : "0.0.0.0");
	if (argc >= 4 && strcmp(argv[1], "to") == 0)
		return to(argc - 2, argv + 2);
	fprintf(stderr, "usage: streams serve PORT [ADDR] | to ADDR PORT [key=value ...]\n");
	return 2;
}
