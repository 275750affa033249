/* The stack's world: one data thread's worth of engine in this process, polled by hand on a clock that
 * only moves when the script says so; the program runs with the shim and sees an engine like any other.
 *
 * Nothing is left to chance by the second process: after each thing that happens the worker is polled
 * until it has no work and the program sleeps, in which order neither can have news for the other. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "stack/net/ip4_frag.h"
#include "stack/net/ip6_frag.h"
#include "stack/net/mcast.h"
#include "stack/net/neigh.h"
#include "stack/net/pkt.h"
#include "stack/net/ports.h"
#include "stack/sock/client.h"
#include "stack/wire/arp.h"
#include "stack/wire/icmp6.h"
#include "stack/wire/nd.h"
#include "stack/worker/route_export.h"
#include "stack/worker/worker_int.h"
#include "tests/pkt/drill/ip.h"
#include "tests/pkt/drill/stack_eal.h"
#include "tests/pkt/drill/world.h"

enum { BUFS = 8191, RX = 256, MTU = 1500, CONNS = 64, STUCK_S = 20 };
#define DRAIN_NS (200 * NSEC_PER_SEC)

static struct rte_mempool *pool;
static struct worker w;
static struct region engine;
static struct ports *ports;
static struct mcast *groups;
static struct route_table routes;
static struct netif nif, *nifs[1] = {&nif};
static struct rte_mbuf *rx[RX];
static uint32_t n_rx, rx_at, free_bufs;
static uint64_t start_ns, now;
static struct program prog;

void stack_eal(void)
{
	char prefix[32], *argv[] = {"drill",
				    "--no-huge",
				    "--no-shconf",
				    "-m",
				    "64",
				    "--no-pci",
				    "--no-telemetry",
				    "--log-level=error",
				    "--file-prefix",
				    prefix,
				    NULL};

	snprintf(prefix, sizeof(prefix), "fndrill%d", getpid());
	if (rte_eal_init((int)ARRAY_LEN(argv) - 1, argv) < 0)
		exit(EXIT_FAILURE);
	pool = rte_pktmbuf_pool_create("drill", BUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (!pool)
		exit(EXIT_FAILURE);
}

/* ---- the port ---- */
static const struct eth_addr peer_mac = {{2, 0, 0, 0, 0, 1}};

static void rx_frame(uint16_t type, const void *p, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *last = m;
	uint8_t b[ETH_HDR_LEN];
	struct eth eth = {.src = peer_mac, .type = type};

	memcpy(eth.dst.b, nif.mac, sizeof(nif.mac));
	eth_emit(&eth, b);
	if (!m || n_rx == RX || rte_pktmbuf_append(m, sizeof(b)) == NULL)
		script_fail(0, "no room for another frame");
	memcpy(rte_pktmbuf_mtod(m, void *), b, sizeof(b));
	while (n) {
		uint16_t take = (uint16_t)min_u32(n, rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), p, take);
		last->data_len += take;
		m->pkt_len += take;
		p = (const uint8_t *)p + take;
		n -= take;
		if (n && (!(last = rte_pktmbuf_alloc(pool)) || rte_pktmbuf_chain(m, last) != 0))
			script_fail(0, "no packet buffer");
	}
	rx[n_rx++] = m;
}

static uint16_t rx_burst(struct netif *n, uint16_t queue, struct rte_mbuf **pkts, uint16_t count)
{
	uint16_t k = 0;

	while (k < count && rx_at < n_rx)
		pkts[k++] = rx[rx_at++];
	if (rx_at == n_rx)
		rx_at = n_rx = 0;
	return k;
}

/* The peer is always there: who asks gets its address. */
static void answer_arp(const uint8_t *p, uint32_t n)
{
	struct arp_pkt a;
	uint8_t b[ARP_LEN];

	if (arp_parse(&a, p, n) < 0 || a.op != ARP_OP_REQUEST || a.tpa != DRILL_PEER)
		return;
	a = (struct arp_pkt){.op = ARP_OP_REPLY, .sha = peer_mac, .spa = DRILL_PEER, .tpa = a.spa};
	memcpy(a.tha.b, nif.mac, sizeof(nif.mac));
	rx_frame(ETH_TYPE_ARP, b, arp_emit(&a, b));
}

/* RFC 4861 7.2.4; true: it was one for the peer. */
static bool answer_nd(const uint8_t *p, uint32_t n)
{
	struct ipaddr us, peer;
	struct nd_msg m;
	struct ip6 h;
	uint8_t b[IP6_HDR_LEN + ND_EMIT_MAX];

	ip_addr6(DRILL_US, us.b);
	ip_addr6(DRILL_PEER, peer.b);
	if (ip6_parse(&h, p, n) < 0 || h.next != IP_PROTO_ICMP6 || p[IP6_HDR_LEN] != ICMP6_T_ND_NS ||
	    nd_parse(&m, p + IP6_HDR_LEN, h.payload_len) < 0 || !ipaddr_eq(&m.target, &peer))
		return false;
	m = (struct nd_msg){.type = ICMP6_T_ND_NA, .target = peer, .solicited = true, .override = true,
			    .has_tlla = true, .tlla = peer_mac};
	n = nd_emit(&m, b + IP6_HDR_LEN);
	h = (struct ip6){.src = peer, .dst = us, .next = IP_PROTO_ICMP6, .hops = ND_HOPS,
			 .payload_len = (uint16_t)n};
	icmp6_put_csum(&peer, &us, b + IP6_HDR_LEN, n);
	ip6_emit(&h, b);
	rx_frame(ETH_TYPE_IP6, b, IP6_HDR_LEN + n);
	return true;
}

static uint16_t tx_burst(struct netif *n, uint16_t queue, struct rte_mbuf **pkts, uint16_t count)
{
	static uint8_t b[PACKET_MAX];

	for (uint16_t i = 0; i < count; i++) {
		uint32_t len = pkt_len(pkts[i]);
		const uint8_t *p = rte_pktmbuf_read(pkts[i], 0, len, b);
		struct eth eth;

		if (!p || eth_parse(&eth, p, len) != ETH_HDR_LEN)
			script_fail(0, "a frame that is none");
		if (eth.type == ETH_TYPE_ARP)
			answer_arp(p + ETH_HDR_LEN, len - ETH_HDR_LEN);
		else if (eth.type == ETH_TYPE_IP6 && answer_nd(p + ETH_HDR_LEN, len - ETH_HDR_LEN))
			;
		else if (!eth_addr_is_multicast(eth.dst))
			frames_put(now - start_ns, p + ETH_HDR_LEN, len - ETH_HDR_LEN);
		pkt_free(pkts[i]);
	}
	return count;
}
static const struct netif_ops ops = {.rx_burst = rx_burst, .tx_burst = tx_burst};

/* ---- time ---- */
static uint64_t next_timer(void)
{
	uint64_t t = tcp_next_ns(&w.sock.tcp);

	t = min_u64(t, neigh_next_ns(w.neigh));
	t = min_u64(t, group_next_ns(&w));
	t = min_u64(t, ip6_reass_next_ns(w.reass6));
	return min_u64(t, ip4_reass_next_ns(w.reass));
}

static void settle(void)
{
	const time_t limit = time(NULL) + STUCK_S;

	for (;;) {
		bool work =
			worker_poll(&w, now) | attach_poll() | program_poll(&prog, now - start_ns);

		if (work)
			continue;
		if (prog.pid == 0)
			return;
		/* Asleep, and still nothing to do: whatever it did before it fell asleep was seen.
		 */
		if (program_sleeps(&prog) && !worker_poll(&w, now) && !attach_poll() &&
		    !program_poll(&prog, now - start_ns) && program_sleeps(&prog))
			return;
		if (time(NULL) > limit)
			script_fail(0, "the program does not come to rest");
		sched_yield();
	}
}

/* True: to the next timer; false: there is none until then, and it is then. */
static bool step(uint64_t until)
{
	uint64_t t = next_timer();

	if (t > until) {
		now = max_u64(now, until);
		return false;
	}
	if (t <= now && t + NSEC_PER_MSEC > until)
		t = until;
	now = max_u64(now + 1, t);
	settle();
	return true;
}

static bool gathers;

static void until(uint64_t t_ns)
{
	if (gathers) /* not even the time passes within a burst */
		return;
	while (step(start_ns + t_ns))
		;
	settle();
}

static struct frame *next(uint64_t until_ns)
{
	for (;;) {
		struct frame *f = frames_take();

		if (f)
			return f;
		if (now >= start_ns + until_ns || !step(start_ns + until_ns)) {
			settle();
			return frames_take();
		}
	}
}

static bool result(struct call_rep *rep, uint64_t *at_ns, uint64_t until_ns)
{
	while (!prog.answered && now < start_ns + until_ns && step(start_ns + until_ns))
		;
	settle();
	return program_answer(&prog, rep, at_ns);
}

static void call(const struct call_req *q)
{
	program_call(&prog, q);
	settle();
}

static void inject(const uint8_t *p, uint32_t n)
{
	rx_frame(ip_six ? ETH_TYPE_IP6 : ETH_TYPE_IP4, p, n);
	if (!gathers)
		settle();
}

static void gather(bool more)
{
	gathers = more;
}

/* ---- start and end ---- */
static void apply_sysctl(const char *line)
{
	const char *v = strchr(line, '=');

	if (v && strncmp(line, "net.ipv4.tcp_ecn=", (size_t)(v + 1 - line)) == 0)
		w.sock.tcp.ecn = *++v == '1' ? TCP_ECN_ON
				 : *v == '0' ? TCP_ECN_OFF
					     : TCP_ECN_IF_ASKED;
	else if (v && strncmp(line, "net.ipv4.tcp_syncookies=", (size_t)(v + 1 - line)) == 0)
		w.sock.tcp.syncookies = (enum tcp_cookie_mode)(v[1] - '0');
	else if (v && strncmp(line, "net.ipv4.tcp_fastopen=", (size_t)(v + 1 - line)) == 0)
		w.sock.tcp.fastopen = (uint32_t)strtoul(v + 1, NULL, 0);
	else if (strcmp(line, "net.ipv4.tcp_rfc1337=1") != 0) /* the stack always does */
		script_fail(0, "the stack has no such setting: %s", line);
}

static struct ipaddr addr_of(uint32_t v4)
{
	struct ipaddr a;

	ip_addr6(v4, a.b);
	return ip_six ? a : ipaddr_v4(v4);
}

static void meet_peer(void)
{
	struct ipaddr peer = addr_of(DRILL_PEER);

	neigh_learn(w.neigh, &nif, &peer, peer_mac, NEIGH_HEARD_REQUEST, now);
}

static void start_worker(const struct script *s)
{
	nif = (struct netif){.ops = &ops,
			     .name = "drill0",
			     .mac = {2, 0, 0, 0, 0, 2},
			     .ifindex = 0x10000,
			     .mtu = (uint16_t)ip_mtu(s->mtu ? s->mtu : MTU),
			     .n_queues = 1,
			     .n_addrs = 1};
	nif.addr[0] = (struct netif_addr){addr_of(DRILL_US), 120};
	route_init(&routes);
	if (client_engine_create(&engine, 1) < 0 || route_add_netif(&routes, &nif) < 0)
		script_fail(0, "no engine");
	ports = ports_new(CONNS, 1);
	groups = mcast_new(1, 1);
	struct worker_conf conf = {
		.number = 0,
		.n_workers = 1,
		.cpu = -1,
		.poll = WORKER_POLL_ADAPTIVE,
		.mbufs = pool,
		.netif = nifs,
		.n_netif = 1,
		.routes = &routes,
		.engine = engine.base,
		.ports = ports,
		.groups = groups,
		.syncookies = TCP_COOKIE_FULL,
		.max_conns = CONNS,
		.seed = 77,
	};
	free_bufs = rte_mempool_avail_count(pool);
	if (worker_init(&w, &conf) < 0)
		script_fail(0, "no worker");
	worker_set.n = 1;
	worker_set.w[0] = &w;
	struct chan_engine *e = engine.base;
	atomic_store(&e->alive, (uint32_t)getpid());
	route_export(&routes, e);
	now = worker_clock_ns();
}

static void start(const struct script *s, const struct world_conf *conf)
{
	char path[64], preload[1024];

	start_worker(s);
	for (uint32_t i = 0; i < s->n_sysctl; i++)
		apply_sysctl(s->sysctl[i]);
	snprintf(path, sizeof(path), "/tmp/fndrill.%d.sock", getpid());
	snprintf(preload, sizeof(preload), "%s%s%s", conf->first ? conf->first : "",
		 conf->first ? " " : "", conf->shim);
	attach_start(&w, &engine, path);
	program_start(&prog, conf, preload, path);
	while (!prog.answered)
		settle();
	prog.answered = false;
	/* The memberships of the start have been told, the peer is known. */
	meet_peer();
	settle();
	while (frames_take())
		;
	start_ns = now;
}

static uint64_t now_ns(void)
{
	return now - start_ns;
}

static void stop(void)
{
	program_end(&prog);
	attach_end();
	uint64_t end = now + DRAIN_NS;

	do
		settle();
	while ((!attach_all_gone() || w.sock.tcp.n_timewait || w.sock.tcp.n_conns) && step(end));
	if (!attach_all_gone() || w.sock.tcp.n_conns || w.sock.tcp.n_synq || w.sock.tcp.n_timewait)
		script_fail(0, "left behind: %u connections, %u half-open ones, %u in TIME-WAIT",
			    w.sock.tcp.n_conns, w.sock.tcp.n_synq, w.sock.tcp.n_timewait);
	worker_fini(&w);
	if (ports_count(ports) || rte_mempool_avail_count(pool) != free_bufs)
		script_fail(0, "left behind: %u ports, %d packet buffers", ports_count(ports),
			    (int)free_bufs - (int)rte_mempool_avail_count(pool));
	ports_free(ports);
	mcast_free(groups);
	region_destroy(&engine);
	while (frames_take())
		;
}

const struct world world_stack = {
	.name = "stack",
	.tolerance_ns = 4 * NSEC_PER_MSEC,
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
