/* The kernel's world: a network namespace with a tun device whose other end is the script; real
 * time. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "tests/pkt/drill/ip.h"
#include "tests/pkt/drill/world.h"

static int tun;
static uint64_t start_ns;
static struct program prog;

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}
static uint64_t now_ns(void)
{
	return clock_ns() - start_ns;
}

static void set_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = (ssize_t)strlen(value);

	if (fd < 0 || write(fd, value, (size_t)n) != n)
		script_fail(0, "%s: %s", path, strerror(errno));
	close(fd);
}

/* net.ipv4.tcp_ecn=1 */
static void set_sysctl(const char *line)
{
	char path[256];
	const char *v = strchr(line, '=');

	snprintf(path, sizeof(path), "/proc/sys/%.*s", (int)(v ? v - line : 0), line);
	for (char *c = path + strlen("/proc/sys/"); *c; c++)
		*c = *c == '.' ? '/' : *c;
	set_file(path, v ? v + 1 : "");
}

static void must(bool ok, const char *what)
{
	if (!ok)
		script_fail(0, "%s: %s", what, strerror(errno));
}

static void make_wire(const struct script *s)
{
	char cmd[256];

	must(unshare(CLONE_NEWNET) == 0, "a network namespace");
	if (!ip_six) {
		set_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
		set_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	}
	tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	must(tun >= 0, "/dev/net/tun");
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "drill0"};
	must(ioctl(tun, TUNSETIFF, &ifr) == 0, "a tun device");
	snprintf(cmd, sizeof(cmd),
		 "ip addr add %s dev drill0 && ip link set drill0 mtu %u up && ip link set lo up",
		 ip_six ? "fd88::10.88.0.1/120 nodad" : "10.88.0.1/24",
		 ip_mtu(s->mtu ? s->mtu : 1500));
	must(system(cmd) == 0, "ip");
	/* The kernel puts an address of IPv6 to use a moment later. */
	must(!ip_six || system("for i in $(seq 200); do ip -6 route show table local | grep -q "
			       "'local fd88::' && exit 0; sleep 0.01; done; exit 1") == 0,
	     "no IPv6 address");
	for (uint32_t i = 0; i < s->n_sysctl; i++)
		set_sysctl(s->sysctl[i]);
}

/* Packets to the peer, and what the program has to say. */
static void look(uint64_t deadline_ns)
{
	static uint8_t b[PACKET_MAX];
	uint64_t now = clock_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec ts = {(time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC)};
	struct pollfd p[2] = {{.fd = tun, .events = POLLIN},
			      {.fd = prog.busy ? prog.chan : -1, .events = POLLIN}};
	const size_t at = ip_len() - 4; /* the end of the destination */
	ssize_t n;

	ppoll(p, 2, &ts, NULL);
	while ((n = read(tun, b, sizeof(b))) > 0) {
		if (n >= (ssize_t)ip_len() && get32(b + at) == DRILL_PEER)
			frames_put(now_ns(), b, (uint32_t)n);
	}
	program_poll(&prog, now_ns());
}

static void until(uint64_t t_ns)
{
	do
		look(start_ns + t_ns);
	while (now_ns() < t_ns);
}

static struct frame *next(uint64_t until_ns)
{
	for (;;) {
		struct frame *f = frames_take();

		if (f || now_ns() >= until_ns)
			return f;
		look(start_ns + until_ns);
	}
}

static bool result(struct call_rep *rep, uint64_t *at_ns, uint64_t until_ns)
{
	while (!prog.answered && now_ns() < until_ns)
		look(start_ns + until_ns);
	return program_answer(&prog, rep, at_ns);
}

static void call(const struct call_req *q)
{
	program_call(&prog, q);
}

/* Packets of a tun device come one by one. */
static void gather(bool more)
{
	(void)more;
}

static void inject(const uint8_t *p, uint32_t n)
{
	must(write(tun, p, n) == (ssize_t)n, "tun");
}

static void start(const struct script *s, const struct world_conf *conf)
{
	/* The script's time is real: nobody else comes first while it runs, if that can be had. */
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10});
	make_wire(s);
	setenv("DRILL_CONGESTION", "cubic", 1); /* whatever the machine prefers */
	program_start(&prog, conf, NULL, NULL);
	start_ns = clock_ns();
	until(0);
	while (!prog.answered)
		look(clock_ns() + NSEC_PER_SEC);
	prog.answered = false;
	while (frames_take())
		;
	start_ns = clock_ns();
}

static void stop(void)
{
	program_end(&prog);
	close(tun);
}

const struct world world_kernel = {
	.name = "kernel",
	.tolerance_ns = 15 * NSEC_PER_MSEC,
	.patience_ns = NSEC_PER_SEC,
	.pushes_more = true, .timers_coarsen = true,
	.start = start,
	.now_ns = now_ns,
	.until = until,
	.next = next,
	.inject = inject,
	.gather = gather,
	.call = call,
	.result = result,
	.stop = stop,
};
