/* ICMP input and the errors that we send. Errors received become struct icmp4_error with the errno
 * that Linux gives for them; whether to believe them is the transport's decision (RFC 5927). */
// SPDX-License-Identifier: MIT
#include "stack/net/icmp4.h"
#include <errno.h>
#include "stack/base/checksum.h"
#include "stack/base/stats.h"
#include "stack/base/util.h"

bool net_bucket_take(struct net_bucket *b, uint32_t rate, uint32_t burst, uint64_t now_ns)
{
	uint64_t one = NSEC_PER_SEC / rate;

	if (b->last_ns == 0)
		b->tokens_ns = burst * one;
	else if (now_ns > b->last_ns)
		b->tokens_ns = min_u64(b->tokens_ns + (now_ns - b->last_ns), burst * one);
	b->last_ns = max_u64(now_ns, 1);
	if (b->tokens_ns < one)
		return false;
	b->tokens_ns -= one;
	return true;
}

/* errno and fatality of "destination unreachable", by code: the table of Linux's ip(7) answers. */
static const struct {
	int16_t err;
	bool hard;
} unreach[] = {
	[ICMP_C_NET] = { ENETUNREACH, false },
	[ICMP_C_HOST] = { EHOSTUNREACH, false },
	[ICMP_C_PROTO] = { ENOPROTOOPT, true },
	[ICMP_C_PORT] = { ECONNREFUSED, true },
	[ICMP_C_FRAG_NEEDED] = { EMSGSIZE, false },
	[ICMP_C_SRC_ROUTE] = { EOPNOTSUPP, false },
	[ICMP_C_NET_UNKNOWN] = { ENETUNREACH, true },
	[ICMP_C_HOST_UNKNOWN] = { EHOSTDOWN, true },
	[8] = { ENONET, true }, /* source host isolated */
	[ICMP_C_NET_PROHIBITED] = { ENETUNREACH, true },
	[ICMP_C_HOST_PROHIBITED] = { EHOSTUNREACH, true },
	[11] = { ENETUNREACH, false }, /* network, for this type of service */
	[12] = { EHOSTUNREACH, false }, /* host, for this type of service */
	[ICMP_C_ADMIN_PROHIBITED] = { EHOSTUNREACH, true },
	[14] = { EHOSTUNREACH, true }, /* precedence violation */
	[15] = { EHOSTUNREACH, true }, /* precedence cutoff */
};

static bool map_error(const struct icmp_msg *m, struct icmp4_error *e)
{
	switch (m->type) {
	case ICMP_T_UNREACH:
		if (m->code >= ARRAY_LEN(unreach))
			return false;
		e->err = unreach[m->code].err;
		e->hard = unreach[m->code].hard;
		e->mtu = e->info = m->code == ICMP_C_FRAG_NEEDED ? m->mtu : 0;
		return true;
	case ICMP_T_TIME_EXCEEDED:
		if (m->code == ICMP_C_REASSEMBLY)
			return false; /* Linux: no error for the socket */
		e->err = EHOSTUNREACH;
		e->hard = false;
		return true;
	case ICMP_T_PARAM:
		e->err = EPROTO;
		e->hard = true;
		e->info = m->ptr;
		return true;
	default:
		return false;
	}
}

/* What the message quotes of a UDP datagram behind its header. */
static void quote_payload(const struct ip4_in *in, const struct icmp_msg *m, struct icmp4_error *e)
{
	uint32_t skip = (uint32_t)ICMP_HDR_LEN + m->orig.ip.hdr_len + ICMP_QUOTE_BYTES;
	uint32_t hdrs = (uint32_t)m->orig.ip.hdr_len + ICMP_QUOTE_BYTES;

	if (m->orig.ip.proto != IP_PROTO_UDP || in->len <= skip || m->orig.ip.total_len <= hdrs)
		return;
	e->p = in->payload + skip;
	e->len = min_u32(in->len - skip, m->orig.ip.total_len - hdrs);
}

/* The quote must be a packet that we may have sent. */
static bool error_input(struct net_env *env, const struct ip4_in *in, const struct icmp_msg *m,
			struct icmp4_error *e)
{
	struct ipaddr src = ipaddr_v4(m->orig.ip.src);
	struct icmp4_error r = {
		.proto = m->orig.ip.proto,
		.local = m->orig.ip.src,
		.remote = m->orig.ip.dst,
		.lport = m->orig.sport,
		.rport = m->orig.dport,
		.tcp_seq = m->orig.tcp_seq,
		.ttl = m->orig.ip.ttl,
		.type = m->type,
		.code = m->code,
		.offender = in->h.src,
	};

	if (!m->orig.has_ports || !route_is_local(env->routes, &src) || !map_error(m, &r)) {
		STAT_INC(icmp_drop_bad);
		return false;
	}
	quote_payload(in, m, &r);
	*e = r;
	return true;
}

static void echo_input(struct net_env *env, const struct ip4_in *in, const struct icmp_msg *m)
{
	uint8_t hdr[ICMP_HDR_LEN];
	struct icmp_msg reply = { .type = ICMP_T_ECHO_REPLY, .id = m->id, .seq = m->seq };
	struct ip4_out out = {
		.src = in->h.dst,
		.dst = in->h.src,
		.proto = IP_PROTO_ICMP,
		.tos = in->h.tos & 0x1e, /* as Linux: precedence is not echoed */
	};

	/* RFC 1122 3.2.2.6 lets us ignore echo requests to broadcast addresses. */
	if (!in->unicast) {
		STAT_INC(icmp_drop_bad);
		return;
	}
	if (!net_bucket_take(&env->echo, ICMP4_ECHO_RATE, ICMP4_ECHO_BURST, env->now_ns)) {
		STAT_INC(icmp_tx_limited);
		return;
	}
	/* The checksum of the reply is that of the request, except for the type (RFC 1624). */
	icmp_emit(&reply, NULL, 0, hdr);
	uint32_t sum = csum_add(csum_add(0, hdr, 2), hdr + 4, 4);
	uint16_t csum = csum_fold(csum_add(sum, in->payload + ICMP_HDR_LEN,
					   in->len - ICMP_HDR_LEN));
	memcpy(hdr + 2, &csum, 2);
	struct iovec iov[2] = {
		{ hdr, sizeof(hdr) },
		{ (void *)(in->payload + ICMP_HDR_LEN), in->len - ICMP_HDR_LEN },
	};
	if (ip4_send(env, &out, iov, 2) == 0)
		STAT_INC(icmp_rx_echo);
}

bool icmp4_input(struct net_env *env, const struct ip4_in *in, struct icmp4_error *e)
{
	struct icmp_msg m;

	if (in->l4_csum == PKT_CSUM_BAD || !icmp_csum_ok(in->payload, in->len) ||
	    icmp_parse(&m, in->payload, in->len) < 0) {
		STAT_INC(icmp_drop_bad);
		return false;
	}
	if (icmp_is_error(&m) && in->unicast)
		return error_input(env, in, &m, e);
	if (m.type == ICMP_T_ECHO)
		echo_input(env, in, &m);
	else
		STAT_INC(icmp_drop_bad);
	return false;
}

void icmp4_send_unreach(struct net_env *env, const struct ip4_in *in, uint8_t code)
{
	/* IP header and 8 bytes (RFC 792); more (RFC 1812 4.3.2.3) up to the 576 of RFC 1122. */
	enum { QUOTE_MAX = 576 - IP4_HDR_MIN - ICMP_HDR_LEN };
	uint8_t buf[ICMP_HDR_LEN + QUOTE_MAX];
	uint8_t *quote = buf + ICMP_HDR_LEN;
	uint32_t n = min_u32(in->len, QUOTE_MAX - IP4_HDR_MIN);
	struct ip4 h = in->h; /* options are not quoted */
	struct icmp_msg m = { .type = ICMP_T_UNREACH, .code = code };
	struct ip4_out out = { .src = in->h.dst, .dst = in->h.src, .proto = IP_PROTO_ICMP,
			       .tos = 0xc0 };

	/* Never about a broadcast or a later fragment (RFC 1122 3.2.2). */
	if (!in->unicast || in->h.frag_off)
		return;
	if (!net_bucket_take(&env->unreach, ICMP4_ERROR_RATE, ICMP4_ERROR_BURST, env->now_ns)) {
		STAT_INC(icmp_tx_limited);
		return;
	}
	h.total_len = (uint16_t)(IP4_HDR_MIN + in->len);
	ip4_emit(&h, quote, IP4_CSUM_FILL);
	memcpy(quote + IP4_HDR_MIN, in->payload, n);
	struct iovec iov = { buf, icmp_emit(&m, quote, IP4_HDR_MIN + n, buf) };
	if (ip4_send(env, &out, &iov, 1) == 0)
		STAT_INC(icmp_tx_error);
}
