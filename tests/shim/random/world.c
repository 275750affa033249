/* The slots: which descriptor is where, what it leads to, who is whose peer; the beginning and the
 * end of a seed's world. */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/time.h>

struct world w;

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct slot *live(int slot)
{
	return slot >= 0 && slot < SLOTS && w.slot[slot].o ? &w.slot[slot] : NULL;
}

int fd_of(int slot)
{
	struct slot *s = live(slot);

	/* Not -1 alone: a number that was never open takes another path. */
	return s ? s->fd : slot == SLOTS ? 999 : -1;
}

struct object *object_of(int slot)
{
	struct slot *s = live(slot);

	return s ? s->o : NULL;
}

const char *slot_name(int slot)
{
	static char text[8][8];
	static unsigned int next;
	char *s = text[next++ & 7];

	if (live(slot))
		snprintf(s, 8, "s%d", slot);
	else
		strcpy(s, slot == SLOTS ? "closed" : "-1");
	return s;
}

int pick(struct dice *d, int kinds)
{
	int at = (int)roll(d, SLOTS);

	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = live((at + i) % SLOTS);
		if (s && s->o->kind & kinds)
			return (at + i) % SLOTS;
	}
	return -1;
}

int pick_wild(struct dice *d, int kinds)
{
	uint32_t r = roll(d, 100);
	int slot = pick(d, kinds);

	if (r < 2)
		return SLOTS;
	if (r < 12 || slot < 0)
		return pick(d, K_ANY);
	return slot;
}

int empty_slot(struct dice *d)
{
	int at = (int)roll(d, SLOTS);

	for (int i = 0; i < SLOTS; i++)
		if (!live((at + i) % SLOTS))
			return (at + i) % SLOTS;
	return -1;
}

struct object *object_new(enum kind kind)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		_exit(3);
	o->kind = kind;
	return o;
}

void put(int slot, int fd, struct object *o)
{
	w.slot[slot].fd = fd;
	w.slot[slot].o = o;
	w.slot[slot].seen[0] = '\0';
	o->refs++;
}

void forget(int slot)
{
	struct slot *s = live(slot);
	struct object *o;

	if (!s)
		return;
	o = s->o;
	s->fd = -1;
	s->o = NULL;
	if (--o->refs)
		return;
	if (o->peer)
		o->peer->peer = NULL;
	free(o);
}

void object_restart(struct object *o)
{
	if (o->peer)
		o->peer->peer = NULL;
	o->peer = NULL;
	o->local = o->remote = 0;
	o->tx = o->rx = o->gave_up_at = 0;
	o->loose = false;
}

/* Called where a connection is new: its two ports tell who is at the other end. */
void learn_connection(struct object *o, int fd)
{
	struct sockaddr_in a = {0}, b = {0};
	socklen_t len = sizeof(a);

	object_restart(o);
	o->kind = K_CONNECTED;
	getsockname(fd, (struct sockaddr *)&a, &len);
	len = sizeof(b);
	getpeername(fd, (struct sockaddr *)&b, &len);
	o->local = ntohs(a.sin_port);
	o->remote = ntohs(b.sin_port);
	for (int i = 0; i < SLOTS; i++) {
		struct object *p = object_of(i);
		if (!p || p == o || p->kind != K_CONNECTED || p->local != o->remote ||
		    p->remote != o->local || p->peer)
			continue;
		p->peer = o;
		o->peer = p;
		o->loose = p->loose;
		break;
	}
}

static int made_file(void)
{
	static unsigned char content[65536];
	int fd = memfd_create("random", MFD_CLOEXEC);

	fill_pattern(content, 0, sizeof(content));
	if (fd < 0 || write(fd, content, sizeof(content)) != (ssize_t)sizeof(content))
		_exit(3);
	return fd;
}

void world_init(void)
{
	for (int i = 0; i < SLOTS; i++)
		w.slot[i].fd = -1;
	t_pair(&w.anchor[0], &w.anchor[1]);
	w.file = made_file();
	if (pipe2(w.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		_exit(3);
}

/* turn counts the seeds of this process: the ports of the last seeds are still in TIME-WAIT. */
void world_begin(uint64_t seed, unsigned int turn)
{
	struct dice d = {.state = seed ^ 0x5bd1e995u};

	w.nodelay = chance(&d, 75);
	w.small_buffers = false;
	for (int i = 0; i < POOL_PORTS; i++)
		w.pool[i] = (uint16_t)(2000 + turn % 7000 * POOL_PORTS + (unsigned int)i);
	w.base_fd = dup(w.file);
	close(w.base_fd);
}

void world_end(void)
{
	char junk[4096];
	static int before;
	int now;

	for (int i = 0; i < SLOTS; i++) {
		if (live(i))
			close(fd_of(i));
		forget(i);
	}
	while (read(w.pipe[0], junk, sizeof(junk)) > 0)
		;
	now = open_files();
	/* The shim opens a few of its own when they are first needed. */
	if (before && now > before + 8)
		tr("LEAK: %d descriptors more than in the beginning ", now - before);
	if (!before)
		before = now;
}

const char *port_name(uint16_t port)
{
	static char text[8][8];
	static unsigned int next;
	char *s = text[next++ & 7];

	if (port >= w.pool[0] && port < w.pool[0] + POOL_PORTS)
		snprintf(s, 8, "P%d", port - w.pool[0]);
	else /* numbers of the ephemeral range differ from run to run */
		strcpy(s, port ? "eph" : "0");
	return s;
}

int some_family(struct dice *d)
{
	return w.six && chance(d, 40) ? AF_INET6 : AF_INET;
}

const struct sockaddr *addr_for(int fd, const struct sockaddr_in *a, socklen_t *len)
{
	static struct sockaddr_in6 six;
	int domain = AF_INET;
	socklen_t room = sizeof(domain);

	if (!w.six || a->sin_family != AF_INET || *len != sizeof(*a) ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &room) < 0 || domain != AF_INET6)
		return (const struct sockaddr *)a;
	six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = a->sin_port};
	if (w.native && a->sin_addr.s_addr == t_addr(0).sin_addr.s_addr) {
		inet_pton(AF_INET6, getenv("FN_TEST_ADDR6"), &six.sin6_addr);
	} else if (a->sin_addr.s_addr != INADDR_ANY) {
		six.sin6_addr.s6_addr16[5] = 0xffff;
		six.sin6_addr.s6_addr32[3] = a->sin_addr.s_addr;
	}
	*len = sizeof(six);
	return (const struct sockaddr *)&six;
}

static const char *host_text(int family, const void *addr, char *to, socklen_t room)
{
	static const char prefix[] = "::ffff:";
	struct sockaddr_in me = t_addr(0);
	char own[INET_ADDRSTRLEN];
	size_t skip;

	inet_ntop(AF_INET, &me.sin_addr, own, sizeof(own));
	inet_ntop(family, addr, to, room);
	if (!strcmp(to, "0.0.0.0") || !strcmp(to, "::"))
		return "any";
	if (getenv("FN_TEST_ADDR6") && !strcmp(to, getenv("FN_TEST_ADDR6")))
		return "server6";
	skip = strncmp(to, prefix, strlen(prefix)) ? 0 : strlen(prefix);
	return strcmp(to + skip, own) ? to : "server";
}

const char *addr_text(const void *addr)
{
	static char text[4][80];
	static unsigned int next;
	const struct sockaddr_in *a = addr;
	const struct sockaddr_in6 *six = addr;
	char *s = text[next++ & 3], host[INET6_ADDRSTRLEN];

	if (a->sin_family == AF_INET)
		snprintf(s, 80, "%s:%s", host_text(AF_INET, &a->sin_addr, host, sizeof(host)),
			 port_name(ntohs(a->sin_port)));
	else if (a->sin_family == AF_INET6)
		snprintf(s, 80, "6:%s:%s", host_text(AF_INET6, &six->sin6_addr, host, sizeof(host)),
			 port_name(ntohs(a->sin_port)));
	else
		snprintf(s, 80, "family %d", a->sin_family);
	return s;
}
