/* ICMPv6 input and the errors that we send. Errors received become struct icmp6_error with the errno that
 * Linux gives for them; whether to believe them is the transport's decision (RFC 5927). */
// SPDX-License-Identifier: MIT
#include "stack/net/icmp6.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"
#include "stack/net/icmp4.h" /* the rates */

/* errno and fatality of "destination unreachable", by code, as Linux has them. */
static const struct {
	int16_t err;
	bool hard;
} unreach[] = {
	[ICMP6_C_NOROUTE] = { ENETUNREACH, false },
	[ICMP6_C_PROHIBITED] = { EACCES, true },
	[ICMP6_C_SCOPE] = { EHOSTUNREACH, false },
	[ICMP6_C_ADDR] = { EHOSTUNREACH, false },
	[ICMP6_C_PORT] = { ECONNREFUSED, true },
	[ICMP6_C_POLICY] = { EACCES, true },
	[ICMP6_C_REJECT] = { EACCES, true },
};

static void map_error(const struct icmp6_msg *m, struct icmp6_error *e)
{
	e->err = EPROTO;
	e->hard = true;
	switch (m->type) {
	case ICMP6_T_UNREACH:
		if (m->code < ARRAY_LEN(unreach)) {
			e->err = unreach[m->code].err;
			e->hard = unreach[m->code].hard;
		}
		break;
	case ICMP6_T_TOO_BIG:
		e->err = EMSGSIZE;
		e->hard = false;
		/* RFC 8201 4: less than every link of IPv6 has is not believed. */
		e->mtu = m->word;
		break;
	case ICMP6_T_TIME_EXCEEDED:
		e->err = EHOSTUNREACH;
		e->hard = false;
		break;
	}
	e->info = m->type == ICMP6_T_UNREACH || m->type == ICMP6_T_TIME_EXCEEDED ? 0 : m->word;
}

/* What the message quotes of a UDP datagram behind its header. */
static void quote_payload(const struct ip6_in *in, const struct icmp6_msg *m, struct icmp6_error *e)
{
	uint32_t hdrs = m->orig.off + ICMP6_QUOTE_BYTES, skip = ICMP6_HDR_LEN + hdrs;
	uint32_t whole = (uint32_t)IP6_HDR_LEN + m->orig.ip.payload_len;

	if (m->orig.proto != IP_PROTO_UDP || in->len <= skip || whole <= hdrs)
		return;
	e->p = in->payload + skip;
	e->len = min_u32(in->len - skip, whole - hdrs);
}

/* The quote must be a packet that we may have sent. */
static bool error_input(struct net_env *env, const struct ip6_in *in, const struct icmp6_msg *m,
			struct icmp6_error *e)
{
	struct icmp6_error r = {
		.proto = m->orig.proto,
		.local = m->orig.ip.src,
		.remote = m->orig.ip.dst,
		.lport = m->orig.sport,
		.rport = m->orig.dport,
		.tcp_seq = m->orig.tcp_seq,
		.type = m->type,
		.code = m->code,
		.offender = in->h.src,
		.hops = in->h.hops,
		.nif = in->nif,
	};

	const struct route *own = route_lookup_on(env->routes, &r.local, in->nif);

	if (!m->orig.has_ports || !own || own->kind != ROUTE_LOCAL || ipaddr_is_v4(&r.remote)) {
		STAT_INC(icmp6_drop_bad);
		return false;
	}
	map_error(m, &r);
	quote_payload(in, m, &r);
	*e = r;
	return true;
}

static bool own_source(const struct net_env *env, const struct ip6_in *in, struct ipaddr *src)
{
	*src = in->h.dst;
	return !in->multicast || route_source6(env->routes, &in->h.src, in->nif, 0, src);
}

static void echo_input(struct net_env *env, const struct ip6_in *in)
{
	uint8_t hdr[ICMP6_HDR_LEN] = { ICMP6_T_ECHO_REPLY };
	struct ip6_out out = { .dst = in->h.src, .proto = IP_PROTO_ICMP6, .tclass = in->h.tclass,
			       .nif = in->nif };
	const uint8_t *data = in->payload + ICMP6_HDR_LEN;
	uint32_t n = in->len - ICMP6_HDR_LEN;

	/* One to a group may be answered (RFC 4443 4.2), as Linux does; not one in a frame to many. */
	if ((!in->unicast && !in->multicast) || ipaddr_is_any(&in->h.src) ||
	    !own_source(env, in, &out.src)) {
		STAT_INC(icmp6_drop_bad);
		return;
	}
	if (!net_bucket_take(&env->echo, ICMP4_ECHO_RATE, ICMP4_ECHO_BURST, env->now_ns)) {
		STAT_INC(icmp6_tx_limited);
		return;
	}
	memcpy(hdr + 4, in->payload + 4, 4);
	uint32_t sum = csum_pseudo(&out.src, &out.dst, IP_PROTO_ICMP6, in->len);
	uint16_t csum = csum_fold(csum_add(csum_add(sum, hdr, sizeof(hdr)), data, n));
	memcpy(hdr + 2, &csum, sizeof(csum));
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { (void *)data, n } };
	if (ip6_send(env, &out, iov, 2) == 0)
		STAT_INC(icmp6_rx_echo);
}

bool icmp6_input(struct net_env *env, const struct ip6_in *in, struct icmp6_error *e)
{
	struct icmp6_msg m;

	if (in->l4_csum == PKT_CSUM_BAD ||
	    !icmp6_csum_ok(&in->h.src, &in->h.dst, in->payload, in->len) ||
	    icmp6_parse(&m, in->payload, in->len) < 0) {
		STAT_INC(icmp6_drop_bad);
		return false;
	}
	if (icmp6_is_error(&m) && in->unicast)
		return error_input(env, in, &m, e);
	if (m.type == ICMP6_T_ECHO)
		echo_input(env, in);
	else
		STAT_INC(icmp6_drop_bad);
	return false;
}

/* RFC 4443 2.4 (e): not about errors and redirects. */
static bool is_error_itself(const struct ip6_in *in)
{
	struct ip6_walk k;

	return ip6_walk_quoted(in->packet, in->packet_len, &in->h, &k) && k.proto == IP_PROTO_ICMP6 &&
	       in->packet_len > k.off && (in->packet[k.off] < ICMP6_T_ERRORS_END ||
					  in->packet[k.off] == ICMP6_T_ND_REDIRECT);
}

static void send_error(struct net_env *env, const struct ip6_in *in, uint8_t type, uint8_t code,
		       uint32_t word, bool multicast_too)
{
	enum { QUOTE_MAX = IP6_MTU_MIN - IP6_HDR_LEN - ICMP6_HDR_LEN };
	uint8_t buf[ICMP6_HDR_LEN + QUOTE_MAX];
	struct ip6_out out = { .dst = in->h.src, .proto = IP_PROTO_ICMP6, .nif = in->nif };

	if (ipaddr_is_any(&in->h.src) || is_error_itself(in) ||
	    (!multicast_too && (in->multicast || !in->eth_unicast)) || !own_source(env, in, &out.src))
		return;
	if (!net_bucket_take(&env->unreach, ICMP4_ERROR_RATE, ICMP4_ERROR_BURST, env->now_ns)) {
		STAT_INC(icmp6_tx_limited);
		return;
	}
	uint32_t n = icmp6_emit(&out.src, &out.dst, type, code, word, in->packet,
				min_u32(in->packet_len, QUOTE_MAX), buf);
	struct iovec iov = { buf, n };
	if (ip6_send(env, &out, &iov, 1) == 0)
		STAT_INC(icmp6_tx_error);
}

void icmp6_send_unreach(struct net_env *env, const struct ip6_in *in, uint8_t code)
{
	send_error(env, in, ICMP6_T_UNREACH, code, 0, false);
}

void icmp6_send_exceeded(struct net_env *env, const struct ip6_in *in, uint8_t code)
{
	send_error(env, in, ICMP6_T_TIME_EXCEEDED, code, 0, false);
}

void icmp6_send_param(struct net_env *env, const struct ip6_in *in, const struct ip6_param *param)
{
	send_error(env, in, ICMP6_T_PARAM, param->code, param->ptr, param->multicast_too);
}

void icmp6_send_no_proto(struct net_env *env, const struct ip6_in *in)
{
	if (in->proto == IP6_NONE) /* RFC 8200 4.7 */
		return;
	STAT_INC(ip6_drop_proto);
	send_error(env, in, ICMP6_T_PARAM, ICMP6_C_NEXT, in->walk.next_at, false);
}
