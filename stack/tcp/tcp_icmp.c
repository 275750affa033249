/* What ICMP says about segments of ours, and what of it is believed (RFC 5927, RFC 5461, RFC 1122
 * 4.2.3.9). */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include "stack/tcp/tcp_core.h"

/* RFC 5082 3 holds for errors, too. As on Linux it is the quote that tells, over IPv4, how far our packet
 * came: who has not seen it does not know. Over IPv6 it is the message itself. */
bool tcp_icmp_is_near(struct tcp_env *env, const struct tcp_flow *flow, uint8_t ttl)
{
	const struct tcp_node *n = tcp_table_lookup(env, flow);

	if (!n || n->kind != TCPN_CONN || ttl >= container_of(n, struct tcp_conn, node)->opts.minttl)
		return true;
	STAT_INC(tcp_drop_minttl);
	return false;
}

void tcp_icmp_error(struct tcp_env *env, const struct tcp_flow *flow, seq_t seq, int err, bool hard,
		    uint32_t mtu, uint64_t now_ns)
{
	struct tcp_node *n = tcp_table_lookup(env, flow);

	if (n && n->kind == TCPN_SYN) {
		struct tcp_synq *q = container_of(n, struct tcp_synq, node);

		/* By IPv6 what says that there is no way has no say here (as Linux: icmpv6_err_convert()). */
		if (!ipaddr_is_v4(&flow->remote.addr) && (err == EHOSTUNREACH || err == ENETUNREACH))
			hard = false;
		if (hard && seq_eq(seq, q->iss))
			tcp_table_put_synq(env, q);
		return;
	}
	if (!n || n->kind != TCPN_CONN)
		return;
	struct tcp_conn *c = container_of(n, struct tcp_conn, node);
	/* RFC 5927 4: it must quote something that is in flight */
	if (seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_nxt)) {
		STAT_INC(tcp_icmp_refused);
		return;
	}
	if (err == EMSGSIZE) {
		bool deaf = ipaddr_is_v4(&flow->remote.addr) ? c->opts.may_cut : c->opts.deaf6;

		if (!deaf) /* where others may cut, it is no segment of ours that was too long */
			tcp_mtu_fell(env, c, mtu, now_ns);
	} else if (hard && !c->syn_acked) {
		tcp_done(env, c, err, now_ns);
	} else { /* RFC 1122 4.2.3.9, RFC 5461: the application is told, the connection goes on */
		c->soft_error = err;
		tcp_event(env, c, TCPE_SOFT_ERROR);
	}
	tcp_settle(env, c);
}
