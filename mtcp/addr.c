/* Addresses of mTCP's interface: see addr.h. */
// SPDX-License-Identifier: MIT
#include "mtcp/addr.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/app.h"

int addr_parse(struct endpoint *ep, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_in in;

	if (len < sizeof(in))
		return -EAFNOSUPPORT;
	memcpy(&in, addr, sizeof(in));
	if (in.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	*ep = (struct endpoint){
		.addr = ipaddr_v4(be32_get((be32){ in.sin_addr.s_addr })),
		.port = be16_get((be16){ in.sin_port }),
	};
	return 0;
}

void addr_give(struct sockaddr *addr, socklen_t *len, const struct endpoint *ep)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = be16_of(ep->port).raw };

	if (ipaddr_is_v4(&ep->addr))
		in.sin_addr.s_addr = be32_of(ipaddr_get_v4(&ep->addr)).raw;
	memcpy(addr, &in, min_u32(*len, sizeof(in)));
	*len = sizeof(in);
}

/* ---- routes ---- */
static bool covers(const struct chan_route *r, const struct ipaddr *addr)
{
	unsigned whole = r->plen / 8, rest = r->plen % 8;

	if (r->plen > 128 || memcmp(r->prefix.b, addr->b, whole))
		return false;
	return !rest || ((r->prefix.b[whole] ^ addr->b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* The kind of the longest match, 0: none. */
static uint32_t look_up(const struct chan_engine *e, const struct ipaddr *addr)
{
	uint32_t n = min_u32(e->n_routes, CHAN_MAX_ROUTES), kind = 0;
	int best = -1;

	for (uint32_t i = 0; i < n; i++) {
		struct chan_route r = e->route[i];

		if (r.plen <= best || !covers(&r, addr))
			continue;
		best = r.plen;
		kind = r.kind;
	}
	return kind;
}

/* The table may change under us: then once more, but not for ever, should its engine die over it. */
static uint32_t route_kind(const struct chan_app *app, const struct ipaddr *addr)
{
	const struct chan_engine *e = app->e;

	for (int tries = 0; tries < 1000; tries++) {
		uint32_t seq = atomic_load_explicit(&e->route_seq, memory_order_acquire);
		uint32_t kind;

		if (seq & 1)
			continue;
		kind = look_up(e, addr);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&e->route_seq, memory_order_relaxed) == seq)
			return kind;
	}
	return 0;
}

static bool has_loopback(const struct chan_app *app)
{
	return atomic_load_explicit(&app->e->flags, memory_order_relaxed) & CHAN_ENGINE_LOOPBACK;
}

bool addr_is_ours(const struct chan_app *app, const struct ipaddr *addr)
{
	if (ipaddr_is_any(addr))
		return true;
	if (ipaddr_is_loopback(addr))
		return has_loopback(app);
	return route_kind(app, addr) == CHAN_ROUTE_LOCAL;
}

bool addr_has_route(const struct chan_app *app, const struct ipaddr *addr)
{
	if (ipaddr_is_any(addr) || ipaddr_is_loopback(addr))
		return has_loopback(app);
	return !ipaddr_is_multicast(addr) && route_kind(app, addr) != 0;
}
