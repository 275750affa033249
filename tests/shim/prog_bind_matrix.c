/* Who may bind a port that somebody has: SO_REUSEADDR and SO_REUSEPORT of both, addresses of both, and what
 * the first one does with it. A line is the first socket; its columns are the second ones: bind, listen. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum address { SERVER, ANY, V6_ANY, V6_ONLY, ADDRESSES };
static const char *const address_name[] = { "server", "any", "v6-any", "v6-only" };
enum state { BOUND, LISTENING, CONNECTED, LEFT, STATES };
static const char *const state_name[] = { "bound", "listening", "connected", "time-wait" };

static int make(enum address at, bool addr, bool port)
{
	int fd = socket(at >= V6_ANY ? AF_INET6 : AF_INET, SOCK_STREAM, 0), on = 1;

	if (at == V6_ONLY)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (addr)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	return fd;
}

static int bind_at(int fd, enum address at, int port)
{
	struct sockaddr_in v4 = t_addr(port);
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	if (at == ANY)
		v4.sin_addr.s_addr = INADDR_ANY;
	return at >= V6_ANY ? bind(fd, (struct sockaddr *)&v6, sizeof(v6)) :
			      bind(fd, (struct sockaddr *)&v4, sizeof(v4));
}

static int port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin6_port);
}

/* The first socket in its state: what to close afterwards is in fd[]. Returns the port. */
static int first(enum state state, enum address at, bool addr, bool port, int fd[3])
{
	int n, r = -1;

	/* A port that nobody has in any way: the TIME-WAITs of earlier lines are in the way of all. Now and
	 * then the kernel takes back what it has just given. */
	for (int i = 0; r < 0 && i < 5; i++) {
		fd[0] = make(V6_ANY, false, false);
		bind_at(fd[0], V6_ANY, 0);
		n = port_of(fd[0]);
		close(fd[0]);
		fd[0] = make(at, addr, port);
		r = bind_at(fd[0], at, n);
		if (r < 0 && i < 4)
			close(fd[0]);
	}
	fd[1] = fd[2] = -1;
	if (r < 0)
		t_out("bind: %s", t_errname(errno));
	if (state == BOUND)
		return n;
	if (listen(fd[0], 4) < 0)
		t_out("listen: %s", t_errname(errno));
	if (state == LISTENING)
		return n;
	struct sockaddr_in to = t_addr(n);
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd[1], (struct sockaddr *)&to, sizeof(to)) < 0)
		t_out("connect: %s", t_errname(errno));
	fd[2] = accept(fd[0], NULL, NULL);
	close(fd[0]);
	fd[0] = -1;
	if (state == LEFT) {
		char c;
		close(fd[2]);
		fd[2] = -1;
		recv(fd[1], &c, 1, 0);
		close(fd[1]);
		fd[1] = -1;
	}
	return n;
}

static const char *name_of(int r, int err)
{
	return r == 0 ? "ok" : err == EADDRINUSE ? "USE" : t_errname(err);
}

static void line(enum state state, enum address at, bool addr, bool port)
{
	char text[1024];
	size_t n = 0;

	for (int k = 0; k < ADDRESSES * 4; k++) {
		enum address at2 = (enum address)(k / 4);
		int fd[3], p = first(state, at, addr, port, fd), b = make(at2, k & 1, k & 2);
		int r = bind_at(b, at2, p);

		n += (size_t)sprintf(text + n, " %s%s%s %s", k % 4 ? "" : address_name[at2],
				     k & 1 ? "+a" : "", k & 2 ? "+p" : "", name_of(r, errno));
		if (r == 0) {
			r = listen(b, 2);
			n += (size_t)sprintf(text + n, "/%s", name_of(r, errno));
		}
		close(b);
		for (int i = 0; i < 3; i++)
			if (fd[i] >= 0)
				t_reset(fd[i]);
	}
	t_out("%s %s%s%s:%s", state_name[state], address_name[at], addr ? "+a" : "", port ? "+p" : "", text);
}

static void conflicts(void)
{
	for (int state = 0; state < STATES; state++)
		for (int at = 0; at < ADDRESSES; at++)
			for (int k = 0; k < 4; k++)
				if (at != V6_ONLY || state < CONNECTED) /* takes no IPv4 */
					line((enum state)state, (enum address)at, k & 1, k & 2);
}

T_MAIN(T_CASE(conflicts))
