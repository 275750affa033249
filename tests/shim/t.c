/* The shared half of the differential programs: see t.h. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

#include <stdarg.h>

static const char *current = "?";

int t_run(const struct t_case *cases, size_t n, int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 4096);
	for (size_t i = 0; i < n; i++) {
		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		current = cases[i].name;
		cases[i].run();
	}
	return 0;
}

void t_out(const char *fmt, ...)
{
	char line[2304];
	int err = errno;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("%s: %s\n", current, line);
	errno = err;
}

const char *t_errname(int err)
{
	const char *name = strerrorname_np(err);
	return name ? name : "?";
}

long t_res(const char *what, long value)
{
	if (value < 0)
		t_out("%s = %ld %s", what, value, t_errname(errno));
	else
		t_out("%s = %ld", what, value);
	return value;
}

long t_ok(const char *what, long value)
{
	if (value < 0)
		t_out("%s = %ld %s", what, value, t_errname(errno));
	else
		t_out("%s ok", what);
	return value;
}

struct sockaddr_in t_addr(int port)
{
	const char *s = getenv("FN_TEST_ADDR");
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, s ? s : "127.0.0.1", &a.sin_addr);
	return a;
}

const char *t_addr_name(const struct sockaddr_in *a)
{
	static _Thread_local char text[4][64];
	static _Thread_local unsigned int next;
	char *s = text[next++ & 3];
	struct sockaddr_in me = t_addr(0);
	char host[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host));
	snprintf(s, 64, "family %d %s:%s", a->sin_family,
		 a->sin_addr.s_addr == me.sin_addr.s_addr ? "server"
		 : a->sin_addr.s_addr == INADDR_ANY	  ? "any"
							  : host,
		 a->sin_port ? "port" : "0");
	return s;
}

int t_port(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : ntohs(a.sin_port);
}

int t_listen(int backlog, struct sockaddr_in *addr)
{
	struct sockaddr_in a = t_addr(0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, backlog) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		t_out("listen failed: %s", t_errname(errno));
	if (addr)
		*addr = a;
	return fd;
}

void t_pair(int *a, int *b)
{
	struct sockaddr_in addr;
	int l = t_listen(8, &addr);
	*a = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*a, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		t_out("connect failed: %s", t_errname(errno));
	*b = accept(l, NULL, NULL);
	if (*b < 0)
		t_out("accept failed: %s", t_errname(errno));
	close(l);
}

int t_connect_to(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		t_res("connect", -1);
	return fd;
}

void t_ask(int fd, const char *word)
{
	char buf[64] = { 0 };
	send(fd, word, strlen(word), 0);
	t_res("answer", t_read_all(fd, buf, strlen(word)));
	t_out("%s", buf);
}

void t_gone(int fd)
{
	t_out("after its end: %s", t_mask((uint32_t)t_until(fd, POLLRDHUP)));
}

void t_no_other_child(void)
{
	t_res("another child", waitpid(-1, NULL, WNOHANG));
}

void t_reset(int fd)
{
	struct linger lg = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
}

uint64_t t_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int t_poll(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };
	poll(&p, 1, 0);
	return p.revents;
}

int t_until(int fd, int want)
{
	uint64_t end = t_now_ms() + 1000;
	int got;
	do {
		got = t_poll(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
		if ((got & want) == want)
			break;
		t_sleep_ms(1);
	} while (t_now_ms() < end);
	return got;
}

int t_epoll_wait(int ep, struct epoll_event *ev, int max, int ms)
{
	memset(ev, 0, (size_t)max * sizeof(*ev));
	return epoll_wait(ep, ev, max, ms);
}

uint32_t t_epoll_until(int ep, int data, uint32_t want)
{
	uint64_t end = t_now_ms() + 1000;
	uint32_t got = 0;
	struct epoll_event ev[16];
	do {
		int n = t_epoll_wait(ep, ev, 16, 20);
		for (int i = 0; i < n; i++)
			if (ev[i].data.fd == data)
				got = ev[i].events;
		if ((got & want) == want && got)
			break;
	} while (t_now_ms() < end);
	return got;
}

int t_epoll_add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

int t_epoll_mod(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

const char *t_mask(uint32_t m)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {
		{ EPOLLIN, "IN" },	     { EPOLLPRI, "PRI" },	{ EPOLLOUT, "OUT" },
		{ EPOLLERR, "ERR" },	     { EPOLLHUP, "HUP" },	{ POLLNVAL, "NVAL" },
		{ EPOLLRDNORM, "RDNORM" },   { EPOLLRDBAND, "RDBAND" }, { EPOLLWRNORM, "WRNORM" },
		{ EPOLLWRBAND, "WRBAND" },   { EPOLLRDHUP, "RDHUP" },
	};
	static _Thread_local char text[8][96];
	static _Thread_local unsigned int next;
	char *s = text[next++ & 7];
	size_t len = 0;
	s[0] = '\0';
	for (size_t i = 0; i < T_COUNT(bits); i++)
		if (m & bits[i].bit)
			len += (size_t)snprintf(s + len, 96 - len, "%s%s", len ? "|" : "",
						bits[i].name);
	return len ? s : "none";
}

ssize_t t_read_all(int fd, void *buf, size_t n)
{
	size_t have = 0;
	while (have < n) {
		ssize_t r = read(fd, (char *)buf + have, n - have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return have ? (ssize_t)have : -1;
		if (r == 0)
			break;
		have += (size_t)r;
	}
	return (ssize_t)have;
}

/* What the other side has room for will still leave: the last of a window that is smaller than a segment goes
 * with the persist timer, a fifth of a second later (RFC 9293, 3.8.6.1), and makes room for a send() then. */
static bool will_drain(int fd)
{
	enum { SND_WND = 228 }; /* of linux/tcp.h's struct tcp_info: that of netinet/tcp.h ends before it */
	union {
		struct tcp_info tcp;
		char bytes[256];
	} info;
	socklen_t len = sizeof(info);
	uint32_t window;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || len < SND_WND + sizeof(window))
		return false;
	memcpy(&window, info.bytes + SND_WND, sizeof(window));
	return window > 0 || info.tcp.tcpi_unacked > 0;
}

size_t t_fill(int fd)
{
	static char junk[65536];
	size_t total = 0;
	int refused = 0;
	uint64_t quiet = t_now_ms();
	/* Time alone says nothing on a busy machine: the engine has answered so many questions since. */
	while (t_now_ms() < quiet + 60 || refused < 20) {
		ssize_t r = send(fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r > 0) {
			total += (size_t)r;
			quiet = t_now_ms();
			refused = 0;
		} else if (errno == EAGAIN) {
			refused = will_drain(fd) && t_now_ms() < quiet + 600 ? 0 : refused + 1;
			t_sleep_ms(2);
		} else {
			break;
		}
	}
	return total;
}

void t_sleep_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

int t_finish(pid_t pid)
{
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int t_self(void)
{
	return (int)syscall(SYS_gettid);
}

static char state_of(int tid)
{
	char path[64], text[256], *p;
	int fd;
	ssize_t n;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')');
	return p ? p[2] : '?';
}

void t_until_asleep(int tid)
{
	int asleep = 0;
	for (int i = 0; i < 500 && asleep < 4; i++) {
		t_sleep_ms(4);
		asleep = state_of(tid) == 'S' ? asleep + 1 : 0;
	}
}

static pid_t upgrader = -1;
static int upgrader_go = -1;

void t_upgrade_prepare(void)
{
	const char *tool = getenv("FN_TEST_UPGRADE"), *path = getenv("FASTNET_SOCKET");
	int go[2];
	char c;
	if (!tool || !path || pipe2(go, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	upgrader = fork();
	if (upgrader == 0) {
		close(go[1]);
		unsetenv("LD_PRELOAD");
		dup2(2, 1);
		if (read(go[0], &c, 1) == 1)
			execl(tool, tool, "engine", "upgrade", "--socket", path, (char *)NULL);
		_exit(127);
	}
	close(go[0]);
	upgrader_go = go[1];
}

int t_upgrade(void)
{
	if (upgrader < 0)
		return 0;
	if (write(upgrader_go, "g", 1) != 1)
		return -1;
	close(upgrader_go);
	return t_finish(upgrader);
}

int t_left_behind(void)
{
	const char *tool = getenv("FN_TEST_UPGRADE"), *path = getenv("FASTNET_SOCKET");
	char cmd[512], line[256];
	int listeners = 0, dgrams = 0;
	if (!tool || !path)
		return 0;
	snprintf(cmd, sizeof(cmd), "env -u LD_PRELOAD %s engine status --socket %s", tool, path);
	for (uint64_t end = t_now_ms() + 2000; t_now_ms() < end; t_sleep_ms(50)) {
		FILE *f = popen(cmd, "re");
		while (f && fgets(line, sizeof(line), f))
			sscanf(line, "draining pid %*u connections %*u listeners %d datagram sockets %d",
			       &listeners, &dgrams);
		if (f)
			pclose(f);
		if (listeners + dgrams == 0)
			break;
	}
	return listeners + dgrams;
}
