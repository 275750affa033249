/* What programs say on their unix sockets: attach, more memory, event queues, tokens for children.
 */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "stack/base/log.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"
#include "stack/chan/hello.h"
#include "stack/host/control_int.h"
#include "stack/host/ends.h"

enum { TOKEN_WAIT_S = 10 };

bool attach_answer(struct conn *conn, struct chan_msg *m, const int *fds, unsigned n_fds)
{
	m->version = CHAN_VERSION;
	/* A program that does not read its answers is not waited for. */
	return chan_msg_send(conn->fd, m, fds, n_fds) == 0;
}

void attach_refuse(struct conn *conn, int err, const char *text)
{
	struct chan_msg m = { .type = CHAN_MSG_REFUSED, .err = err };
	struct strbuf s = strbuf_of(m.text, sizeof(m.text));

	strbuf_put(&s, "%s", text);
	m.len = (uint32_t)s.len;
	attach_answer(conn, &m, NULL, 0);
}

/* ---- HELLO ---- */
static bool uid_allowed(const struct conn *conn, uint32_t uid)
{
	const struct config *c = &conn->ctl->h->config;
	const char *ids = config_str(c, CONFIG_allow_uids);

	if (uid == 0 || uid == geteuid())
		return true;
	return *ids ? config_id_listed(ids, uid) : geteuid() == 0;
}

/* By what the kernel says where we may look, else by what the program says. */
static bool same_netns(const struct conn *conn, uint64_t told)
{
	char path[64];
	struct stat st;
	uint64_t ours = conn->ctl->h->netns;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", conn->pid);
	if (conn->pid && stat(path, &st) == 0)
		return st.st_ino == ours;
	return told == ours;
}

/* AppArmor lets a program that it confines have no file without a path: memfds are exempt. */
static bool is_confined(const struct conn *conn)
{
	static const char mark[] = "(enforce)";
	char path[64], label[512];
	ssize_t n = -1;

	snprintf(path, sizeof(path), "/proc/%u/attr/current", conn->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, label, sizeof(label));
		close(fd);
	}
	return n > 0 && memmem(label, (size_t)n, mark, sizeof(mark) - 1);
}

static uint64_t ns_of(uint32_t pid, const char *ns)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/ns/%s", pid, ns);
	return pid && stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Where we can't look it is nobody else's. */
static struct client_realm realm_of(const struct conn *conn)
{
	struct client_realm r = { .ids = (uint64_t)conn->uid << 32 | conn->gid,
				  .user_ns = ns_of(conn->pid, "user"), .pid_ns = ns_of(conn->pid, "pid") };

	return r.user_ns && r.pid_ns ? r : (struct client_realm){ 0 };
}

static bool worker_mail_to(void *arg, uint32_t worker, const struct sock_mail *msg)
{
	struct control *ctl = arg;

	return worker_mail(ctl->h->worker[worker], msg);
}

/* The key that a process has shown, or a new one. */
static struct chan_key make_key(const struct conn *conn, const struct chan_key *shown)
{
	const struct host *h = conn->ctl->h;
	const char *low = config_str(&h->config, CONFIG_low_ports);
	struct chan_key key = { .uid = conn->uid, .gid = conn->gid,
				.low_ports = config_id_listed(low, conn->uid) };

	if (shown->nonce)
		return *shown;
	if (getrandom(&key.nonce, sizeof(key.nonce), 0) != sizeof(key.nonce))
		return key; /* not genuine */
	key.mac = host_key_mac(h, &key);
	return key;
}

static struct attached *new_client(struct conn *conn, const struct chan_key *shown, int *err)
{
	struct control *ctl = conn->ctl;
	const struct config *c = &ctl->h->config;
	const struct chan_key key = make_key(conn, shown);
	struct client_conf cc = {
		.number = ++ctl->next_number, .n_workers = ctl->h->n_workers,
		.pid = conn->pid, .uid = key.uid, .gid = key.gid, .low_ports = key.low_ports, .key = key,
		.sealed = is_confined(conn), .realm = realm_of(conn),
		.max_socks = (uint32_t)config_num(c, CONFIG_quota_sockets),
		.max_bytes = config_num(c, CONFIG_quota_bytes),
		.engine = &ctl->h->engine, .mail = worker_mail_to, .mail_arg = ctl,
	};
	struct attached *a = calloc(1, sizeof(*a));

	*err = -ENOMEM;
	if (!a)
		return NULL;
	a->c = client_new(&cc, err);
	if (!a->c) {
		free(a);
		return NULL;
	}
	a->c->host = a;
	a->ticket_proc = -1;
	return a;
}

/* The client's eventfds wake the data threads. 0 or -errno and nothing is left. */
static int watch_events(struct control *ctl, struct client *c)
{
	for (uint32_t i = 0; i < ctl->h->n_workers; i++) {
		int err = worker_add_fd(ctl->h->worker[i], c->event_fd[i], WORKER_FD_CLIENT);

		if (!err)
			continue;
		while (i-- > 0)
			worker_del_fd(ctl->h->worker[i], c->event_fd[i]);
		return err;
	}
	return 0;
}

static bool welcome(struct conn *conn)
{
	struct chan_msg m = { .type = CHAN_MSG_WELCOME, .number = conn->proc };
	int fds[CHAN_MSG_FDS];
	unsigned n = client_welcome_fds(conn->client->c, fds);

	return attach_answer(conn, &m, fds, n);
}

/* The client that this key was given to, under this engine. */
static struct attached *client_of(struct control *ctl, const struct chan_key *key)
{
	list_for_each(it, &ctl->clients) {
		struct attached *a = container_of(it, struct attached, link);

		if (key->nonce && !a->gone && a->c->conf.key.nonce == key->nonce)
			return a;
	}
	return NULL;
}

/* One more process of a client that others of its processes have brought here already. */
static bool join(struct conn *conn, struct attached *a)
{
	int proc = client_add_proc(a->c);

	if (proc < 0) {
		attach_refuse(conn, -proc, strerror(-proc));
		return false;
	}
	conn->kind = CONN_PROC;
	conn->client = a;
	conn->proc = (uint32_t)proc;
	LOG(host, INFO, "client=%u pid=%u uid=%u is back", a->c->conf.number, conn->pid, conn->uid);
	return welcome(conn);
}

static bool attach(struct conn *conn, const struct chan_key *key)
{
	int err, proc = -ENOBUFS;
	struct attached *a = client_of(conn->ctl, key);

	if (a)
		return join(conn, a);
	a = new_client(conn, key, &err);

	if (a)
		err = proc = client_add_proc(a->c);
	if (a && proc >= 0)
		err = watch_events(conn->ctl, a->c);
	if (!a || err < 0) {
		if (a) {
			client_free(a->c);
			free(a);
		}
		attach_refuse(conn, -err, strerror(-err));
		return false;
	}
	control_client_added(conn->ctl, a);
	client_start(a->c);
	conn->kind = CONN_PROC;
	conn->client = a;
	conn->proc = (uint32_t)proc;
	LOG(host, INFO, "client=%u pid=%u uid=%u attached", a->c->conf.number, conn->pid,
	    conn->uid);
	return welcome(conn);
}

/* The key in m if it is genuine, else none. */
static struct chan_key shown_key(const struct conn *conn, const struct chan_msg *m)
{
	struct chan_key key = { 0 };

	if (m->len == sizeof(key))
		memcpy(&key, m->text, sizeof(key));
	if (key.nonce && key.mac == host_key_mac(conn->ctl->h, &key))
		return key;
	return (struct chan_key){ 0 };
}

static bool on_hello(struct conn *conn, const struct chan_msg *m)
{
	const struct chan_key key = shown_key(conn, m);

	if (conn->kind != CONN_NEW)
		return false;
	if (m->version != CHAN_VERSION) {
		attach_refuse(conn, EPROTO,
			      "the engine and libfastnet.so are of different versions; "
			      "restart the one that is older");
		return false;
	}
	if (conn->ctl->stopping) {
		attach_refuse(conn, ECONNREFUSED, "the engine is about to end");
		return false;
	}
	if (!same_netns(conn, m->netns)) {
		attach_refuse(conn, EXDEV, "the engine serves another network namespace");
		return false;
	}
	if (!uid_allowed(conn, key.nonce ? key.uid : conn->uid)) {
		attach_refuse(conn, EACCES,
			      "this user may not attach; see option allow-uids of the engine");
		return false;
	}
	return attach(conn, &key);
}

/* ---- requests of attached processes ---- */
static bool on_extent(struct conn *conn, const struct chan_msg *m)
{
	struct chan_msg r = { .type = CHAN_MSG_EXTENT, .number = m->number };
	int fd = client_extent(conn->client->c, m->number, &r.size, &r.kind);

	r.err = fd < 0 ? -fd : 0;
	return attach_answer(conn, &r, &fd, fd >= 0);
}

static bool on_evq_open(struct conn *conn, bool is_line)
{
	struct chan_msg r = { .type = CHAN_MSG_EVQ_OPEN };
	struct client *c = conn->client->c;
	int fd = -1, kick = !is_line && conn->n_in > 0 ? conn->in[0] : -1;
	int number = is_line ? client_line_open(c, &fd) : client_evq_open(c, conn->proc, kick, &fd);

	if (kick >= 0 && number >= 0)
		conn->in[0] = -1; /* taken */
	r.err = number < 0 ? -number : 0;
	r.number = number < 0 ? 0 : (uint32_t)number;
	bool sent = attach_answer(conn, &r, &fd, number >= 0);
	if (number >= 0)
		close(fd);
	return sent;
}

/* Of a program that this one shares memory with. */
static bool on_bell(struct conn *conn, const struct chan_msg *m)
{
	struct chan_msg r = { .type = CHAN_MSG_BELL, .number = m->number };
	struct client *other =
		control_client(conn->ctl, client_peer_number(conn->client->c, m->number));
	int fd = other ? client_evq_kick(other, m->size) : -ENOENT;

	r.err = fd < 0 ? -fd : 0;
	return attach_answer(conn, &r, &fd, fd >= 0);
}

/* A connected socket and a process number for a child that is about to be born. */
int attach_token(struct control *ctl, struct attached *a, uint32_t uid, int *fd, uint32_t *number)
{
	const struct timeval wait = { .tv_sec = TOKEN_WAIT_S };
	int s[2], one = 1, proc = client_add_proc(a->c);

	if (proc < 0)
		return proc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0) {
		int err = -errno;

		client_proc_gone(a->c, (uint32_t)proc);
		return err;
	}
	struct conn *t = conn_new(ctl, s[0], CONN_TOKEN);
	/* The child is known by the credentials of its first message; it waits for answers as long
	 * as a program does that connected itself. */
	if (!t || fcntl(s[0], F_SETFL, O_NONBLOCK) < 0 ||
	    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
		close(s[1]);
		if (t)
			conn_gone(t);
		else
			close(s[0]);
		client_proc_gone(a->c, (uint32_t)proc);
		return -ENOMEM;
	}
	t->client = a;
	t->proc = (uint32_t)proc;
	t->uid = uid;
	*fd = s[1];
	*number = (uint32_t)proc;
	return 0;
}

static bool on_token(struct conn *conn)
{
	struct chan_msg r = { .type = CHAN_MSG_TOKEN };
	int fd = -1, err = attach_token(conn->ctl, conn->client, conn->uid, &fd, &r.number);

	r.err = -err;
	ends_hide();
	bool sent = attach_answer(conn, &r, &fd, !err);
	if (!err)
		close(fd);
	ends_show();
	return sent;
}

static bool on_child(struct conn *conn, uint32_t pid)
{
	if (conn->kind != CONN_TOKEN)
		return false;
	conn->kind = CONN_PROC;
	conn->pid = pid;
	conn_watch_pid(conn, -1);
	return true;
}

/* A new program in a process that was attached: it has none of the maps. */
static bool on_image(struct conn *conn, const struct chan_msg *m, uint32_t pid)
{
	if (m->version != CHAN_VERSION) {
		attach_refuse(conn, EPROTO, "the engine and libfastnet.so are of different versions");
		return false;
	}
	return on_child(conn, pid) && conn->client && !conn->client->gone && welcome(conn);
}

bool attach_message(struct conn *conn, const struct chan_msg *m, uint32_t sender_pid)
{
	if (m->type == CHAN_MSG_HELLO)
		return on_hello(conn, m);
	if (m->type == CHAN_MSG_CHILD)
		return on_child(conn, sender_pid);
	if (m->type == CHAN_MSG_IMAGE)
		return on_image(conn, m, sender_pid);
	if (m->type == CHAN_MSG_CLAIM)
		return ticket_claim(conn);
	if (!conn->client || conn->client->gone)
		return false;
	switch (m->type) {
	case CHAN_MSG_EXTENT:
		return on_extent(conn, m);
	case CHAN_MSG_EVQ_OPEN:
		return on_evq_open(conn, m->kind == 1);
	case CHAN_MSG_BELL:
		return on_bell(conn, m);
	case CHAN_MSG_EVQ_CLOSE:
		if (m->kind == 1)
			client_line_close(conn->client->c, m->number);
		else
			client_evq_close(conn->client->c, conn->proc, m->number);
		return true;
	case CHAN_MSG_TOKEN:
		return on_token(conn);
	case CHAN_MSG_TICKET:
		return ticket_open(conn, m);
	default:
		return false;
	}
}
