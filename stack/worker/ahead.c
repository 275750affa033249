/* With many connections a segment waits for its connection's memory, line after line. So what the segments
 * of a burst will touch is asked for before the first of them is taken, step by step for all of them
 * together: the hash bucket, the connection, the socket's halves in shared memory. Nothing here is needed
 * for the right result, and whatever a frame says is harmless: the table is only looked at. */
// SPDX-License-Identifier: MIT
#include "stack/base/util.h"
#include <string.h>
#include "stack/net/pkt.h"
#include "stack/wire/ip6.h"
#include "stack/wire/tcp.h"
#include "stack/worker/worker_int.h"

enum {
	AHEAD_CONNS = 512, /* fewer stay in the cache by themselves */
	HDRS = ETH_HDR_LEN + IP4_HDR_MIN + sizeof(struct tcp_hdr),
	HDRS6 = ETH_HDR_LEN + IP6_HDR_LEN + sizeof(struct tcp_hdr),
	IP4_PLAIN = 0x45, /* version 4, no options */
};

/* The same as flow_of(). Zones are no part of what the table goes by. */
static bool flow6_of(const struct rte_mbuf *m, const uint8_t *ip, struct tcp_flow *f)
{
	const uint8_t *tcp = ip + IP6_HDR_LEN;

	if (m->data_len < HDRS6 || ip[0] >> 4 != 6 || ip[6] != IP_PROTO_TCP)
		return false;
	*f = (struct tcp_flow){
		.local.port = load_be16(tcp + 2),
		.remote.port = load_be16(tcp),
	};
	memcpy(&f->local.addr, ip + 24, sizeof(f->local.addr));
	memcpy(&f->remote.addr, ip + 8, sizeof(f->remote.addr));
	return true;
}

/* The flow of an ordinary segment. False: it is something else. */
static bool flow_of(struct rte_mbuf *m, struct tcp_flow *f)
{
	const uint8_t *p = pkt_data(m), *ip = p + ETH_HDR_LEN, *tcp = ip + IP4_HDR_MIN;

	if (m->data_len < HDRS)
		return false;
	uint16_t type = load_be16(p + 12);
	if (type == ETH_TYPE_IP6)
		return flow6_of(m, ip, f);
	if (type != ETH_TYPE_IP4 || ip[0] != IP4_PLAIN || ip[9] != IP_PROTO_TCP)
		return false;
	*f = (struct tcp_flow){
		.local = { .addr = ipaddr_v4(load_be32(ip + 16)), .port = load_be16(tcp + 2) },
		.remote = { .addr = ipaddr_v4(load_be32(ip + 12)), .port = load_be16(tcp) },
	};
	return true;
}

void rx_ahead(struct worker *w, struct rte_mbuf **m, uint16_t n)
{
	const struct tcp_env *tcp = &w->sock.tcp;
	struct tcp_conn *conn[RX_BURST];
	uint32_t hash[RX_BURST], known = 0;

	if (likely(tcp->n_conns < AHEAD_CONNS))
		return;
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(pkt_data(m[i]));
	for (uint16_t i = 0; i < n; i++) {
		struct tcp_flow flow;

		if (flow_of(m[i], &flow))
			hash[known++] = tcp_ahead(tcp, &flow);
	}
	for (uint32_t i = 0; i < known; i++) {
		conn[i] = tcp_ahead_conn(tcp, hash[i]);
		if (conn[i])
			sock_ahead(conn[i]);
	}
	for (uint32_t i = 0; i < known; i++) {
		if (conn[i])
			sock_ahead_shared(conn[i]);
	}
}
