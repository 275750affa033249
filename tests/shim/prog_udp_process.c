/* Datagram sockets that are copied, shared, inherited and closed: dup, fork, threads, IPv6 sockets. */
// SPDX-License-Identifier: MIT
#include "tests/shim/udp.h"

static void copies(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), a = udp(), copy = dup(b), far = dup2(b, 200);
	t_out("dup2 %d", far);
	udp_sendto(a, "one", 3, &at);
	udp_sendto(a, "two", 3, &at);
	udp_sendto(a, "three", 5, &at);
	udp_show("original", b);
	close(b);
	udp_show("copy", copy);
	t_res("flags are shared", fcntl(copy, F_SETFL, O_NONBLOCK));
	t_out("%#x", fcntl(200, F_GETFL));
	close(copy);
	udp_show("last", 200);
	t_res("name", t_port(200) == ntohs(at.sin_port));
	close(200);
	b = udp_at(ntohs(at.sin_port), NULL);
	t_ok("the port is free", b);
	close(b);
	b = socket(AF_INET, SOCK_STREAM, 0);
	t_res("over another", dup2(a, b));
	udp_at(0, &at);
	t_res("works", udp_sendto(b, "x", 1, &at));
	close(a);
	close(b);
}

/* Parent and child in turn. */
static void forked_server(void)
{
	struct sockaddr_in at;
	int b = udp_at(0, &at), a = udp(), p[2];
	char c;
	pipe(p);
	pid_t pid = fork();
	if (!pid) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(b, &c, 1, 0, (void *)&from, &len);
		sendto(b, "child", 5, 0, (void *)&from, len);
		write(p[1], n == 1 ? "y" : "n", 1);
		_exit(0);
	}
	udp_sendto(a, "x", 1, &at);
	read(p[0], &c, 1);
	t_out("child got it %c", c);
	udp_show("its answer", a);
	waitpid(pid, NULL, 0);
	udp_sendto(a, "again", 5, &at);
	udp_show("parent goes on", b);
	pid = fork();
	if (!pid) {
		close(b);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	udp_sendto(a, "after", 5, &at);
	udp_show("a closing child takes nothing", b);
	close(a);
	close(b);
}

/* Made by the parent, used first by the child; and the other way round. */
static void inherited_unbound(void)
{
	for (int child = 0; child < 2; child++) {
		struct sockaddr_in at, me = { 0 };
		socklen_t len = sizeof(me);
		int a = udp(), b = udp_at(0, &at), p[2], q[2];
		char c;
		pipe(p);
		pipe(q);
		pid_t pid = fork();
		bool first = (pid == 0) == child;
		if (!first)
			read(pid ? q[0] : p[0], &c, 1);
		if (first) {
			t_res("connect", connect(a, (void *)&at, sizeof(at)));
			write(pid ? p[1] : q[1], "x", 1);
		} else {
			getpeername(a, (void *)&me, &len);
			t_out("peer %s", t_addr_name(&me));
			t_res("send", send(a, "shared", 6, 0));
		}
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		udp_show("arrived", b);
		close(a);
		close(b);
		for (int i = 0; i < 2; i++) {
			close(p[i]);
			close(q[i]);
		}
	}
}

static void options_after_fork(void)
{
	int a, b, ttl = 0;
	_Alignas(struct cmsghdr) char control[128];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	udp_pair(&a, &b);
	pid_t pid = fork();
	if (!pid) {
		udp_int(a, IPPROTO_IP, IP_TTL, 9);
		udp_int(b, IPPROTO_IP, IP_RECVTTL, 1);
		fcntl(b, F_SETFL, O_NONBLOCK);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	t_out("flags %#x", fcntl(b, F_GETFL));
	t_res("not blocking", recv(b, &ttl, 1, 0));
	send(a, "", 0, 0);
	udp_wait(b);
	recvmsg(b, &m, 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		t_out("type %d: %d", c->cmsg_type, ttl);
	}
	close(a);
	close(b);
}

/* ---- threads ---- */
enum { THREADS = 4, EACH = 200 };
static struct sockaddr_in server_at;
static int server, answers;

static void *client(void *arg)
{
	int fd = udp(), good = 0;
	for (int i = 0; i < EACH; i++) {
		int v = (int)(intptr_t)arg * 1000 + i, got = -1;
		struct timeval tv = { .tv_sec = 2 };
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		udp_sendto(fd, &v, sizeof(v), &server_at);
		good += recv(fd, &got, sizeof(got), 0) == sizeof(got) && got == v;
	}
	close(fd);
	__sync_fetch_and_add(&answers, good);
	return NULL;
}

static void *serve(void *arg)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		int v;
		if (recvfrom(server, &v, sizeof(v), 0, (void *)&from, &len) != sizeof(v))
			return NULL;
		sendto(server, &v, sizeof(v), 0, (void *)&from, len);
	}
}

static void threads_share_a_server(void)
{
	for (int any = 0; any < 2; any++) {
		pthread_t c[THREADS], s[2];
		struct sockaddr_in a = { .sin_family = AF_INET };
		answers = 0;
		if (any) {
			server = udp();
			bind(server, (void *)&a, sizeof(a));
			server_at = t_addr(t_port(server));
		} else {
			server = udp_at(0, &server_at);
		}
		for (int i = 0; i < 2; i++)
			pthread_create(&s[i], NULL, serve, NULL);
		for (int i = 0; i < THREADS; i++)
			pthread_create(&c[i], NULL, client, (void *)(intptr_t)i);
		for (int i = 0; i < THREADS; i++)
			pthread_join(c[i], NULL);
		for (int i = 0; i < 2; i++) {
			int end = udp();
			udp_sendto(end, "", 0, &server_at);
			close(end);
		}
		for (int i = 0; i < 2; i++)
			pthread_join(s[i], NULL);
		t_out("right answers %d of %d", answers, THREADS * EACH);
		close(server);
	}
}

static int closing;

static void *close_it(void *arg)
{
	t_until_asleep(*(int *)arg);
	shutdown(closing, SHUT_RD);
	return NULL;
}

static void shutdown_wakes_a_blocked_one(void)
{
	int a, b, self = t_self();
	char c;
	pthread_t t;
	udp_pair(&a, &b);
	closing = b;
	pthread_create(&t, NULL, close_it, &self);
	t_res("recv", recv(b, &c, 1, 0));
	pthread_join(t, NULL);
	close(a);
	close(b);
}

/* ---- IPv6 sockets ---- */
static struct sockaddr_in6 mapped(const struct sockaddr_in *a)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = a->sin_port };
	six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&six.sin6_addr.s6_addr[12], &a->sin_addr, 4);
	return six;
}

static const char *name6(const struct sockaddr_in6 *a)
{
	static char text[2][96];
	static int k;
	struct sockaddr_in me = t_addr(0);
	struct sockaddr_in6 six = mapped(&me);
	char host[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof(host));
	k = !k;
	snprintf(text[k], sizeof(text[k]), "family %d %s:%s", a->sin6_family,
		 memcmp(&six.sin6_addr, &a->sin6_addr, 16) ? host : "server", a->sin6_port ? "port" : "0");
	return text[k];
}

static void v6_hears_v4(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, from, got = { 0 };
	struct sockaddr_in at;
	socklen_t len = sizeof(any);
	int six = socket(AF_INET6, SOCK_DGRAM, 0), four = udp_at(0, &at);
	char buf[8];
	t_res("bind", bind(six, (void *)&any, sizeof(any)));
	getsockname(six, (void *)&any, &len);
	t_out("%s len %u", name6(&any), len);
	struct sockaddr_in to = t_addr(ntohs(any.sin6_port));
	t_res("to it", udp_sendto(four, "hello", 5, &to));
	udp_wait(six);
	len = sizeof(from);
	t_res("recvfrom", recvfrom(six, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len));
	t_out("from %s len %u", name6(&from), len);
	t_res("answer", sendto(six, "answer", 6, 0, (void *)&from, len));
	udp_show("arrived", four);
	t_res("AF_INET address", sendto(six, "four", 4, 0, (void *)&at, sizeof(at)));
	udp_show("arrived", four);
	struct sockaddr_in6 peer = mapped(&at);
	t_res("connect", connect(six, (void *)&peer, sizeof(peer)));
	len = sizeof(got);
	getpeername(six, (void *)&got, &len);
	t_out("peer %s", name6(&got));
	len = sizeof(got);
	getsockname(six, (void *)&got, &len);
	t_out("name %s", name6(&got));
	t_res("send", send(six, "conn", 4, 0));
	udp_show("arrived", four);
	close(six);
	close(four);
}

static void v6_only(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	struct sockaddr_in at;
	socklen_t len = sizeof(any);
	int six = socket(AF_INET6, SOCK_DGRAM, 0), four = udp_at(0, &at);
	udp_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	t_res("bind", bind(six, (void *)&any, sizeof(any)));
	struct sockaddr_in6 to = mapped(&at);
	t_res("mapped", sendto(six, "x", 1, 0, (void *)&to, sizeof(to)));
	t_res("set late", setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &len, sizeof(len)));
	close(six);
	six = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in own = t_addr(0);
	to = mapped(&own);
	t_res("bind to a mapped one", bind(six, (void *)&to, sizeof(to)));
	len = sizeof(to);
	getsockname(six, (void *)&to, &len);
	t_out("%s", name6(&to));
	to = mapped(&at);
	t_res("send", sendto(six, "m", 1, 0, (void *)&to, sizeof(to)));
	udp_show("arrived", four);
	close(six);
	close(four);
}

static void v6_control(void)
{
	_Alignas(struct cmsghdr) char control[256];
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(any);
	int six = socket(AF_INET6, SOCK_DGRAM, 0), four = udp();
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	bind(six, (void *)&any, sizeof(any));
	getsockname(six, (void *)&any, &len);
	udp_int(six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	udp_int(six, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	udp_int(six, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	udp_int(six, IPPROTO_IP, IP_RECVTTL, 1);
	udp_int(six, IPPROTO_IP, IP_PKTINFO, 1);
	struct sockaddr_in to = t_addr(ntohs(any.sin6_port));
	udp_sendto(four, "x", 1, &to);
	udp_wait(six);
	t_res("recvmsg", recvmsg(six, &m, MSG_DONTWAIT));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			any.sin6_addr = info.ipi6_addr;
			t_out("PKTINFO6 %s", name6(&any));
		} else {
			t_out("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		}
	}
	close(six);
	close(four);
}

T_MAIN(T_CASE(copies), T_CASE(forked_server), T_CASE(inherited_unbound), T_CASE(options_after_fork),
       T_CASE(threads_share_a_server), T_CASE(shutdown_wakes_a_blocked_one), T_CASE(v6_hears_v4),
       T_CASE(v6_only), T_CASE(v6_control))
