/* What the files of ndp share. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/base/rng.h"
#include "stack/net/ndp.h"

struct ndp_addr {
	uint8_t origin;	 /* enum ndp_origin */
	struct netif_addr a;
	uint32_t attempt;	     /* how many others had been taken */
	uint64_t preferred_ns, valid_ns; /* until then; UINT64_MAX: for ever */
	uint64_t born_ns;	     /* temporary */
	uint64_t renew_ns;	     /* temporary: the next one is made then; UINT64_MAX: it has been */
	bool dad;		     /* being checked: */
	bool asked;		     /* ... the probe has been sent */
	uint64_t dad_ns;	     /* ... what comes next comes then */
	uint8_t nonce[ND_NONCE_LEN];
};
struct ndp_router {
	struct ipaddr addr; /* any: free */
	uint8_t rank;	    /* RFC 4191: 2 high, 1 medium, 0 low */
	uint64_t until_ns;
	uint64_t lost_ns;   /* it did not answer then; 0: as far as is known it does */
	uint64_t ask_ns;    /* and is asked again, UINT64_MAX: it need not */
	uint64_t asked_ns;  /* when it was last */
};
struct ndp_redirect {
	struct ipaddr dst, target; /* equal: dst is on the link */
	uint64_t until_ns;	   /* 0: free */
};
struct ndp_onlink {
	struct ipaddr prefix;
	uint8_t plen;
	uint64_t until_ns; /* 0: free */
};
struct ndp_if {
	struct netif *nif; /* NULL: unused */
	struct ndp_addr addr[NETIF_ADDRS];
	struct ndp_router router[NDP_ROUTERS];
	struct ndp_onlink onlink[NDP_PREFIXES];
	struct ndp_redirect redirect[NDP_REDIRECTS];
	uint16_t mtu6;
	uint8_t hops6;
	uint32_t reachable_ms, retrans_ms; /* 0: nothing said */
	uint64_t rs_ns;	  /* the next solicitation, UINT64_MAX: none */
	uint32_t rs_ms;	  /* the last interval, 0: none was sent */
};

struct ndp {
	struct ndp_conf conf;
	const struct ndp_ops *ops;
	void *arg;
	struct rng rng;
	bool dirty;
	uint64_t told_ns; /* ops->changed() was called */
	struct ndp_if ifc[NETIF_MAX];
};

void ndp_changed(struct ndp *d, uint64_t now_ns);
/* Lifetime in seconds from now on. */
uint64_t ndp_until(uint32_t s, uint64_t now_ns);
/* A new address; its check begins. NULL: no room, or it is there. */
struct ndp_addr *ndp_addr_new(struct ndp *d, struct ndp_if *f, enum ndp_origin origin,
			      const struct ipaddr *a, uint8_t plen, uint64_t now_ns);
void ndp_addr_end(struct ndp *d, struct ndp_if *f, struct ndp_addr *x, uint64_t now_ns);
/* A temporary address beside the stable one of a prefix (RFC 8981 3.3). */
void ndp_temporary_new(struct ndp *d, struct ndp_if *f, const struct ndp_addr *stable,
		       uint64_t now_ns);
/* ndp_ra.c */
void ndp_ra_input(struct ndp *d, struct ndp_if *f, const struct ipaddr *src, const struct nd_msg *m,
		  uint64_t now_ns);
/* ndp_router.c */
void ndp_router_advertised(struct ndp *d, struct ndp_if *f, const struct ipaddr *src,
			   const struct nd_msg *m, uint64_t now_ns);
/* An advertisement of a neighbour. */
void ndp_router_neighbour(struct ndp *d, struct ndp_if *f, const struct nd_msg *na, uint64_t now_ns);
void ndp_router_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns);
uint64_t ndp_router_next_ns(const struct ndp_if *f);
/* The best of all ports becomes the default. */
void ndp_router_route(const struct ndp *d, struct route_table *t);
/* ndp_redirect.c */
void ndp_redirect_input(struct ndp *d, struct ndp_if *f, const struct nd_msg *m, uint64_t now_ns);
void ndp_redirect_lost(struct ndp *d, struct ndp_if *f, const struct ipaddr *target, uint64_t now_ns);
void ndp_redirect_advance(struct ndp *d, struct ndp_if *f, uint64_t now_ns);
uint64_t ndp_redirect_next_ns(const struct ndp_if *f);
void ndp_redirect_routes(const struct ndp_if *f, struct route_table *t);
