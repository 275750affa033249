/* Fuzz target: the input is a program of IPv6 packets for the network layer: chains of extension
 * headers, fragments, ICMPv6 errors and echoes, MLD, neighbour discovery with routers and prefixes,
 * true, lying and torn, and time. All that leaves must be well-formed; tables stay bounded; what
 * comes through lies within its packet; no buffer is lost. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stack/base/bug.h"
#include "stack/base/log.h"
#include "stack/base/stats.h"
#include "stack/net/icmp6.h"
#include "stack/net/ip6_frag.h"
#include "stack/net/mld.h"
#include "stack/net/nd.h"
#include "stack/net/ndp.h"
#include "stack/net/neigh.h"
#include "stack/wire/mld.h"
#include "stack/wire/show.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/mbufs.h"

enum { STEPS = 300, MTU = 1500, NEIGHS = 16, HDRS_MAX = 400, PACKET_MAX = 2200 };

static struct {
	struct net_env env;
	struct netif nif, *nifs[1];
	struct route_table routes;
	struct stats stats;
	struct ip6_reass *reass;
	struct ndp *ndp;
	struct mld *mld;
	struct mcast *groups;
	bool changed;
} f;

static const struct ipaddr us = { .b = { 0x20, 1, 0x0d, 0xb8, [15] = 2 } };
static const struct ipaddr link_us = { .b = { 0xfe, 0x80, [15] = 2 } };

/* ---- what leaves ---- */
static void icmp_left(const struct ip6 *h, const uint8_t *p, uint32_t n)
{
	struct icmp6_msg m;
	struct nd_msg nd;

	CHECK(icmp6_csum_ok(&h->src, &h->dst, p, n));
	CHECK(icmp6_parse(&m, p, n) == ICMP6_HDR_LEN);
	if (icmp6_is_nd(m.type)) {
		CHECK(h->hops == ND_HOPS && nd_parse(&nd, p, n) == 0);
		return;
	}
	if (m.type == ICMP6_T_ECHO_REPLY)
		return;
	/* RFC 4443 2.4: short enough, to one station, not about an error */
	CHECK(icmp6_is_error(&m) && n + IP6_HDR_LEN <= IP6_MTU_MIN);
	CHECK(!ipaddr_is_multicast(&h->dst) && !ipaddr_is_any(&h->dst));
	CHECK(m.orig.proto != IP_PROTO_ICMP6 || n <= ICMP6_HDR_LEN + m.orig.off ||
	      p[ICMP6_HDR_LEN + m.orig.off] >= ICMP6_T_ERRORS_END);
}

static void left(struct rte_mbuf *m)
{
	static uint8_t copy[PACKET_MAX];
	char text[SHOW_MAX];
	struct eth eth;
	struct ip6 h;

	CHECK(m->pkt_len <= MTU + ETH_HDR_LEN);
	const uint8_t *p = rte_pktmbuf_read(m, 0, m->pkt_len, copy);
	CHECK(eth_parse(&eth, p, m->pkt_len) == ETH_HDR_LEN && eth.type == ETH_TYPE_IP6);
	CHECK(!eth_addr_is_zero(eth.dst));
	CHECK(ip6_parse(&h, p + ETH_HDR_LEN, m->pkt_len - ETH_HDR_LEN) == IP6_HDR_LEN);
	CHECK(h.payload_len == m->pkt_len - ETH_HDR_LEN - IP6_HDR_LEN);
	/* What waited for its neighbour may have outlived its address. */
	CHECK(!ipaddr_is_multicast(&h.src) && !ipaddr_is_v4(&h.src));
	if (h.next == IP_PROTO_ICMP6)
		icmp_left(&h, p + ETH_HDR_LEN + IP6_HDR_LEN, h.payload_len);
	show_frame(p, m->pkt_len, text, sizeof(text));
	rte_pktmbuf_free(m);
}

static void tx(void *arg, struct netif *nif, struct rte_mbuf *m) { left(m); }
static void on_request(void *arg, struct netif *nif, const struct ipaddr *target, const struct eth_addr *mac)
{
	nd_solicit(&f.env, nif, target, mac);
}
static void on_send(void *arg, struct netif *nif, void *pkt, const struct eth_addr *mac)
{
	memcpy(rte_pktmbuf_mtod((struct rte_mbuf *)pkt, void *), mac, sizeof(*mac));
	left(pkt);
}
static void on_drop(void *arg, struct netif *nif, void *pkt, bool unreachable) { rte_pktmbuf_free(pkt); }
static void on_lost(void *arg, struct netif *nif, const struct ipaddr *addr)
{
	ndp_lost(f.ndp, nif, addr, f.env.now_ns);
}
static const struct neigh_ops neigh_ops = { on_request, on_send, on_drop, on_lost };

static void on_probe(void *arg, struct netif *nif, const struct ipaddr *a, const uint8_t n[ND_NONCE_LEN])
{
	nd_probe(&f.env, nif, a, n);
}
static void on_announce(void *arg, struct netif *nif, const struct netif_addr *a)
{
	/* Applied a moment later, as on the control thread. */
	CHECK(!ipaddr_is_v4(&a->addr));
}
static void on_ask_routers(void *arg, struct netif *nif) { nd_ask_routers(&f.env, nif); }
static void on_ask(void *arg, struct netif *nif, const struct ipaddr *target)
{
	nd_solicit(&f.env, nif, target, NULL);
}
static void on_changed(void *arg) { f.changed = true; }
static void on_mld_send(void *arg, struct netif *nif, const struct ipaddr *dst, void *p, uint32_t n)
{
	const struct ip6_out o = { .src = link_us, .dst = *dst, .proto = IP_PROTO_ICMP6, .hops = 1 };

	icmp6_put_csum(&o.src, dst, p, n);
	CHECK(n <= MTU - IP6_HDR_LEN - 8 && ip6_send_alert(&f.env, nif, &o, p, n) == 0);
}
static const struct mld_ops mld_ops = { on_mld_send };
static void on_group(void *arg, struct netif *nif, const struct ipaddr *group, bool on)
{
	if (on)
		mld_join(f.mld, nif, group, f.env.now_ns);
	else
		mld_leave(f.mld, nif, group, f.env.now_ns);
}
static const struct ndp_ops ndp_ops = { on_probe, on_announce, on_ask_routers, on_ask, on_changed,
					 on_group };

static void apply(void)
{
	f.changed = false;
	ndp_apply(f.ndp);
	CHECK(f.nif.n_addrs <= NETIF_ADDRS);
	route_init(&f.routes);
	CHECK(route_add_netif(&f.routes, &f.nif) == 0);
	ndp_add_routes(f.ndp, &f.routes);
	f.env.seen6.nif = NULL; /* as mail_drain() does */
}

static void start(void)
{
	const struct ndp_conf conf = { .autoconf = true, .temporary = true, .redirects = true,
				       .secret = { { 1, 2 } } };

	memset(&f, 0, sizeof(f));
	log_configure("error");
	stats_this_thread = &f.stats;
	f.nifs[0] = &f.nif;
	f.nif = (struct netif){ .name = "fuzz", .mac = { 2, 0, 0, 0, 0, 2 }, .mtu = MTU, .n_queues = 1,
				.ifindex = 5 };
	f.nif.addr[f.nif.n_addrs++] = (struct netif_addr){ .addr = us, .plen = 64 };
	f.nif.addr[f.nif.n_addrs++] = (struct netif_addr){ .addr = link_us, .plen = 64 };
	f.env = (struct net_env){ .netif = f.nifs, .n_netif = 1, .routes = &f.routes,
				  .mbufs = fuzz_pool(), .now_ns = 100 * NSEC_PER_SEC, .tx = tx };
	rng_seed(&f.env.rng, 4);
	f.env.neigh = neigh_new(NEIGHS, 3, &neigh_ops, NULL, f.env.now_ns);
	f.reass = ip6_reass_new(&f.env, 5);
	f.env.groups = f.groups = mcast_new(1, 9);
	f.mld = mld_new(&mld_ops, NULL, 8, f.env.now_ns);
	f.ndp = ndp_new(&conf, &ndp_ops, NULL, 6, f.env.now_ns);
	CHECK(f.env.neigh && f.reass && f.ndp && f.mld && f.groups);
	ndp_add_netif(f.ndp, &f.nif, f.env.now_ns);
	apply();
}

/* ---- what comes ---- */
static struct ipaddr address_in(struct input *in)
{
	uint8_t c = u8(in);
	struct ipaddr a = { .b = { 0x20, 1, 0x0d, 0xb8 } };

	switch (c >> 5) {
	case 0:
		return us;
	case 1:
		return link_us;
	case 2:
		a.b[15] = (uint8_t)(c & 31);
		return a;
	case 3:
		a = (struct ipaddr){ .b = { 0xfe, 0x80 } };
		a.b[15] = (uint8_t)(c & 31);
		return a;
	case 4:
		return c & 1 ? ip6_link_group((uint8_t)(c & 31)) : ip6_solicited_node(&us);
	case 5:
		return f.nif.addr[c % f.nif.n_addrs].addr;
	case 6:
		a.b[4] = c & 3;
		a.b[15] = u8(in);
		return a;
	default:
		return c & 1 ? (struct ipaddr){ 0 } : ipaddr_v4(0x0a4d0000u | c);
	}
}

static void use(const struct ip6_in *in)
{
	static volatile __attribute__((unused)) uint8_t sink;

	CHECK(in->payload >= in->packet && in->payload + in->len == in->packet + in->packet_len);
	CHECK(in->unicast != in->multicast || !in->eth_unicast);
	if (in->len)
		sink = (uint8_t)(in->payload[0] + in->payload[in->len - 1]);
}

static void up(const struct ip6_in *in)
{
	struct icmp6_error e;
	struct nd_msg m;

	use(in);
	if (in->proto == IP_PROTO_ICMP6 && in->len && icmp6_is_nd(in->payload[0])) {
		if (nd_input(&f.env, in, ND_ANSWER, &m))
			ndp_input(f.ndp, in->nif, &in->h.src, &m, f.env.now_ns);
	} else if (in->proto == IP_PROTO_ICMP6 && in->len >= ICMP6_HDR_LEN &&
		   icmp6_is_mld(in->payload[0])) {
		mld_input(f.mld, in->nif, in->payload, in->len, f.env.now_ns);
	} else if (in->proto == IP_PROTO_ICMP6) {
		if (icmp6_input(&f.env, in, &e))
			CHECK(e.err > 0 && (!e.len || (e.p >= in->payload &&
						       e.p + e.len <= in->payload + in->len)));
	} else if (in->proto == IP_PROTO_UDP) {
		icmp6_send_unreach(&f.env, in, ICMP6_C_PORT);
	} else {
		icmp6_send_no_proto(&f.env, in);
	}
}

static void receive(uint8_t *p, uint32_t n, bool eth_unicast)
{
	struct ip6_in in;
	uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees its end */

	CHECK(exact);
	memcpy(exact, p, n);
	if (ip6_input(&f.env, &f.nif, exact, n, eth_unicast, &in) >= 0) {
		if (!ip6_is_fragment(&in))
			up(&in);
		else if (ip6_reass_input(f.reass, &in) && ip6_input_whole(&f.env, &in) >= 0 &&
			 !ip6_is_fragment(&in))
			up(&in);
	}
	free(exact);
	CHECK(ip6_reass_blocks(f.reass) <= REASS_BLOCKS && neigh_count(f.env.neigh) <= NEIGHS);
	if (f.changed)
		apply();
}

/* Extension headers by the program, at p: their length; *next says the first. */
static uint32_t chain_in(struct input *in, uint8_t *p, uint8_t *next, uint8_t proto)
{
	static const uint8_t types[] = { IP6_HOPOPTS, IP6_DSTOPTS, IP6_ROUTING, IP6_FRAGMENT };
	uint32_t n = 0, count = u8(in) & 7;
	uint8_t *at = next;

	for (uint32_t i = 0; i < count && n + 32 < HDRS_MAX; i++) {
		uint8_t c = u8(in), *h = p + n;
		uint32_t len = types[c & 3] == IP6_FRAGMENT ? 8 : 8 + 8 * (c >> 6 & 1);

		*at = types[c & 3];
		at = h;
		h[1] = (uint8_t)(len / 8 - 1);
		for (uint32_t k = 2; k < len; k++)
			h[k] = c & 16 ? u8(in) : 0;
		n += len;
	}
	*at = proto;
	return n;
}

static uint32_t bytes_in(struct input *in, uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		p[i] = u8(in);
	return n;
}

/* A message of neighbour discovery, with the fields that matter from the program. */
static uint32_t nd_in(struct input *in, uint8_t *p)
{
	static const uint8_t fixed[] = { ND_RS_LEN, ND_RA_LEN, ND_NS_LEN, ND_NA_LEN, ND_REDIRECT_LEN };
	uint8_t which = u8(in) % 5, options = u8(in);
	uint32_t n = fixed[which];
	struct ipaddr target = address_in(in);

	memset(p, 0, n);
	p[0] = (uint8_t)(ICMP6_T_ND_RS + which);
	bytes_in(in, p + 4, 4);
	if (which == 1)
		bytes_in(in, p + 8, 8);
	else if (which)
		memcpy(p + 8, &target, 16);
	if (p[0] == ICMP6_T_ND_REDIRECT) {
		const struct ipaddr dst = address_in(in);

		memcpy(p + 24, &dst, 16);
	}
	for (; options & 3; options >>= 2) {
		uint8_t *o = p + n;

		memset(o, 0, 32);
		switch (options & 3) {
		case 1: /* a link-layer address */
			o[0] = which == 3 ? 2 : 1;
			o[1] = 1;
			o[2] = u8(in);
			o[7] = u8(in);
			n += 8;
			break;
		case 2: /* a prefix */
			o[0] = 3;
			o[1] = 4;
			o[2] = 64;
			o[3] = u8(in);
			bytes_in(in, o + 6, 2);
			bytes_in(in, o + 10, 2);
			memcpy(o + 16, &target, 8);
			n += 32;
			break;
		default: /* anything */
			bytes_in(in, o, 8);
			n += 8;
		}
	}
	return n;
}

/* A message of MLD: queries of both versions, and what other members say. */
static uint32_t mld_in(struct input *in, uint8_t *p)
{
	static const uint8_t types[] = { ICMP6_T_MLD_QUERY, ICMP6_T_MLD_REPORT1, ICMP6_T_MLD_DONE,
					 ICMP6_T_MLD_REPORT2 };
	const struct ipaddr any = { 0 };
	uint8_t c = u8(in), sources;
	struct ipaddr group = c & 128 ? any : ip6_link_group(c >> 2 & 31);
	uint32_t n = MLD1_LEN;

	memset(p, 0, MLD1_LEN);
	p[0] = types[c & 3];
	bytes_in(in, p + 4, 2);
	memcpy(p + 8, &group, sizeof(group));
	sources = u8(in);
	if (sources & 128)
		return n;
	n += bytes_in(in, p + n, 2); /* robustness, interval */
	p[n++] = 0;
	p[n++] = sources & 15; /* which may be a lie */
	for (int i = 0; i < (sources >> 4 & 7); i++, n += 16) {
		memcpy(p + n, &link_us, 16);
		p[n + 15] = u8(in);
	}
	return n;
}

static void packet_in(struct input *in, uint8_t op)
{
	static uint8_t p[PACKET_MAX];
	uint8_t *body = p + IP6_HDR_LEN, *l4, how = u8(in);
	struct ip6 h = { .src = address_in(in), .dst = address_in(in), .hops = how & 1 ? 64 : 255,
			 .tclass = how & 6 };
	uint8_t proto = op & 3 ? IP_PROTO_ICMP6 : how & 8 ? IP_PROTO_UDP : u8(in);
	uint32_t n = op & 4 ? chain_in(in, body, &h.next, proto) : 0;

	if (!n)
		h.next = proto;
	l4 = body + n;
	uint32_t len;
	if ((op & 3) == 1)
		len = nd_in(in, l4);
	else if ((op & 67) == 66)
		len = mld_in(in, l4);
	else
		len = bytes_in(in, l4, how & 16 ? u8(in) : 8 + (how >> 5));
	if ((op & 67) == 2 && len > 48) { /* an error about a packet of ours, or nearly */
		const struct ip6 q = { .src = us, .dst = h.src, .next = IP_PROTO_UDP, .payload_len = 40 };

		l4[0] &= 7;
		ip6_emit(&q, l4 + 8);
	}
	if ((op & 3) == 3 && len)
		l4[0] = ICMP6_T_ECHO;
	h.payload_len = (uint16_t)(n + len);
	ip6_emit(&h, p);
	if (proto == IP_PROTO_ICMP6 && len >= 4 && !(op & 8))
		icmp6_put_csum(&h.src, &h.dst, l4, len);
	if (op & 16)
		p[u8(in) % (IP6_HDR_LEN + n + 8)] ^= u8(in);
	receive(p, IP6_HDR_LEN + n + len - (op & 32 ? u8(in) % (len + 1) : 0), !(how & 128));
}

/* Pieces of a few packets, in any order. */
static void fragment_in(struct input *in, uint8_t op)
{
	static uint8_t p[PACKET_MAX];
	uint8_t c = u8(in);
	uint32_t off = (u8(in) & 31) * 8, len = op & 1 ? 8 * (1 + (c & 15)) : c;
	struct ip6 h = { .src = { .b = { 0xfe, 0x80, [15] = 9 } }, .dst = link_us, .next = IP6_FRAGMENT,
			 .hops = 64, .payload_len = (uint16_t)(IP6_FRAG_LEN + len) };

	ip6_emit(&h, p);
	ip6_emit_frag(op & 2 ? IP6_DSTOPTS : IP_PROTO_UDP, off, op & 1, op >> 2 & 3, p + IP6_HDR_LEN);
	bytes_in(in, p + IP6_HDR_LEN + IP6_FRAG_LEN, min_u32(len, 16));
	receive(p, (uint32_t)IP6_HDR_LEN + h.payload_len, true);
}

static void after(struct input *in)
{
	static const uint32_t ms[] = { 1, 100, 1000, 5000, 30000, 61000, 3600000, 90000000 };

	f.env.now_ns += ms[u8(in) & 7] * NSEC_PER_MSEC;
	for (int i = 0; i < 50 && ndp_next_ns(f.ndp) <= f.env.now_ns; i++) {
		ndp_advance(f.ndp, f.env.now_ns);
		if (f.changed)
			apply();
	}
	mld_advance(f.mld, f.env.now_ns);
	neigh_advance(f.env.neigh, f.env.now_ns);
	ip6_reass_advance(f.reass, f.env.now_ns);
}

static void send_out(struct input *in)
{
	static uint8_t data[3000];
	struct ip6_out o = { .src = us, .dst = address_in(in), .proto = IP_PROTO_UDP, .nif = &f.nif };
	struct iovec iov = { data, u16(in) % sizeof(data) };

	int err = ip6_send(&f.env, &o, &iov, 1);
	CHECK(err == 0 || err == -ENETUNREACH || err == -ENOBUFS || err == -EMSGSIZE);
}

/* What sockets want of a group changes. */
static void member(struct input *in)
{
	uint8_t what = u8(in);
	struct ipaddr group = ip6_link_group(what & 31);
	struct mcast_state s = { .include = what & 32, .n = u8(in) % (MCAST_SOURCES + 1) };
	struct mcast_change c;

	for (uint32_t i = 0; i < s.n; i++) {
		s.src[i] = link_us;
		s.src[i].b[15] = (uint8_t)(i + what);
	}
	CHECK(mcast_set(f.groups, 0, &group, f.nif.ifindex, &s) == 0);
	while (mcast_next_change(f.groups, &c))
		mld_set(f.mld, &f.nif, &c.group, &c.state, f.env.now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, p + n };

	if (n > FUZZ_MAX)
		return 0;
	start();
	for (int i = 0; in.p < in.end && i < STEPS; i++) {
		uint8_t op = u8(&in);

		if (op < 128)
			packet_in(&in, op);
		else if (op < 192)
			fragment_in(&in, op);
		else if (op < 224)
			after(&in);
		else if (op < 240)
			send_out(&in);
		else
			member(&in);
	}
	ip6_reass_free(f.reass);
	ndp_free(f.ndp);
	mld_free(f.mld);
	mcast_free(f.groups);
	neigh_free(f.env.neigh);
	CHECK(rte_mempool_in_use_count(f.env.mbufs) == 0);
	return 0;
}

size_t fuzz_example(unsigned i, uint8_t *buf)
{
	/* op, how, source, destination, ... */
	static const uint8_t echo[] = { 3, 1, 0x41, 0x00, 3, 1, 0x61, 0x20, 3, 1, 0x61, 0x81 };
	static const uint8_t asked[] = { 1, 0, 0x41, 0x80, 2, 1, 0x00, 0, 0, 0, 0, 9, 3, 1, 0x41, 0 };
	static const uint8_t router[] = { 1, 0, 0x61, 0x81, 1, 0x0a, 0xc1, 7, 64, 0, 7, 8, 0, 0, 0, 0,
					  0, 0, 0, 0, 0xc0, 9, 9, 5, 5, 0xc0, 9, 9, 5, 5, 200, 2, 200, 3,
					  200, 6, 200, 7, 200, 7, 230, 0xc2, 5, 5, 9 };
	static const uint8_t pieces[] = { 129, 1, 0, 1, 2, 3, 4, 128, 30, 2, 129, 3, 4, 131, 1, 0, 9,
					  9, 200, 5, 129, 1, 0, 129, 1, 0, 129, 2, 0 };
	static const uint8_t chain[] = { 4, 9, 0x41, 0, 2, 1, 0x12, 1, 2, 0, 0, 0, 0, 4, 9, 0x41, 0, 5, 1,
					 1, 1, 1, 1 };
	static const uint8_t groups[] = { 240, 0, 0, 241, 33, 2, 242, 5, 64, 3, 1, 0x61, 0x81, 192, 2, 240,
					  32, 0, 200, 2, 255, 37, 1, 200, 3 };
	/* A router, a redirect by it to another one, packets there, and a redirect to who is on the link. */
	static const uint8_t redirect[] = { 1, 0, 0x61, 0x81, 1, 0, 0xc1, 7, 64, 0, 7, 8, 0, 0, 0,
					    0, 0, 0, 0, 0, 1, 0, 0x61, 0x20, 4, 0, 0x65, 0, 0, 0,
					    0, 0xc1, 9, 224, 0xc1, 9, 0, 9, 1, 0, 0x61, 0x20, 4, 1,
					    0xc1, 8, 0, 0, 0, 0, 0xc1, 8, 5, 6, 224, 0xc1, 8, 0, 9,
					    200, 4, 200, 3, 224, 0xc1, 9, 0, 9, 200, 5 };
	/* A group, then queries: about all, about it, about a source, of version 1; a report and a done. */
	static const uint8_t asked_group[] = { 240, 5, 0, 200, 3, 66, 0, 0x61, 0x81, 0x80, 1, 0, 0, 2, 10,
					       66, 0, 0x61, 0x81, 0x14, 1, 0, 0, 2, 10, 66, 0, 0x61, 0x81,
					       0x14, 1, 0, 0x11, 2, 10, 7, 200, 2, 66, 0, 0x61, 0x81, 0x14, 1,
					       0, 128, 66, 0, 0x61, 0x81, 0x15, 0, 0, 128, 66, 0, 0x61, 0x81,
					       0x16, 0, 0, 128, 200, 3, 245, 37, 0, 200, 3 };
	static const uint8_t error[] = { 2, 16, 0x41, 0, 90, 1, 4, 0, 0, 0, 0, 0, 0 };
	static const struct {
		const uint8_t *p;
		size_t n;
	} all[] = { { echo, sizeof(echo) }, { asked, sizeof(asked) }, { router, sizeof(router) },
		    { pieces, sizeof(pieces) }, { chain, sizeof(chain) }, { groups, sizeof(groups) },
		    { error, sizeof(error) }, { redirect, sizeof(redirect) },
		    { asked_group, sizeof(asked_group) } };

	if (i >= ARRAY_LEN(all))
		return 0;
	memcpy(buf, all[i].p, all[i].n);
	return all[i].n;
}
