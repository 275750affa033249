/* TCP_CONGESTION "bbr" and what TCP_CC_INFO tells of it, before, on and after a connection. */
// SPDX-License-Identifier: MIT
#include <linux/inet_diag.h>
#include "tests/shim/t.h"

static void show(const char *what, int fd)
{
	union tcp_cc_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0x5a, sizeof(info));
	int r = getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, &info, &len);
	t_res(what, r);
	t_out("%s: len %u", what, r < 0 ? 0 : len);
	if (r == 0 && len == sizeof(info.bbr))
		t_out("%s: bw %d min_rtt %d pacing %d cwnd %d", what, info.bbr.bbr_bw_lo > 0,
		      info.bbr.bbr_min_rtt > 0, info.bbr.bbr_pacing_gain > 0,
		      info.bbr.bbr_cwnd_gain > 0);
}

static void name(const char *what, int fd)
{
	char buf[16] = "";
	socklen_t len = sizeof(buf);

	t_res(what, getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, buf, &len));
	t_out("%s: %s len %u", what, buf, len);
}

static void pump(int from, int to)
{
	static char buf[20000];

	for (int i = 0; i < 20; i++) {
		ssize_t put = write(from, buf, sizeof(buf)), got = 0;

		while (got < put) {
			ssize_t n = read(to, buf, (size_t)(put - got));

			if (n <= 0)
				return;
			got += n;
		}
	}
}

static void told(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), c, s;

	t_res("cubic", setsockopt(a, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	show("cubic", a);
	t_res("bbr", setsockopt(a, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
	name("name", a);
	show("chosen", a);
	close(a);
	t_pair(&c, &s);
	t_res("cubic", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	show("connected, cubic", c);
	t_res("bbr", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
	name("connected", c);
	pump(c, s);
	show("on a connection", c);
	t_res("reno", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	show("reno", c);
	t_res("bbr again", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
	pump(c, s);
	show("bbr again", c);
	close(c);
	close(s);
}

T_MAIN({ "told", told })
