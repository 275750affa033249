/* The new engine's part of an upgrade: see upgrade.h. Everything before takeover_go() returns is a plain
 * sequence of steps, because the old engine serves meanwhile. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"
#include "stack/host/control_int.h"
#include "stack/host/gap.h"
#include "stack/host/upgrade.h"
#include "stack/net/pkt.h"

enum { ANSWER_S = 20, BURST = 32 };

struct takeover {
	ev_io io;
	struct upgrade_state state;
};

static int lost(struct host *h, int r)
{
	return host_fail(h, r < 0 ? r : -ECONNRESET, "the engine that serves broke off the upgrade");
}

static int say(struct host *h, struct chan_msg *m, const int *fds, unsigned n)
{
	m->version = CHAN_VERSION;
	int err = chan_msg_send(h->takeover_fd, m, fds, n);
	return err ? lost(h, err) : 0;
}

/* The next message, which has to be of this type. */
static int hear(struct host *h, uint32_t type, struct chan_msg *m, int *fds, unsigned *n)
{
	int r = chan_msg_recv(h->takeover_fd, m, fds, n, NULL);

	if (r == 1 && m->type == type)
		return 0;
	for (unsigned i = 0; r == 1 && n && i < *n; i++)
		close(fds[i]);
	return lost(h, r < 0 ? r : -EPROTO);
}

/* ---- taking ---- */
/* What makes the ports and addresses: a frame of the one engine is sent and received by the
 * other. */
static const enum config_id same_options[UPGRADE_SAME] = {
	CONFIG_port, CONFIG_addr, CONFIG_gateway, CONFIG_mtu, CONFIG_loopback,
};

void upgrade_same(const struct host *h, uint64_t same[UPGRADE_SAME])
{
	const struct siphash_key key = { { 1, 2 } };

	for (int i = 0; i < UPGRADE_SAME; i++) {
		const char *text = h->config.v[same_options[i]].text;

		same[i] = siphash(&key, text, strlen(text));
	}
}

static int check_same(struct host *h, const uint64_t theirs[UPGRADE_SAME])
{
	uint64_t same[UPGRADE_SAME];

	upgrade_same(h, same);
	for (int i = 0; i < UPGRADE_SAME; i++) {
		if (same[i] != theirs[i])
			return host_fail(h, -EINVAL, "option %s is not what it was when the engine that "
					 "serves started; stop it and start this one",
					 config_infos[same_options[i]].name);
	}
	return 0;
}

static int take_bridge(struct host *h)
{
	int fds[1 + CHAN_MAX_WORKERS];
	unsigned n = 1 + CHAN_MAX_WORKERS;
	struct chan_msg m;
	int r = hear(h, UPGRADE_BRIDGE, &m, fds, &n);

	if (r)
		return r;
	h->old_pid = (uint32_t)m.size;
	r = n ? bridge_open(&h->bridge, fds[0], h->n_workers) : -EPROTO;
	if (n)
		close(fds[0]);
	for (unsigned i = 1; i < n; i++)
		h->bridge.bell[BRIDGE_GUEST][i - 1] = fds[i];
	if (!r && h->bridge.n_theirs + 1 != n)
		r = -EPROTO;
	h->has_bridge = !r;
	return r ? host_fail(h, r, "the engine that serves hands over in a way that this one does not "
			     "know; stop it and start this one") : 0;
}

static void take_autoport(struct host *h, const struct upgrade_take *t, const int *fds)
{
	struct autoport *a = &h->autoport;

	a->name_fd = fds[0];
	a->net_fd = fds[1];
	a->net = t->net;
	snprintf(a->host, sizeof(a->host), "%s", t->host);
	snprintf(a->engine, sizeof(a->engine), "%s", t->engine);
	snprintf(a->addr, sizeof(a->addr), "%s", t->addr);
	h->has_autoport = true;
}

int takeover_take(struct host *h)
{
	const struct timeval wait = { .tv_sec = ANSWER_S };
	struct chan_msg m = { .type = UPGRADE_READY, .number = h->n_workers,
			      .size = (uint64_t)getpid() };
	struct upgrade_take t;
	int fds[4];
	unsigned n = 4;

	setsockopt(h->takeover_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	int r = say(h, &m, NULL, 0);
	if (!r)
		r = hear(h, UPGRADE_TAKE, &m, fds, &n);
	if (r)
		return r;
	memcpy(&t, m.text, sizeof(t));
	t.socket_path[sizeof(t.socket_path) - 1] = 0;
	t.host[sizeof(t.host) - 1] = t.engine[sizeof(t.engine) - 1] = 0;
	t.addr[sizeof(t.addr) - 1] = 0;
	if (m.len != sizeof(t) || n != (t.has_autoport ? 4u : 2u)) {
		while (n > 0)
			close(fds[--n]);
		return lost(h, -EPROTO);
	}
	h->listen_fd = fds[0];
	h->lock_fd = fds[1];
	snprintf(h->socket_path, sizeof(h->socket_path), "%s", t.socket_path);
	snprintf(h->lock_path, sizeof(h->lock_path), "%s.lock", h->socket_path);
	h->ports_shareable = t.shareable;
	h->old_ports = min_u32(t.n_ports, NETIF_MAX);
	memcpy(h->old_ifindex, t.ifindex, sizeof(t.ifindex));
	if (t.has_autoport)
		take_autoport(h, &t, fds + 2);
	r = take_bridge(h);
	return r ? r : check_same(h, t.same);
}

/* ---- ports ---- */
int takeover_ports(struct host *h)
{
	struct chan_msg m = { .type = UPGRADE_CLOSE };

	memset(h->gap_fd, -1, sizeof(h->gap_fd));
	if (h->ports_shareable)
		return 0;
	for (uint32_t i = 0; i < h->old_ports; i++)
		h->gap_fd[i] = gap_open(h->old_ifindex[i]);
	int r = say(h, &m, NULL, 0);
	return r ? r : hear(h, UPGRADE_CLOSED, &m, NULL, NULL);
}

/* What the old engine has been given as well. */
static void empty_ports(struct host *h)
{
	struct rte_mbuf *m[BURST];

	for (uint32_t i = 0; i < h->n_ports; i++) {
		struct netif *nif = port_netif(h->port[i]);

		for (uint16_t q = 0; q < nif->n_queues; q++) {
			uint16_t n;

			while ((n = nif->ops->rx_burst(nif, q, m, BURST)) > 0)
				for (uint16_t k = 0; k < n; k++)
					pkt_free(m[k]);
		}
	}
}

int takeover_go(struct host *h)
{
	struct chan_msg m = { .type = UPGRADE_OPEN, .number = h->n_workers };

	for (uint32_t i = 0; i < h->n_workers; i++)
		bridge_attach(h->worker[i], &h->bridge);
	ports_share(h->ports, bridge_view(&h->bridge, true), bridge_view(&h->bridge, false), 0);
	if (h->ports_shareable)
		empty_ports(h);
	int r = say(h, &m, h->bridge.bell[BRIDGE_HOST], h->n_workers);
	if (!r)
		r = hear(h, UPGRADE_GO, &m, NULL, NULL);
	h->took_over = !r;
	return r;
}

void takeover_gap(struct host *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->old_ports; i++) {
		const struct netif *nif = NULL;

		for (uint32_t k = 0; k < h->n_ports; k++) {
			if (port_netif(h->port[k])->ifindex == h->old_ifindex[i])
				nif = port_netif(h->port[k]);
		}
		if (nif)
			n += gap_close(h->gap_fd[i], h->worker[0], nif);
		else if (h->gap_fd[i] >= 0)
			close(h->gap_fd[i]);
	}
	LOG(host, INFO, "frames that came while the ports changed hands: %u", n);
}

void takeover_give_back(struct host *h)
{
	struct chan_msg m = { .type = UPGRADE_FAIL };
	struct strbuf s = strbuf_of(m.text, sizeof(m.text));

	if (h->took_over)
		return;
	strbuf_put(&s, "%s", h->err);
	m.len = (uint32_t)s.len;
	/* Ours by name only: they stay where they are. */
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	h->listen_fd = h->lock_fd = -1;
	if (h->has_autoport) {
		close(h->autoport.name_fd);
		close(h->autoport.net_fd);
	}
	h->has_autoport = false;
	chan_msg_send(h->takeover_fd, &m, NULL, 0);
}

/* ---- serving beside the old engine ---- */
static void detach(struct worker *w, void *arg) { bridge_attach(w, NULL); }

/* The old engine has ended, drained or not. */
static void guest_gone(struct control *ctl)
{
	struct host *h = ctl->h;

	LOG(host, INFO, "the engine before this one has ended: pid=%u", ctl->takeover->state.pid);
	ports_share(h->ports, NULL, NULL, 0);
	/* If a data thread is stuck, it keeps what it may still look at. */
	if (barrier_run(h, detach, NULL))
		bridge_close(&h->bridge);
	h->has_bridge = false;
	takeover_fini(ctl);
	control_guest_gone(ctl);
}

static void on_guest(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *ctl = io->data;
	struct chan_msg m;
	int r;

	while ((r = chan_msg_recv(io->fd, &m, NULL, NULL, NULL)) == 1) {
		if (m.type == UPGRADE_STATE && m.len == sizeof(ctl->takeover->state))
			memcpy(&ctl->takeover->state, m.text, m.len);
	}
	if (r != -EAGAIN && r != -EINTR)
		guest_gone(ctl);
}

void takeover_watch(struct control *ctl)
{
	struct host *h = ctl->h;
	const struct timeval none = { 0 };

	if (!h->took_over)
		return;
	struct takeover *t = calloc(1, sizeof(*t));
	if (!t) {
		LOG(host, ERROR, "out of memory: the engine before this one is not watched");
		return;
	}
	setsockopt(h->takeover_fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	host_nonblock(h->takeover_fd);
	t->state.pid = h->old_pid;
	ctl->takeover = t;
	ev_io_init(&t->io, on_guest, h->takeover_fd, EV_READ);
	t->io.data = ctl;
	ev_io_start(ctl->loop, &t->io);
}

void takeover_fini(struct control *ctl)
{
	if (!ctl->takeover)
		return;
	ev_io_stop(ctl->loop, &ctl->takeover->io);
	close(ctl->h->takeover_fd);
	ctl->h->takeover_fd = -1;
	free(ctl->takeover);
	ctl->takeover = NULL;
}

void takeover_status(const struct control *ctl, FILE *out)
{
	const struct upgrade_state *s = ctl->takeover ? &ctl->takeover->state : NULL;

	if (s)
		fprintf(out, "draining\tpid %u connections %u listeners %u datagram sockets %u\n",
			s->pid, s->conns, s->listeners, s->dgrams);
}
