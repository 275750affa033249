/* EAL, the fake port and the fake way out. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include <rte_eal.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/checksum.h"
#include "stack/wire/udp.h"

struct rig rig;
struct rte_mempool *rig_pool;

void rig_eal(void)
{
	char prefix[32], *argv[] = { "test", "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
				     "--no-telemetry", "--log-level=error", "--file-prefix", prefix,
				     NULL };

	snprintf(prefix, sizeof(prefix), "fnunit%d", getpid());
	if (rte_eal_init((int)ARRAY_LEN(argv) - 1, argv) < 0)
		exit(EXIT_FAILURE);
	rig_pool = rte_pktmbuf_pool_create("unit", RIG_BUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (!rig_pool)
		exit(EXIT_FAILURE);
}

static void catch(struct rte_mbuf *m)
{
	struct rig_frame *f = &rig.sent[rig.n_sent++];

	ck_assert_uint_lt(rig.n_sent, RIG_FRAMES);
	f->len = pkt_len(m);
	f->ol_flags = m->ol_flags;
	ck_assert_uint_le(f->len, sizeof(f->b));
	const void *p = rte_pktmbuf_read(m, 0, f->len, f->b);
	if (p != f->b)
		memcpy(f->b, p, f->len);
	pkt_free(m);
}

static void on_tx(void *arg, struct netif *nif, struct rte_mbuf *m) { catch(m); }

static uint16_t rx_burst(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t k = 0;

	while (k < n && rig.rx_at < rig.n_rx)
		pkts[k++] = rig.rx[rig.rx_at++];
	return k;
}

static uint16_t tx_burst(struct netif *nif, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t k = 0;

	for (; k < n && rig.tx_room; k++, rig.tx_room--)
		catch(pkts[k]);
	return k;
}

static const struct netif_ops ops = { .rx_burst = rx_burst, .tx_burst = tx_burst };

static void on_request(void *arg, struct netif *nif, const struct ipaddr *target,
		       const struct eth_addr *mac)
{
}
static void on_send(void *arg, struct netif *nif, void *pkt, const struct eth_addr *mac)
{
	memcpy(pkt_data(pkt), mac, sizeof(*mac));
	catch(pkt);
}
static void on_drop(void *arg, struct netif *nif, void *pkt, bool unreachable) { pkt_free(pkt); }
static const struct neigh_ops neigh_ops = { on_request, on_send, on_drop };

struct eth_addr rig_peer_mac(void) { return (struct eth_addr){ { 2, 0, 0, 0, 0, 1 } }; }

void rig_know_peer(void)
{
	struct ipaddr peer = ipaddr_v4(RIG_PEER);

	neigh_learn(rig.net.neigh, &rig.nif, &peer, rig_peer_mac(), NEIGH_HEARD_REQUEST,
		    rig.net.now_ns);
}

void rig_setup(void)
{
	struct ipaddr gw = ipaddr_v4(RIG_PEER);

	memset(&rig, 0, sizeof(rig));
	rig.nif = (struct netif){ .ops = &ops, .name = "unit0", .mac = { 2, 0, 0, 0, 0, 2 },
				  .mtu = 1500, .n_queues = 1, .n_addrs = 1 };
	rig.nif.addr[0] = (struct netif_addr){ ipaddr_v4(RIG_US), 120 };
	rig.nifs[0] = &rig.nif;
	rig.tx_room = RIG_FRAMES;
	/* The pool is shared memory: a failed test may have left it with fewer. */
	rig.bufs = rte_mempool_avail_count(rig_pool);
	route_init(&rig.routes);
	ck_assert_int_eq(route_add_netif(&rig.routes, &rig.nif), 0);
	ck_assert_int_eq(route_add_gateway(&rig.routes, &gw), 0);
	rig.net = (struct net_env){ .netif = rig.nifs, .n_netif = 1, .routes = &rig.routes,
				    .mbufs = rig_pool, .now_ns = RIG_NOW, .ip_id = 0x1234,
				    .tx = on_tx };
	rig.net.neigh = neigh_new(64, 3, &neigh_ops, NULL, RIG_NOW);
	rng_seed(&rig.net.rng, 9);
	stats_this_thread = &rig.stats;
}

void rig_teardown(void)
{
	neigh_free(rig.net.neigh);
	ck_assert_uint_eq(rte_mempool_avail_count(rig_pool), rig.bufs);
}

struct rte_mbuf *rig_mbuf(const void *p, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool), *last = m;
	const uint8_t *b = p;

	ck_assert_ptr_nonnull(m);
	while (n) {
		uint16_t take = (uint16_t)min_u32(n, rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), b, take);
		last->data_len += take;
		m->pkt_len += take;
		b += take;
		n -= take;
		if (n) {
			last = rte_pktmbuf_alloc(rig_pool);
			ck_assert_int_eq(rte_pktmbuf_chain(m, last), 0);
		}
	}
	return m;
}

uint32_t rig_udp(void *p, uint32_t src, uint32_t dst, const void *data, uint16_t n)
{
	struct udp_dgram u = { .sport = 1111, .dport = 2222, .len = n };
	struct ip4 h = { .src = src, .dst = dst, .proto = IP_PROTO_UDP, .ttl = 64,
			 .total_len = (uint16_t)(IP4_HDR_MIN + UDP_HDR_LEN + n) };
	struct ipaddr a = ipaddr_v4(src), b = ipaddr_v4(dst);
	uint8_t *l4 = (uint8_t *)p + ip4_emit(&h, p, IP4_CSUM_FILL);
	uint32_t len = udp_emit(&u, l4) + n;

	memcpy(l4 + UDP_HDR_LEN, data, n);
	udp_store_csum(l4, csum_fold(csum_add(csum_pseudo(&a, &b, IP_PROTO_UDP, len), l4, len)));
	return IP4_HDR_MIN + len;
}
