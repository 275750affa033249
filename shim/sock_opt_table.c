/* The options that stream sockets on the stack have. A row says how a value is checked, where it is
 * kept and what is read while it is not set: Linux 6.1 to 6.18. Options without a row are the kernel's to
 * answer for (sock_opt_ask.c): those that none but the kernel can serve, and those of other protocols. */
// SPDX-License-Identifier: MIT
#include "shim/sock_opt_int.h"
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include "shim/sock_conn.h"

/* Younger than the headers that we are built with. */
enum {
	N_SO_TXREHASH = 74, N_SO_RCVMARK = 75, N_SO_DEVMEM_DONTNEED = 80, N_SO_RCVPRIORITY = 82,
	N_IP_PROTOCOL = 52, N_TCP_IS_MPTCP = 43,
};
enum { NAMES = SOCK_OPTS / 4 };

#define OPTS(member) offsetof(struct chan_opts, member)
#define SHARED(member) offsetof(struct chan_sock_b, member)
#define BIT(flag) { OPT_BIT, 0, (flag), INT_MIN, INT_MAX, 0 }
#define BIT_R(flag, rule) { OPT_BIT, (rule), (flag), INT_MIN, INT_MAX, 0 }
#define BOOL { OPT_BOOL, 0, 0, INT_MIN, INT_MAX, 0 }
#define BOOL_ON { OPT_BOOL, 0, 0, INT_MIN, INT_MAX, 1 }
#define BOOL_R(rule) { OPT_BOOL, (rule), 0, INT_MIN, INT_MAX, 0 }
/* Switching it on takes privilege. */
#define BOOL_ASK { OPT_BOOL, OPT_ASK, 0, 0, 0, 0 }
#define INT(min, max, def) { OPT_INT, 0, 0, (min), (max), (def) }
#define INT_R(rule, min, max, def) { OPT_INT, (rule), 0, (min), (max), (def) }
#define INT_ASK { OPT_INT, OPT_ASK, 0, 1, 0, 0 }
#define FIELD(bits, member, min, max, def) \
	{ OPT_FIELD##bits, 0, OPTS(member), (min), (max), (def) }
#define FIELD_R(bits, member, rule, min, max, def) \
	{ OPT_FIELD##bits, (rule), OPTS(member), (min), (max), (def) }
#define READ { OPT_READ, 0, 0, 0, 0, 0 }
#define OF(kind) { OPT_##kind, 0, 0, INT_MIN, INT_MAX, 0 }
#define OF_AT(kind, arg) { OPT_##kind, 0, (arg), INT_MIN, INT_MAX, 0 }

static const struct opt socket_opts[NAMES] = {
	[SO_DEBUG] = BOOL_ASK,
	[SO_REUSEADDR] = BIT(CHAN_O_REUSEADDR),
	[SO_TYPE] = READ,
	[SO_ERROR] = READ,
	[SO_DONTROUTE] = BIT(CHAN_O_DONTROUTE),
	[SO_BROADCAST] = BIT(CHAN_O_BROADCAST),
	[SO_SNDBUF] = OF_AT(BUFFER, OPTS(sndbuf)),
	[SO_RCVBUF] = OF_AT(BUFFER, OPTS(rcvbuf)),
	[SO_KEEPALIVE] = BIT(CHAN_O_KEEPALIVE),
	[SO_OOBINLINE] = BIT(CHAN_O_OOBINLINE),
	[SO_NO_CHECK] = BOOL,
	[SO_PRIORITY] = INT_R(OPT_ASK | OPT_ALONE, 0, 6, 0),
	[SO_LINGER] = OF(LINGER),
	[SO_BSDCOMPAT] = OF(NOTHING),
	[SO_REUSEPORT] = BIT(CHAN_O_REUSEPORT),
	[SO_RCVLOWAT] = OF(LOWAT),
	[SO_SNDLOWAT] = READ,
	[SO_RCVTIMEO_OLD] = OF_AT(TIMEOUT, SHARED(rcvtimeo_ms)),
	[SO_SNDTIMEO_OLD] = OF_AT(TIMEOUT, SHARED(sndtimeo_ms)),
	[SO_BINDTODEVICE] = OF(DEVICE),
	[SO_PEERNAME] = READ,
	[SO_TIMESTAMP_OLD] = OF(STAMP),
	[SO_ACCEPTCONN] = READ,
	[SO_SNDBUFFORCE] = { OPT_BUFFER, OPT_ASK, OPTS(sndbuf), 1, 0, 0 },
	[SO_RCVBUFFORCE] = { OPT_BUFFER, OPT_ASK, OPTS(rcvbuf), 1, 0, 0 },
	[SO_TIMESTAMPNS_OLD] = OF(STAMP),
	[SO_MARK] = INT_ASK,
	[SO_TIMESTAMPING_OLD] = OF(STAMPING),
	[SO_PROTOCOL] = READ,
	[SO_DOMAIN] = READ,
	[SO_RXQ_OVFL] = BOOL,
	[SO_WIFI_STATUS] = BOOL,
	[SO_PEEK_OFF] = { OPT_PEEK_OFF, OPT_ASK, 0, 1, 0, -1 },
	[SO_NOFCS] = BOOL,
	[SO_LOCK_FILTER] = BOOL,
	[SO_SELECT_ERR_QUEUE] = BOOL,
	[SO_BUSY_POLL] = INT_ASK,
	[SO_MAX_PACING_RATE] = OF(PACING),
	[SO_INCOMING_CPU] = INT_R(OPT_ALONE, INT_MIN, INT_MAX, -1),
	[SO_CNX_ADVICE] = OF(WRITE),
	[SO_MEMINFO] = READ,
	[SO_INCOMING_NAPI_ID] = READ,
	[SO_COOKIE] = READ,
	[SO_ZEROCOPY] = INT(0, 1, 0),
	[SO_TXTIME] = OF(TXTIME),
	[SO_BINDTOIFINDEX] = OF(DEVICE),
	[SO_TIMESTAMP_NEW] = OF(STAMP),
	[SO_TIMESTAMPNS_NEW] = OF(STAMP),
	[SO_TIMESTAMPING_NEW] = OF(STAMPING),
	[SO_RCVTIMEO_NEW] = OF_AT(TIMEOUT, SHARED(rcvtimeo_ms)),
	[SO_SNDTIMEO_NEW] = OF_AT(TIMEOUT, SHARED(sndtimeo_ms)),
	[SO_PREFER_BUSY_POLL] = BOOL_ASK,
	[SO_BUSY_POLL_BUDGET] = { OPT_WRITE, OPT_ASK, 0, 1, 0, 0 },
	[SO_BUF_LOCK] = { OPT_BUF_LOCK, 0, 0, 0, 3, 0 },
	[N_SO_TXREHASH] = { OPT_INT, OPT_OR_MINUS, CHAN_O_NO_REHASH, 0, 1, 1 },
	[N_SO_RCVMARK] = BOOL,
	[N_SO_DEVMEM_DONTNEED] = { OPT_WRITE, OPT_ASK, 0, 1, 0, 0 },
	[N_SO_RCVPRIORITY] = BOOL,
};

static const struct opt ip_opts[NAMES] = {
	[IP_TOS] = FIELD(8, tos, INT_MIN, INT_MAX, 0),
	[IP_TTL] = FIELD_R(8, ttl, OPT_BYTE | OPT_OR_MINUS, 1, 255, 64),
	[IP_OPTIONS] = OF(OPTIONS),
	[IP_IPSEC_POLICY] = OF(OPTIONS),
	[IP_XFRM_POLICY] = OF(OPTIONS),
	[IP_UNICAST_IF] = OF(DEVICE),
	[IP_RECVOPTS] = BOOL,
	[IP_RETOPTS] = BOOL,
	[IP_PKTINFO] = BOOL,
	[IP_PKTOPTIONS] = READ,
	[IP_MTU_DISCOVER] = FIELD_R(8, mtu_disc, OPT_PLUS_1, 0, 5, 1),
	[IP_RECVERR] = BIT(CHAN_O_RECVERR),
	[IP_RECVTTL] = BOOL,
	[IP_RECVTOS] = BOOL,
	[IP_MTU] = READ,
	[IP_FREEBIND] = BIT_R(CHAN_O_FREEBIND, OPT_BYTE),
	[IP_PASSSEC] = BOOL,
	[IP_TRANSPARENT] = { OPT_BOOL, OPT_BYTE | OPT_ASK | OPT_KERNEL | OPT_SETTLED, 0, 0, 0, 0 },
	[IP_RECVORIGDSTADDR] = BOOL,
	[IP_MINTTL] = FIELD_R(8, minttl, OPT_BYTE, 0, 255, 0),
	[IP_CHECKSUM] = BOOL,
	[IP_BIND_ADDRESS_NO_PORT] = BOOL,
	[IP_RECVERR_RFC4884] = INT(0, 1, 0),
	[IP_MULTICAST_TTL] = READ,
	[IP_MULTICAST_LOOP] = { OPT_BOOL, OPT_BYTE, 0, INT_MIN, INT_MAX, 1 },
	[IP_MULTICAST_ALL] = INT_R(OPT_BYTE, 0, 1, 1),
	[SOCK_IP_LOCAL_PORT_RANGE] = INT_ASK,
	[N_IP_PROTOCOL] = READ,
};

/* Of what goes by IPv6; where such a socket carries IPv4 the rows above have the say. */
static const struct opt ipv6_opts[NAMES] = {
	[IPV6_ADDRFORM] = OF(ADDRFORM),
	[IPV6_2292PKTINFO] = BOOL,
	[IPV6_2292HOPOPTS] = BOOL,
	[IPV6_2292DSTOPTS] = BOOL,
	[IPV6_2292RTHDR] = BOOL,
	[IPV6_2292HOPLIMIT] = BOOL,
	[11 /* IPV6_FLOWINFO */] = BOOL,
	[IPV6_UNICAST_HOPS] = { OPT_HOPS, OPT_OR_MINUS, OPTS(hops), 0, 255, 64 },
	[IPV6_MULTICAST_IF] = READ, /* of a stream they can't be set */
	[IPV6_MULTICAST_HOPS] = READ,
	[IPV6_MULTICAST_LOOP] = INT(0, 1, 1),
	[IPV6_MTU_DISCOVER] = INT(0, 5, 1),
	[IPV6_RECVERR] = BIT(CHAN_O_RECVERR6),
	[IPV6_MTU] = { OPT_READ, 0, 0, 0, 0, 0 },
	[IPV6_IPSEC_POLICY] = OF(OPTIONS),
	[IPV6_XFRM_POLICY] = OF(OPTIONS),
	[IPV6_V6ONLY] = BIT_R(CHAN_O_V6ONLY, OPT_BEFORE_BIND),
	[29 /* IPV6_MULTICAST_ALL */] = BOOL_ON,
	[30 /* IPV6_ROUTER_ALERT_ISOLATE */] = BOOL,
	[31 /* IPV6_RECVERR_RFC4884 */] = INT(0, 1, 0),
	[SOCK_IPV6_FLOWINFO_SEND] = BOOL,
	[IPV6_RECVPKTINFO] = BOOL,
	[IPV6_RECVHOPLIMIT] = BOOL,
	[IPV6_RECVHOPOPTS] = BOOL,
	[IPV6_HOPOPTS] = OF(OPTIONS),
	[IPV6_RTHDRDSTOPTS] = OF(OPTIONS),
	[IPV6_RECVRTHDR] = BOOL,
	[IPV6_RTHDR] = OF(OPTIONS),
	[IPV6_RECVDSTOPTS] = BOOL,
	[IPV6_DSTOPTS] = OF(OPTIONS),
	[IPV6_RECVPATHMTU] = BOOL,
	[IPV6_PATHMTU] = READ,
	[IPV6_DONTFRAG] = BOOL_R(OPT_SHORT),
	[IPV6_RECVTCLASS] = BOOL,
	[IPV6_TCLASS] = { OPT_CLASS, 0, OPTS(tclass), -1, 255, 0 },
	[IPV6_AUTOFLOWLABEL] = { OPT_BOOL, OPT_SHORT, CHAN_O_NO_LABEL, INT_MIN, INT_MAX, 1 },
	[IPV6_ADDR_PREFERENCES] = OF(PREFER),
	[73 /* IPV6_MINHOPCOUNT */] = { OPT_HOPS, 0, OPTS(minhops), 0, 255, 0 },
	[74 /* IPV6_ORIGDSTADDR */] = BOOL,
	[75 /* IPV6_TRANSPARENT */] = { OPT_BOOL, OPT_ASK | OPT_KERNEL | OPT_SETTLED, 0, 0, 0, 0 },
	[76 /* IPV6_UNICAST_IF */] = OF(DEVICE),
	[77 /* IPV6_RECVFRAGSIZE */] = BOOL_R(OPT_SHORT),
	[IPV6_FREEBIND] = BOOL,
};

static const struct opt tcp_opts[NAMES] = {
	[TCP_NODELAY] = BIT(CHAN_O_NODELAY),
	[TCP_MAXSEG] = FIELD_R(16, user_mss, OPT_OR_ZERO, 88, 32767, 536),
	[TCP_CORK] = BIT(CHAN_O_CORK),
	[TCP_KEEPIDLE] = FIELD(32, keepidle_s, 1, 32767, 7200),
	[TCP_KEEPINTVL] = FIELD(32, keepintvl_s, 1, 32767, 75),
	[TCP_KEEPCNT] = FIELD(32, keepcnt, 1, 127, 9),
	[TCP_SYNCNT] = FIELD(8, syncnt, 1, 127, 6),
	[TCP_LINGER2] = OF(LINGER2),
	[TCP_DEFER_ACCEPT] = OF(DEFER),
	[TCP_WINDOW_CLAMP] = OF(CLAMP),
	[TCP_INFO] = READ,
	[TCP_QUICKACK] = OF(QUICKACK),
	[TCP_CONGESTION] = OF(CONTROL),
	[TCP_THIN_LINEAR_TIMEOUTS] = INT(0, 1, 0),
	[TCP_THIN_DUPACK] = { OPT_NOTHING, 0, 0, 0, 1, 0 },
	[TCP_USER_TIMEOUT] = FIELD(32, user_timeout_ms, 0, INT_MAX, 0),
	[TCP_REPAIR] = OF(REPAIR),
	[TCP_QUEUE_SEQ] = OF(QUEUE_SEQ),
	[TCP_FASTOPEN] = { OPT_FASTOPEN, OPT_IDLE_LISTEN | OPT_ALONE, 0, 0, INT_MAX, 0 },
	[TCP_NOTSENT_LOWAT] = FIELD(32, notsent_lowat, INT_MIN, INT_MAX, 0),
	[TCP_CC_INFO] = READ,
	[TCP_SAVE_SYN] = INT_R(OPT_KERNEL | OPT_SETTLED, 0, 2, 0),
	[TCP_FASTOPEN_CONNECT] = INT_R(OPT_IDLE | OPT_ASK, 0, 0, 0),
	[TCP_FASTOPEN_KEY] = OF(FO_KEY),
	[TCP_FASTOPEN_NO_COOKIE] = { OPT_BIT, OPT_IDLE_LISTEN, CHAN_O_FO_NO_COOKIE, 0, 1, 0 },
	[TCP_INQ] = { OPT_BIT, 0, CHAN_O_INQ, 0, 1, 0 },
	[TCP_TX_DELAY] = INT_R(OPT_ASK | OPT_KERNEL, 0, 0, 0),
	[N_TCP_IS_MPTCP] = READ,
};

static const struct {
	int level;
	const struct opt *row;
} levels[] = {
	{ SOL_SOCKET, socket_opts },
	{ IPPROTO_IP, ip_opts },
	{ IPPROTO_IPV6, ipv6_opts },
	{ IPPROTO_TCP, tcp_opts },
};
_Static_assert(ARRAY_LEN(levels) * NAMES == SOCK_OPTS, "one place in the record each");

bool opt_nth(uint32_t index, struct opt_at *at)
{
	*at = (struct opt_at){ &levels[index / NAMES].row[index % NAMES], levels[index / NAMES].level,
			       (int)(index % NAMES), index };
	return at->o->kind != OPT_NONE;
}

bool opt_find(const struct sock *s, int level, int name, struct opt_at *at)
{
	for (uint32_t l = 0; l < ARRAY_LEN(levels); l++)
		if (levels[l].level == level && (unsigned)name < NAMES)
			return opt_level_is_known(s, level) &&
			       opt_nth(l * NAMES + (uint32_t)name, at);
	return false;
}

bool opt_level_is_known(const struct sock *s, int level)
{
	return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP ||
	       (level == IPPROTO_IPV6 && s->family == AF_INET6);
}
