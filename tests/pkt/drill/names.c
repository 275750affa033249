/* The constants that scripts may name. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "tests/pkt/drill/script.h"

#define N(name)                                                                                    \
	{                                                                                          \
#name, name                                                                        \
	}
static const struct {
	const char *name;
	int64_t v;
} names[] = {
	N(AF_INET),
	N(AF_UNSPEC),
	N(SOCK_STREAM),
	N(SOCK_DGRAM),
	N(SOCK_NONBLOCK),
	N(SOCK_CLOEXEC),
	N(IPPROTO_TCP),
	N(IPPROTO_UDP),
	N(IPPROTO_IP),
	N(SOL_SOCKET),
	N(SOL_IP),
	{"SOL_TCP", IPPROTO_TCP},
	{"SOL_UDP", IPPROTO_UDP},
	N(SO_REUSEADDR),
	N(SO_REUSEPORT),
	N(SO_KEEPALIVE),
	N(SO_LINGER),
	N(SO_ERROR),
	N(SO_RCVBUF),
	N(SO_SNDBUF),
	N(SO_RCVLOWAT),
	N(SO_OOBINLINE),
	N(SO_TYPE),
	N(SO_ACCEPTCONN),
	N(SO_MAX_PACING_RATE),
	N(SO_RCVTIMEO),
	N(SO_SNDTIMEO),
	N(SO_BROADCAST),
	N(TCP_NODELAY),
	N(TCP_MAXSEG),
	N(TCP_CORK),
	N(TCP_KEEPIDLE),
	N(TCP_KEEPINTVL),
	N(TCP_KEEPCNT),
	N(TCP_SYNCNT),
	N(TCP_LINGER2),
	N(TCP_DEFER_ACCEPT),
	N(TCP_WINDOW_CLAMP),
	N(TCP_QUICKACK),
	N(TCP_CONGESTION),
	N(TCP_USER_TIMEOUT),
	N(TCP_FASTOPEN),
	N(TCP_FASTOPEN_CONNECT),
	N(TCP_NOTSENT_LOWAT),
	N(TCP_INQ),
	N(TCP_INFO),
	N(TCP_THIN_LINEAR_TIMEOUTS),
	N(TCP_THIN_DUPACK),
	N(TCP_SAVE_SYN),
	N(TCP_TIMESTAMP),
	N(TCP_FASTOPEN_KEY),
	N(TCP_FASTOPEN_NO_COOKIE),
	N(IP_TTL),
	N(IP_TOS),
	N(IP_MTU_DISCOVER),
	N(IP_MTU),
	N(IP_RECVERR),
	N(IP_PMTUDISC_DO),
	N(IP_PMTUDISC_DONT),
	N(IP_PMTUDISC_WANT),
	N(IP_PMTUDISC_PROBE),
	N(IP_MINTTL),
	N(MSG_PEEK),
	N(MSG_WAITALL),
	N(MSG_DONTWAIT),
	N(MSG_OOB),
	N(MSG_MORE),
	N(MSG_NOSIGNAL),
	N(MSG_TRUNC),
	N(MSG_FASTOPEN),
	N(MSG_EOR),
	N(MSG_ERRQUEUE),
	N(MSG_CTRUNC),
	N(SHUT_RD),
	N(SHUT_WR),
	N(SHUT_RDWR),
	N(F_GETFL),
	N(F_SETFL),
	N(O_RDWR),
	N(O_NONBLOCK),
	N(FIONREAD),
	N(SIOCINQ),
	N(SIOCOUTQ),
	N(SIOCATMARK),
	N(SIOCOUTQNSD),
	N(POLLIN),
	N(POLLOUT),
	N(POLLPRI),
	N(POLLERR),
	N(POLLHUP),
	N(POLLRDHUP),
	N(POLLRDNORM),
	N(POLLWRNORM),
	N(POLLRDBAND),
	/* states and the rest of what assertions compare with */
	{"ESTABLISHED", 1},
	{"SYN_SENT", 2},
	{"SYN_RECV", 3},
	{"FIN_WAIT1", 4},
	{"FIN_WAIT2", 5},
	{"TIME_WAIT", 6},
	{"CLOSE", 7},
	{"CLOSE_WAIT", 8},
	{"LAST_ACK", 9},
	{"LISTEN", 10},
	{"CLOSING", 11},
	{"CA_OPEN", TCP_CA_Open},
	{"CA_DISORDER", TCP_CA_Disorder},
	{"CA_CWR", TCP_CA_CWR},
	{"CA_RECOVERY", TCP_CA_Recovery},
	{"CA_LOSS", TCP_CA_Loss},
	N(TCPI_OPT_TIMESTAMPS),
	N(TCPI_OPT_SACK),
	N(TCPI_OPT_WSCALE),
	N(TCPI_OPT_ECN),
	N(TCPI_OPT_ECN_SEEN),
	N(TCPI_OPT_SYN_DATA),
	/* errors */
	N(EAGAIN),
	N(EWOULDBLOCK),
	N(EINPROGRESS),
	N(EALREADY),
	N(EISCONN),
	N(ENOTCONN),
	N(ECONNREFUSED),
	N(ECONNRESET),
	N(ECONNABORTED),
	N(EPIPE),
	N(ETIMEDOUT),
	N(EHOSTUNREACH),
	N(ENETUNREACH),
	N(EINVAL),
	N(EADDRINUSE),
	N(EADDRNOTAVAIL),
	N(EBADF),
	N(EINTR),
	N(EMSGSIZE),
	N(ENOPROTOOPT),
	N(EOPNOTSUPP),
	N(EDESTADDRREQ),
	N(EPROTO),
	N(ENOBUFS),
	N(ENOMEM),
	N(EACCES),
	N(EPERM),
	N(EFAULT),
	N(ENOTSOCK),
	N(EHOSTDOWN),
	N(ENONET),
	N(EPROTONOSUPPORT),
	N(ENOENT),
};

bool name_value(const char *name, int64_t *v)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, name) == 0) {
			*v = names[i].v;
			return true;
		}
	}
	return false;
}

const char *errno_text(int err)
{
	static char buf[16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].name[0] == 'E' && names[i].v == err &&
		    strcmp(names[i].name, "ESTABLISHED") != 0)
			return names[i].name;
	}
	snprintf(buf, sizeof(buf), "errno %d", err);
	return buf;
}
