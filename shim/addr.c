/* struct sockaddr <-> struct endpoint. */
// SPDX-License-Identifier: MIT
#include "shim/addr.h"
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/user.h"

bool addr_is_v6(const struct ipaddr *a)
{
	return !ipaddr_is_v4(a) && !ipaddr_is_any(a);
}

bool addr_is_unspec(const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage ss;

	/* All of it: a bad address is none, whatever it begins with. */
	return len >= sizeof(ss.ss_family) && len <= sizeof(ss) && user_get(&ss, addr, len) == 0 &&
	       ss.ss_family == AF_UNSPEC;
}

static int parse_v4(struct endpoint *ep, const struct sockaddr_in *in, socklen_t len)
{
	if (len < sizeof(*in))
		return -EINVAL;
	*ep = (struct endpoint){
		.addr = ipaddr_v4(be32_get((be32){ in->sin_addr.s_addr })),
		.port = be16_get((be16){ in->sin_port }),
	};
	return 0;
}

static int parse_v6(struct endpoint *ep, const struct sockaddr_in6 *in, socklen_t len)
{
	if (len < offsetof(struct sockaddr_in6, sin6_scope_id)) /* RFC 2133 form, 24 bytes */
		return -EINVAL;
	*ep = (struct endpoint){ .port = be16_get((be16){ in->sin6_port }) };
	memcpy(ep->addr.b, in->sin6_addr.s6_addr, 16);
	if (len >= sizeof(*in) && ipaddr_has_zone(&ep->addr)) /* of the others Linux ignores it */
		ep->scope = in->sin6_scope_id;
	return 0;
}

int addr_parse(struct endpoint *ep, uint16_t family, const struct sockaddr *addr, socklen_t len,
	       enum addr_use use)
{
	struct sockaddr_storage ss;
	const struct sockaddr *user = addr;
	bool v6_len = len >= offsetof(struct sockaddr_in6, sin6_scope_id);

	if (len > sizeof(ss))
		return -EINVAL;
	if (user_get(&ss, user, len) < 0)
		return -EFAULT;
	if (len < sizeof(addr->sa_family))
		return -EINVAL;
	addr = (struct sockaddr *)&ss;
	if (family == AF_INET) {
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		/* Linux lets bind() pass AF_UNSPEC with INADDR_ANY: old programs forget the family. */
		if (addr->sa_family != AF_INET &&
		    (use != ADDR_BIND || addr->sa_family != AF_UNSPEC ||
		     ((const struct sockaddr_in *)addr)->sin_addr.s_addr != 0))
			return -EAFNOSUPPORT;
		return parse_v4(ep, (const struct sockaddr_in *)addr, len);
	}
	if (!v6_len)
		return -EINVAL;
	if (addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	return parse_v6(ep, (const struct sockaddr_in6 *)addr, len);
}

socklen_t addr_emit(struct sockaddr_storage *ss, uint16_t family, const struct endpoint *ep)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (family == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = be16_of(ep->port).raw;
		if (ipaddr_is_v4(&ep->addr))
			in->sin_addr.s_addr = be32_of(ipaddr_get_v4(&ep->addr)).raw;
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = be16_of(ep->port).raw;
	in6->sin6_scope_id = ep->scope;
	memcpy(in6->sin6_addr.s6_addr, ep->addr.b, 16);
	return sizeof(*in6);
}

uint32_t addr_flowinfo(const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_in6 in6;
	const size_t need = offsetof(struct sockaddr_in6, sin6_scope_id);

	if (len < need || user_get(&in6, addr, need) < 0 || in6.sin6_family != AF_INET6)
		return 0;
	return be32_get((be32){ in6.sin6_flowinfo }) & ADDR_FLOWINFO;
}

int addr_give(struct sockaddr *addr, socklen_t *len, uint16_t family, const struct endpoint *ep)
{
	return addr_give_flow(addr, len, family, ep, 0);
}

int addr_give_flow(struct sockaddr *addr, socklen_t *len, uint16_t family, const struct endpoint *ep,
		   uint32_t flowinfo)
{
	struct sockaddr_storage ss;
	socklen_t full, room;

	if (user_get(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	full = addr_emit(&ss, family, ep);
	if (family == AF_INET6)
		((struct sockaddr_in6 *)&ss)->sin6_flowinfo = be32_of(flowinfo).raw;
	/* The length first: it is right even where the address can't be written. */
	if (user_put(len, &full, sizeof(full)) < 0)
		return -EFAULT;
	return user_put(addr, &ss, min_u32(full, room));
}
