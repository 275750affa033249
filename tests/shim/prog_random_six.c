/* What the random tester (tests/shim/random) has found about IPv4 in IPv6 sockets: each case is a difference
 * that was there. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

static struct sockaddr_in6 mapped(const char *addr, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct in_addr in = t_addr(0).sin_addr;

	if (addr)
		inet_pton(AF_INET, addr, &in);
	a.sin6_addr.s6_addr16[5] = 0xffff;
	memcpy(&a.sin6_addr.s6_addr32[3], &in, sizeof(in));
	return a;
}

/* That it is bound comes before the address, unlike with IPv4. */
static void bind_twice_to_nobodys_address(void)
{
	struct sockaddr_in6 no = mapped("10.99.9.9", 0), yes = mapped(NULL, 0);
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		int fd = socket(AF_INET6, type, 0), on = socket(AF_INET6, type, 0);
		t_out("type %d", type);
		t_res("fresh, nobody's", bind(fd, (struct sockaddr *)&no, sizeof(no)));
		t_res("to ours", bind(fd, (struct sockaddr *)&yes, sizeof(yes)));
		t_res("to ours again", bind(fd, (struct sockaddr *)&yes, sizeof(yes)));
		t_res("to nobody's", bind(fd, (struct sockaddr *)&no, sizeof(no)));
		if (type == SOCK_STREAM)
			t_res("listen", listen(on, 1));
		else
			t_res("send", send(on, "x", 1, 0));
		t_res("to nobody's", bind(on, (struct sockaddr *)&no, sizeof(no)));
		close(fd);
		close(on);
	}
}

/* udpv6_sendmsg() looks at the address first, and port 0 is none even of a peer. */
static void send_checks(void)
{
	static char big[70000];
	struct sockaddr_in6 zero = mapped(NULL, 0), at = mapped(NULL, 9), odd = at, none = at;
	struct sockaddr *to[] = { NULL, (void *)&zero, (void *)&at, (void *)&odd, (void *)&none };
	static const char *const names[] = { "unnamed", "port 0", "to", "family 99", "AF_UNSPEC" };
	odd.sin6_family = 99;
	none.sin6_family = AF_UNSPEC;
	for (int conn = 0; conn < 2; conn++) {
		int fd = socket(AF_INET6, SOCK_DGRAM, 0);
		if (conn)
			t_res("connect", connect(fd, (void *)&zero, sizeof(zero)));
		for (size_t i = 0; i < T_COUNT(to); i++) {
			socklen_t len = to[i] ? sizeof(at) : 0;
			t_out("%s", names[i]);
			t_res("too long", sendto(fd, big, sizeof(big), 0, to[i], len));
			t_res("oob", sendto(fd, big, 1, MSG_OOB, to[i], len));
			t_res("both", sendto(fd, big, sizeof(big), MSG_OOB, to[i], len));
			if (i != 2)
				t_res("good", sendto(fd, big, 1, 0, to[i], len));
			t_res("short address", sendto(fd, big, 1, 0, to[i], len / 2));
		}
		close(fd);
	}
}

T_MAIN(T_CASE(bind_twice_to_nobodys_address), T_CASE(send_checks))
