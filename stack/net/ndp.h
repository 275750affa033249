/* The IPv6 addresses, routers and prefixes of the ports: duplicate address detection (RFC 4862 5.4,
 * RFC 7527), router discovery (RFC 4861 6.3, RFC 7559) and what follows from it (RFC 4862 5.5, RFC
 * 7217, RFC 8981). One for the engine, on data thread 0. It never touches what the threads share:
 * when something has changed it says so, and ndp_apply() carries it over while they all stand
 * still. Pure: time and chance are given, packets leave by ops. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "stack/net/netif.h"
#include "stack/net/route.h"
#include "stack/net/stable_addr.h"
#include "stack/wire/nd.h"

enum {
	NDP_RETRANS_MS = 1000,	     /* RFC 4861 10: RetransTimer */
	NDP_RS_DELAY_MS = 1000,	     /* ... MAX_RTR_SOLICITATION_DELAY */
	NDP_RS_MS = 4000,	     /* ... RTR_SOLICITATION_INTERVAL: the first of RFC 7559 */
	NDP_RS_MAX_MS = 3600000,     /* RFC 7559 2: MRT */
	NDP_TWO_HOURS_S = 7200,	     /* RFC 4862 5.5.3 (e) */
	NDP_TEMP_VALID_S = 172800,   /* RFC 8981 3.8 */
	NDP_TEMP_PREFERRED_S = 86400,
	NDP_TEMP_ADVANCE_S = 5,	     /* REGEN_ADVANCE */
	NDP_ROUTERS = 8, NDP_PREFIXES = 8, NDP_REDIRECTS = 16, /* of a port */
	NDP_ROUTER_ASK_S = 60,	     /* RFC 4191 3.2: one that does not answer */
	NDP_REDIRECT_S = 600,	     /* a redirect is believed so long */
	NDP_TIMER_MIN_MS = 100,	     /* what a router may make of the timers of discovery (as Linux), */
	NDP_REACHABLE_MAX_MS = 3600000, /* ... RFC 4861 6.2.1 */
	NDP_RETRANS_MAX_MS = 60000,
};

enum ndp_origin { NDP_FREE, NDP_STATIC, NDP_LINKLOCAL, NDP_AUTO, NDP_TEMPORARY };

struct ndp_conf {
	bool autoconf;	/* routers are asked and heard */
	bool temporary;
	bool redirects; /* are obeyed */
	struct siphash_key secret;
};
struct ndp_ops {
	/* nd_probe(), nd_announce(), nd_ask_routers(). */
	void (*probe)(void *arg, struct netif *nif, const struct ipaddr *target,
		      const uint8_t nonce[ND_NONCE_LEN]);
	void (*announce)(void *arg, struct netif *nif, const struct netif_addr *a);
	void (*ask_routers)(void *arg, struct netif *nif);
	/* nd_solicit() by multicast: is it there? */
	void (*ask)(void *arg, struct netif *nif, const struct ipaddr *target);
	/* There is something for ndp_apply(). Called again every second until that is done. */
	void (*changed)(void *arg);
	/* The group of an address begins or ends to be heard (RFC 4861 7.2.1). */
	void (*group)(void *arg, struct netif *nif, const struct ipaddr *group, bool on);
};

struct ndp;
/* NULL: no memory. */
struct ndp *ndp_new(const struct ndp_conf *conf, const struct ndp_ops *ops, void *arg, uint64_t seed,
		    uint64_t now_ns);
void ndp_free(struct ndp *d);
/* The addresses that nif has are checked, and routers asked for. */
void ndp_add_netif(struct ndp *d, struct netif *nif, uint64_t now_ns);
/* A message that nd_input() found good, from src. */
void ndp_input(struct ndp *d, struct netif *nif, const struct ipaddr *src, const struct nd_msg *m,
	       uint64_t now_ns);
/* The neighbour addr of nif does not answer (RFC 4861 7.3.3): what went there needs another way. */
void ndp_lost(struct ndp *d, struct netif *nif, const struct ipaddr *addr, uint64_t now_ns);
void ndp_advance(struct ndp *d, uint64_t now_ns);
uint64_t ndp_next_ns(const struct ndp *d);
/* The data threads stand still: the addresses of the ports are what they ought to be from now on. */
void ndp_apply(struct ndp *d);
/* And what routers have said, into a table that has the rest already. */
void ndp_add_routes(const struct ndp *d, struct route_table *t);

/* What is known, for `fastnet ip` and tests (ndp_rows.c); on data thread 0. Times in seconds from now on,
 * ND_FOREVER: without end. */
enum { NDP_ADDR_ROWS = NETIF_MAX * NETIF_ADDRS, NDP_ROUTER_ROWS = NETIF_MAX * NDP_ROUTERS };
struct ndp_addr_row {
	struct ipaddr addr;
	uint8_t plen, flags; /* enum netif_addr_flags */
	uint8_t origin;	     /* enum ndp_origin */
	uint16_t nif;
	uint32_t preferred_s, valid_s;
};
struct ndp_router_row {
	struct ipaddr addr;
	uint16_t nif;
	int preference; /* RFC 4191: 1 high, 0 medium, -1 low */
	uint32_t lifetime_s;
	bool is_lost; /* it did not answer when it was asked last */
};
/* How many: at most NDP_ADDR_ROWS, NDP_ROUTER_ROWS. */
uint32_t ndp_addr_rows(const struct ndp *d, struct ndp_addr_row *rows, uint64_t now_ns);
uint32_t ndp_router_rows(const struct ndp *d, struct ndp_router_row *rows, uint64_t now_ns);
