/* What TCP_INFO and SO_RCVBUF say of a conversation: in relations, because the numbers are each
 * machine's own. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { WAIT_MS = 60, TOTAL = 24 << 20 };

/* linux/tcp.h's struct tcp_info, of which netinet/tcp.h has the front. */
struct info {
	struct tcp_info ti;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
};
typedef unsigned long long num;

static struct info info(int fd)
{
	struct info ti = { 0 };
	socklen_t len = sizeof(ti);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
	return ti;
}

static int option_of(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	getsockopt(fd, level, name, &v, &len);
	return v;
}

static int size_of(int fd, int name) { return option_of(fd, SOL_SOCKET, name); }

/* In one look: between two what waited may have been sent. */
static bool is_acked(int fd)
{
	struct info now = info(fd);

	return !now.ti.tcpi_unacked && !now.notsent_bytes;
}

static void until_acked(int fd)
{
	for (int i = 0; i < 5000 && !is_acked(fd); i++)
		t_sleep_ms(1);
}

static void fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), a, b;
	struct info ti;

	t_out("buffers %d %d", size_of(fd, SO_RCVBUF), size_of(fd, SO_SNDBUF));
	t_pair(&a, &b);
	ti = info(a);
	t_out("IP_MTU is the path's %d", (uint32_t)option_of(a, IPPROTO_IP, IP_MTU) == ti.ti.tcpi_pmtu);
	t_out("busy %llu rwnd %llu sndbuf %llu rcv_rtt %u ato %u", (num)ti.busy_time,
	      (num)ti.rwnd_limited, (num)ti.sndbuf_limited, ti.ti.tcpi_rcv_rtt, ti.ti.tcpi_ato);
	t_out("recent %d %d", ti.ti.tcpi_last_data_sent < 5000, ti.ti.tcpi_last_data_recv < 5000);
	t_out("connected receive buffer %d, accepted %d", size_of(a, SO_RCVBUF), size_of(b, SO_RCVBUF));
	close(a);
	close(b);
	close(fd);
}

static void show(const char *what, const struct info *x)
{
	const struct tcp_info *t = &x->ti;

	t_out("%s: state %d rto %u ato %u mss %u %u rtt %u %u", what, t->tcpi_state, t->tcpi_rto, t->tcpi_ato,
	      t->tcpi_snd_mss, t->tcpi_rcv_mss, t->tcpi_rtt, t->tcpi_rttvar);
	t_out("%s: ssthresh %u cwnd %u advmss %u reordering %u unacked %u sacked %u pmtu %u", what,
	      t->tcpi_snd_ssthresh, t->tcpi_snd_cwnd, t->tcpi_advmss, t->tcpi_reordering,
	      t->tcpi_unacked, t->tcpi_sacked, t->tcpi_pmtu);
	t_out("%s: pacing %llu %llu min_rtt %u delivered %u", what, (num)x->pacing_rate,
	      (num)x->max_pacing_rate, x->min_rtt, x->delivered);
}

static void without_a_connection(void)
{
	struct sockaddr_in addr = t_addr(0);
	struct info ti;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ti = info(fd);
	show("fresh", &ti);
	bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	ti = info(fd);
	show("bound", &ti);
	listen(fd, 5);
	ti = info(fd);
	show("listening", &ti);
	close(fd);
}

/* Segments, not bytes; the SYN and the FIN are among them. */
static void small_ones_are_delivered(void)
{
	struct info ti;
	int a, b, one = 1;

	t_pair(&a, &b);
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	until_acked(b);
	t_out("delivered %u %u", info(a).delivered, info(b).delivered);
	for (int i = 0; i < 20; i++) {
		send(a, "0123456789", 10, 0);
		until_acked(a);
	}
	ti = info(a);
	t_out("delivered %u, sent %u", ti.delivered + ti.ti.tcpi_total_retrans,
	      ti.data_segs_out - ti.ti.tcpi_total_retrans);
	close(a);
	close(b);
}

static void peer_does_not_read(void)
{
	struct info ti, later;
	char buf[4096];
	int a, b;

	t_pair(&a, &b);
	t_fill(a);
	t_sleep_ms(WAIT_MS);
	ti = info(a);
	t_out("waits: busy %d rwnd %d part of it %d", ti.busy_time >= WAIT_MS * 500,
	      ti.rwnd_limited >= WAIT_MS * 500, ti.rwnd_limited <= ti.busy_time);
	fcntl(b, F_SETFL, O_NONBLOCK);
	while (!is_acked(a))
		if (read(b, buf, sizeof(buf)) < 0)
			t_sleep_ms(1);
	ti = info(a);
	t_sleep_ms(WAIT_MS / 3);
	later = info(a);
	t_out("idle: busy the same %d, rwnd %d, sndbuf %d", ti.busy_time == later.busy_time,
	      ti.rwnd_limited == later.rwnd_limited,
	      ti.sndbuf_limited == later.sndbuf_limited);
	t_out("a sum %d", later.rwnd_limited + later.sndbuf_limited <= later.busy_time);
	close(a);
	close(b);
}

static void *writes(void *arg)
{
	static char buf[1 << 16];
	int fd = *(int *)arg;

	for (size_t sent = 0; sent < TOTAL;) {
		ssize_t n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	return NULL;
}

static void transfer(int a, int b)
{
	static char buf[1 << 18];
	pthread_t t;

	pthread_create(&t, NULL, writes, &a);
	for (size_t got = 0; got < TOTAL;) {
		ssize_t n = read(b, buf, sizeof(buf));

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	pthread_join(t, NULL);
	until_acked(a);
}

static void buffers_grow(void)
{
	int a, b;
	struct info ti;

	t_pair(&a, &b);
	int snd = size_of(a, SO_SNDBUF);
	transfer(a, b);
	t_out("receive buffer has grown %d, send buffer not shrunk %d", size_of(b, SO_RCVBUF) > 131072,
	      size_of(a, SO_SNDBUF) >= snd);
	t_out("the sender's own has not %d", size_of(a, SO_RCVBUF));
	ti = info(b);
	t_out("receiver: rcv_rtt %d, rcv_space %d, busy %llu", ti.ti.tcpi_rcv_rtt > 0,
	      ti.ti.tcpi_rcv_space > 0, (num)ti.busy_time);
	ti = info(a);
	t_out("sender: rcv_rtt %u, acked %llu, delivered %d", ti.ti.tcpi_rcv_rtt, (num)ti.bytes_acked,
	      ti.delivered > 0);
	t_out("min_rtt %d", ti.min_rtt > 0 && ti.min_rtt <= ti.ti.tcpi_rtt * 8);
	close(a);
	close(b);
}

static void buffers_that_were_set_stay(void)
{
	int a, b, v = 50000;

	t_pair(&a, &b);
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v));
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));
	transfer(a, b);
	t_out("receive %d send %d", size_of(b, SO_RCVBUF), size_of(a, SO_SNDBUF));
	close(a);
	close(b);
}

T_MAIN(T_CASE(fresh), T_CASE(without_a_connection), T_CASE(small_ones_are_delivered),
       T_CASE(peer_does_not_read), T_CASE(buffers_grow),
       T_CASE(buffers_that_were_set_stay))
