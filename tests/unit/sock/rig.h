/* A whole engine without DPDK in one process: data threads with a sock_env each, joined by a wire that
 * never loses (or drops what the test says), a control thread that is the test, and applications
 * whose memory is mapped a second time, as a real one's would be. */
// SPDX-License-Identifier: MIT
#pragma once
#include <check.h>
#include <pthread.h>
#include "stack/chan/app.h"
#include "stack/chan/dgram.h"
#include "stack/chan/evq.h"
#include "stack/chan/stream.h"
#include "stack/chan/wait.h"
#include "stack/sock/client.h"
#include "stack/sock/sock.h"

struct rig_frame {
	struct rig_frame *next;
	struct tcp_flow flow; /* local: destination */
	struct tcp_seg seg;
	uint8_t data[];
};
struct rig_mail {
	struct rig_mail *next;
	struct sock_mail m;
};
/* A queue that any thread may put into. */
struct rig_queue {
	pthread_mutex_t lock;
	void *first, **last; /* chained by their first member */
	uint32_t n;
};
struct rig;
struct rig_worker {
	struct rig *rig;
	struct sock_env env;
	struct rng rng;
	struct rig_queue frames, dgrams, mail;
	pthread_t thread;
	int wake_fd;
	_Atomic bool stop;
};
struct rig {
	uint32_t n_workers;
	struct region engine;
	struct chan_engine *e;
	struct ports *ports;
	struct rig_worker w[4];
	struct rig_queue control;
	_Atomic bool deaf; /* the wire loses everything */
	_Atomic uint32_t rst; /* RSTs seen on the wire */
	_Atomic uint32_t dgrams; /* datagrams sent */
	_Atomic uint32_t group_news; /* memberships begun, ended or changed */
	_Atomic uint32_t busy;	 /* datagrams that may wait are told to, so many times */
	_Atomic uint32_t unknown; /* ends of processes that the control thread keeps to itself */
	/* Between two sockets here: without segments whenever it may be, at random, never. */
	_Atomic enum { RIG_JOINED, RIG_MIXED, RIG_SEGMENTS } way;
	_Atomic uint32_t texts;	 /* segments with text on the wire */
	_Atomic bool full;	 /* the data threads' mailboxes have no room for each other's mail */
	_Atomic uint32_t mtu;	 /* of all paths; 0: 1500 */
	uint32_t n_clients, next_number;
	struct client *gone[8]; /* client_gone() was true, not yet freed */
};
/* Our addresses are 10.0.0.0/8; others are unreachable. */
#define RIG_ADDR ipaddr_v4(0x0a000001)

struct rig *rig_new(uint32_t n_workers);
/* Asserts that all clients have gone and nothing leaked. */
void rig_free(struct rig *r);
/* Ends the data threads, so that the test can do what one of them would; and begins them again. */
void rig_stop(struct rig *r);
void rig_go(struct rig *r);
/* Between the two: one turn of each. False: there was nothing to do. */
bool rig_turn(struct rig *r);
/* A client with one process, mapped into *app. */
struct client *rig_client(struct rig *r, struct chan_app *app, const struct client_conf *conf);
/* Extents that the client has got since. */
void rig_map_extents(struct client *c, struct chan_app *app);
/* The process (the client's last) ends; waits until the engine has let go of the client. */
void rig_client_end(struct rig *r, struct client *c, struct chan_app *app);
/* The second half of it: after client_del(). */
void rig_client_wait(struct rig *r, struct client *c, struct chan_app *app);
/* read(2) of one byte within 5 s: 1, 0 at end of file, -1. */
int rig_read_byte(int fd);
/* Takes one mail of the given type for the control thread, within ms. */
bool rig_control_mail(struct rig *r, uint32_t type, struct sock_mail *m, uint32_t ms);
/* The first live socket of a client by state, for looking inside (racy by nature: tests only). */
#define RIG_WAIT(cond) \
	do { \
		for (int tries_ = 0; !(cond) && tries_ < 5000; tries_++) \
			rig_pause(); \
		ck_assert(cond); \
	} while (0)
void rig_pause(void); /* 1 ms */

/* ---- what rig.c and rig_dgram.c share ---- */
void rig_wake(struct rig_worker *w);
void rig_queue_put(struct rig_queue *q, void *item);
void *rig_queue_take_all(struct rig_queue *q);
bool rig_is_local(void *arg, const struct ipaddr *a);
int rig_udp_output(void *arg, const struct sock_udp_tx *tx, const struct sock_piece *piece, unsigned n);
void rig_group_changed(void *arg, const struct ipaddr *group, uint32_t ifindex);
uint32_t rig_find_interface(void *arg, uint32_t ifindex, const struct ipaddr *addr,
			    const struct ipaddr *group);
uint32_t rig_path_mtu(void *arg, const struct endpoint *remote);
uint64_t rig_realtime_ns(void *arg);
bool rig_is_broadcast(void *arg, const struct ipaddr *a);
bool rig_take_dgrams(struct rig_worker *w);
void rig_udp_settle(void *arg);

/* ---- an application's steps ---- */
struct end {
	struct chan_app *app;
	uint32_t id, gen;
};
struct end rig_listen(struct chan_app *app, uint16_t port, uint32_t backlog, uint16_t *bound);
/* Starts connecting; *err gets the call's result. */
struct end rig_connect(struct chan_app *app, uint16_t port, int *err);
void rig_connected(struct end c);
struct end rig_accept(struct end l);
void rig_write(struct end s, const void *p, size_t n); /* all of it */
size_t rig_read(struct end s, void *p, size_t n);      /* until n or EOF */
void rig_close(struct end s);
/* A datagram socket bound to addr and port (0: chosen), made on the worker that it belongs to. */
struct end rig_udp(struct chan_app *app, struct ipaddr addr, uint16_t port, uint32_t opt_flags);
/* The call's result; s.id CHAN_SOCK_NEW: a fresh one, *s names it then. */
int rig_udp_connect(struct end *s, struct ipaddr addr, uint16_t port);
/* To a peer, or port 0: the connected one. The result of chan_dgram_send(). */
int rig_sendto(struct end s, uint16_t port, const void *p, size_t n);
/* Waits for a datagram; its header in *h. */
size_t rig_recvfrom(struct end s, struct chan_dgram *h, void *p, size_t n);
static inline const struct chan_sock_a *end_a(struct end s) { return chan_sock_a(s.app, s.id); }
static inline struct chan_sock_b *end_b(struct end s) { return chan_sock_b(s.app, s.id); }
/* The program has changed what stands in end_b()->opts. */
static inline void end_opts_changed(struct end s)
{
	atomic_fetch_add(&end_b(s)->opt_seq, 1);
	chan_mark(s.app, s.id);
}
static inline uint32_t end_ready(struct end s) { return chan_readiness(end_a(s), end_b(s)); }
