/* The env and its notes. */
// SPDX-License-Identifier: MIT
#include "tests/unit/udp/rig.h"
#include <arpa/inet.h>
#include <string.h>
#include "stack/base/pool.h"
#include "stack/udp/udp_table.h"

struct urig u;

static void deliver(struct udp_env *env, struct udp_sock *s, const struct udp_rx *rx)
{
	ck_assert_ptr_eq(env, &u.env);
	ck_assert_uint_lt(u.n_got, NOTES);
	u.got[u.n_got++] = s;
}

static void error(struct udp_env *env, struct udp_sock *s, const struct udp_error *e)
{
	u.got[u.n_got++] = s;
	u.error = *e;
}

static void group_changed(struct udp_env *env, const struct ipaddr *group, uint32_t ifindex)
{
	u.n_changed++;
}

static const struct udp_ops ops = { deliver, error, group_changed };

void urig_setup(void)
{
	memset(&u, 0, sizeof(u));
	u.env.ops = &ops;
	u.env.key = (struct siphash_key){ { 1, 2 } };
	ck_assert_int_eq(udp_env_init(&u.env), 0);
	for (int i = 0; i < SOCKS; i++)
		udp_sock_init(&u.s[i]);
}

void urig_teardown(void)
{
	for (int i = 0; i < SOCKS; i++)
		udp_unbind(&u.env, &u.s[i]);
	ck_assert_uint_eq(u.env.n_socks, 0);
	ck_assert_uint_eq(u.env.table->groups.live, 0);
	udp_env_fini(&u.env);
}

struct ipaddr ip(const char *addr)
{
	struct in_addr a4;
	struct ipaddr a = ipaddr_v4(0);

	if (!addr)
		return a;
	if (inet_pton(AF_INET, addr, &a4) == 1)
		return ipaddr_v4(load_be32(&a4));
	ck_assert_int_eq(inet_pton(AF_INET6, addr, a.b), 1);
	return a;
}

struct endpoint ep(const char *addr, uint16_t port)
{
	return (struct endpoint){ .addr = ip(addr), .port = port };
}

struct udp_sock *bound(int i, const char *addr, uint16_t port)
{
	u.s[i].local = ep(addr, port);
	udp_bind(&u.env, &u.s[i]);
	return &u.s[i];
}

struct udp_sock *bound6(int i, const char *addr, uint16_t port)
{
	u.s[i].v6 = true;
	return bound(i, addr, port);
}

void connected(struct udp_sock *s, const char *local, const char *peer, uint16_t port)
{
	struct endpoint l = ep(local, s->local.port), r = ep(peer, port);

	udp_connect(&u.env, s, &l, &r);
}

uint32_t dgram(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	struct udp_rx rx = { .from = ep(from, sport), .to = ep(to, dport), .p = (uint8_t *)"x",
			     .len = 1, .ifindex = 2 };

	rx.multicast = ipaddr_is_multicast(&rx.to.addr);
	rx.broadcast = ipaddr_is_v4(&rx.to.addr) && (ipaddr_get_v4(&rx.to.addr) & 0xff) == 0xff;
	u.n_got = 0;
	return udp_input(&u.env, &rx);
}
