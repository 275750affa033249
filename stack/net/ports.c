/* Reservations hang in buckets by protocol and port. A reservation without references that still
 * lingers for TIME-WAIT stays in its bucket and is swept by whoever looks there after its time. */
// SPDX-License-Identifier: MIT
#include "stack/net/ports.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "stack/base/bug.h"
#include "stack/base/list.h"
#include "stack/base/pool.h"
#include "stack/base/rng.h"
#include "stack/base/util.h"

struct port_hold {
	struct list link;
	struct endpoint local;
	_Atomic uint32_t refs;
	_Atomic uint64_t linger_ns; /* held until then even without references */
	uint32_t flags, uid, owner;
	uint8_t proto;
	bool listening;
	bool connect_only; /* chosen by connect(): may be shared by other 4-tuples */
};

enum { BUCKETS = 4096, COUNTERS = 256 };

struct ports {
	pthread_spinlock_t lock;
	struct list bucket[2][BUCKETS];
	struct pool pool;
	struct siphash_key key;
	struct rng rng;
	uint32_t counter[COUNTERS]; /* RFC 6056 3.3.4 */
	struct ports_view *mine;	 /* NULL: nobody wants to know */
	const struct ports_view *theirs; /* NULL: there is no other engine */
};

struct ports *ports_new(uint32_t max, uint64_t seed)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_spin_init(&p->lock, PTHREAD_PROCESS_PRIVATE);
	for (int proto = 0; proto < 2; proto++) {
		for (int i = 0; i < BUCKETS; i++)
			list_init(&p->bucket[proto][i]);
	}
	pool_init(&p->pool, sizeof(struct port_hold), 256, max, &pool_mem_libc);
	rng_seed(&p->rng, seed);
	p->key = (struct siphash_key){ { rng_u64(&p->rng), rng_u64(&p->rng) } };
	for (int i = 0; i < COUNTERS; i++)
		p->counter[i] = (uint32_t)rng_u64(&p->rng);
	return p;
}

void ports_free(struct ports *p)
{
	if (!p)
		return;
	pool_fini(&p->pool);
	pthread_spin_destroy(&p->lock);
	free(p);
}

static void lock(struct ports *p) { pthread_spin_lock(&p->lock); }
static void unlock(struct ports *p) { pthread_spin_unlock(&p->lock); }

static struct list *bucket_of(struct ports *p, uint8_t proto, uint16_t port)
{
	return &p->bucket[proto][port % BUCKETS];
}

/* ---- two engines with the same addresses ---- */
enum {
	WORD_USED = 1 << 0,
	WORD_REUSEADDR = 1 << 1,
	WORD_REUSEPORT = 1 << 2,
	WORD_LISTENS = 1 << 3,
	WORD_CONNECT_ONLY = 1 << 4,
	WORD_SHARED = WORD_REUSEADDR | WORD_REUSEPORT | WORD_CONNECT_ONLY, /* what all must have */
	WORD_UID_SHIFT = 8,
	WORD_UID_MASK = 0xffffff,
	WORD_OWNER_SHIFT = 32,
};

static uint64_t word_of(const struct port_hold *h)
{
	uint64_t flags = WORD_USED | (h->flags & PORTS_REUSEADDR ? WORD_REUSEADDR : 0) |
			 (h->flags & PORTS_REUSEPORT ? WORD_REUSEPORT : 0) |
			 (h->listening ? WORD_LISTENS : 0) |
			 (h->connect_only ? WORD_CONNECT_ONLY : 0);

	return flags | (uint64_t)(h->uid & WORD_UID_MASK) << WORD_UID_SHIFT |
	       (uint64_t)h->owner << WORD_OWNER_SHIFT;
}

/* Two reservations of one port: what both allow; of different clients or users: of none. */
static uint64_t word_join(uint64_t a, uint64_t b)
{
	uint64_t w = (a & b & WORD_SHARED) | ((a | b) & (WORD_USED | WORD_LISTENS));
	uint64_t uid = a >> WORD_UID_SHIFT & WORD_UID_MASK;

	if (uid != (b >> WORD_UID_SHIFT & WORD_UID_MASK))
		w &= ~(uint64_t)WORD_REUSEPORT;
	w |= uid << WORD_UID_SHIFT;
	if (a >> WORD_OWNER_SHIFT == b >> WORD_OWNER_SHIFT)
		w |= a >> WORD_OWNER_SHIFT << WORD_OWNER_SHIFT;
	return w;
}

/* Something about the reservations of this port has changed. Under the lock. */
static void publish(struct ports *p, uint8_t proto, uint16_t port)
{
	uint64_t word = 0;

	if (!p->mine)
		return;
	list_for_each(it, bucket_of(p, proto, port)) {
		const struct port_hold *h = container_of(it, struct port_hold, link);

		if (h->local.port == port && h->proto == proto)
			word = word ? word_join(word, word_of(h)) : word_of(h);
	}
	atomic_store_explicit(&p->mine->word[proto][port], word, memory_order_release);
}

static uint64_t their_word(const struct ports *p, const struct ports_req *req, uint16_t port)
{
	return p->theirs ? atomic_load_explicit(&p->theirs->word[req->proto][port],
						memory_order_acquire) : 0;
}

/* May req not have the port because of the other engine? The rules of may_share(); a client has a right
 * to what it has there. */
static bool theirs_conflict(const struct ports *p, const struct ports_req *req, uint16_t port)
{
	uint64_t w = their_word(p, req, port);

	if (!w || (req->owner && w >> WORD_OWNER_SHIFT == req->owner))
		return false;
	if (w & WORD_REUSEPORT && req->flags & PORTS_REUSEPORT &&
	    (w >> WORD_UID_SHIFT & WORD_UID_MASK) == (req->uid & WORD_UID_MASK))
		return false;
	if (!(w & WORD_REUSEADDR && req->flags & PORTS_REUSEADDR))
		return true;
	return req->proto == PORTS_TCP && w & WORD_LISTENS;
}

static void hold_free(struct ports *p, struct port_hold *h)
{
	uint8_t proto = h->proto;
	uint16_t port = h->local.port;

	list_del(&h->link);
	pool_free(&p->pool, h);
	publish(p, proto, port);
}

static bool is_dead(const struct port_hold *h, uint64_t now_ns)
{
	return atomic_load(&h->refs) == 0 && atomic_load(&h->linger_ns) <= now_ns;
}

static void sweep(struct ports *p, struct list *b, uint64_t now_ns)
{
	list_for_each_safe(it, tmp, b) {
		struct port_hold *h = container_of(it, struct port_hold, link);

		if (is_dead(h, now_ns))
			hold_free(p, h);
	}
}

static void sweep_all(struct ports *p, uint64_t now_ns)
{
	for (int i = 0; i < 2 * BUCKETS; i++)
		sweep(p, &p->bucket[i / BUCKETS][i % BUCKETS], now_ns);
}

/* Could one packet match both? :: also stands for all IPv4 addresses, unless v6only. */
static bool addr_overlap(const struct endpoint *a, uint32_t a_flags, const struct endpoint *b,
			 uint32_t b_flags)
{
	bool a4 = ipaddr_is_v4(&a->addr), b4 = ipaddr_is_v4(&b->addr);
	bool a_any = ipaddr_is_any(&a->addr), b_any = ipaddr_is_any(&b->addr);

	if (a4 == b4)
		return a_any || b_any || endpoint_same_addr(a, b);
	if (!a4)
		return a_any && !(a_flags & PORTS_V6ONLY);
	return b_any && !(b_flags & PORTS_V6ONLY);
}

/* Linux's inet_csk_bind_conflict in words: sharing takes SO_REUSEPORT of both and the same user, or
 * SO_REUSEADDR of both, and with TCP then nobody who listens already. */
static bool may_share(const struct port_hold *h, uint32_t flags, uint32_t uid)
{
	if (h->flags & flags & PORTS_REUSEPORT && h->uid == uid)
		return true;
	if (!(h->flags & flags & PORTS_REUSEADDR))
		return false;
	return h->proto == PORTS_UDP || !h->listening;
}

static bool in_conflict(struct ports *p, const struct ports_req *req, uint16_t port,
			const struct port_hold *self)
{
	struct list *b = bucket_of(p, (uint8_t)req->proto, port);

	if (unlikely(p->theirs) && theirs_conflict(p, req, port))
		return true;
	list_for_each(it, b) {
		const struct port_hold *h = container_of(it, struct port_hold, link);

		if (h == self || h->local.port != port)
			continue;
		if (addr_overlap(&h->local, h->flags, &req->local, req->flags) &&
		    !may_share(h, req->flags, req->uid))
			return true;
	}
	return false;
}

/* Does any reservation overlap (any: of any kind, else: not made by connect())? */
static bool is_taken(struct ports *p, const struct ports_req *req, uint16_t port, bool any)
{
	struct list *b = bucket_of(p, (uint8_t)req->proto, port);
	uint64_t w = their_word(p, req, port);

	if (w && (any || !(w & WORD_CONNECT_ONLY)))
		return true;
	list_for_each(it, b) {
		const struct port_hold *h = container_of(it, struct port_hold, link);

		if (h->local.port == port && (any || !h->connect_only) &&
		    addr_overlap(&h->local, h->flags, &req->local, req->flags))
			return true;
	}
	return false;
}

static struct port_hold *hold_new(struct ports *p, const struct ports_req *req, uint16_t port,
				  uint64_t now_ns)
{
	struct list *b = bucket_of(p, (uint8_t)req->proto, port);
	struct port_hold *h;

	if (p->pool.live == p->pool.max)
		sweep_all(p, now_ns);
	h = pool_alloc(&p->pool);
	if (!h)
		return NULL;
	*h = (struct port_hold){ .local = req->local, .flags = req->flags, .uid = req->uid,
				 .owner = req->owner, .proto = (uint8_t)req->proto };
	h->local.port = port;
	atomic_init(&h->refs, 1);
	list_push(b, &h->link);
	publish(p, h->proto, port);
	return h;
}

/* The ports to choose from, as Linux cuts its range by IP_LOCAL_PORT_RANGE: a bound outside is
 * ignored. */
static uint32_t choice(const struct ports_req *req, uint32_t *first)
{
	uint32_t lo = PORTS_EPHEMERAL_MIN, hi = PORTS_EPHEMERAL_MAX;

	if (req->lo && req->lo <= hi)
		lo = max_u32(lo, req->lo);
	if (req->hi && req->hi >= lo)
		hi = min_u32(hi, req->hi);
	*first = lo;
	return hi - lo + 1;
}

/* The i-th of n ports to try, counted from the first of the range. As Linux: bind() takes every other one
 * first (parity 1), connect() those in between (0), so that a connect() to the port of somebody who has
 * just gone does not get that port itself, and its own SYN (RFC 9293 figure 8). */
static uint32_t nth(uint64_t start, uint32_t i, uint32_t n, uint32_t parity)
{
	uint32_t mine = parity ? n / 2 : n - n / 2;

	if (i >= mine) {
		i -= mine;
		mine = n - mine;
		parity ^= 1;
	}
	return 2 * (uint32_t)((start + i) % mine) + parity;
}

/* A port nobody holds; failing that, one that may be shared. 0: none. */
static uint16_t choose_for_bind(struct ports *p, const struct ports_req *req, uint64_t now_ns)
{
	/* A port of the client at the other engine is its by right only when it is asked for. */
	struct ports_req stranger = *req;
	uint32_t first, n = choice(req, &first), start = rng_below(&p->rng, n);

	stranger.owner = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < n; i++) {
			uint16_t port = (uint16_t)(first + nth(start, i, n, 1));

			if (req->modulus && port % req->modulus != req->remainder)
				continue;
			sweep(p, bucket_of(p, (uint8_t)req->proto, port), now_ns);
			if (pass == 0 ? !is_taken(p, req, port, true) :
					!in_conflict(p, &stranger, port, NULL))
				return port;
		}
	}
	return 0;
}

int ports_bind(struct ports *p, const struct ports_req *req, uint64_t now_ns,
	       struct port_hold **hold)
{
	uint16_t port = req->local.port;
	struct port_hold *h = NULL;
	int err = 0;

	lock(p);
	if (port == 0) {
		port = choose_for_bind(p, req, now_ns);
		err = port ? 0 : -EADDRINUSE;
	} else {
		sweep(p, bucket_of(p, (uint8_t)req->proto, port), now_ns);
		if (in_conflict(p, req, port, NULL))
			err = -EADDRINUSE;
	}
	if (err == 0) {
		h = hold_new(p, req, port, now_ns);
		err = h ? 0 : -ENOBUFS;
	}
	unlock(p);
	if (err == 0)
		*hold = h;
	return err;
}

int ports_listen(struct ports *p, struct port_hold *h, uint64_t now_ns)
{
	int err = 0;

	lock(p);
	struct ports_req req = { .proto = h->proto, .flags = h->flags, .uid = h->uid,
				 .owner = h->owner, .local = h->local };
	sweep(p, bucket_of(p, h->proto, h->local.port), now_ns);
	if (!h->listening && in_conflict(p, &req, h->local.port, h))
		err = -EADDRINUSE;
	else
		h->listening = true;
	publish(p, h->proto, h->local.port);
	unlock(p);
	return err;
}

void ports_unlisten(struct ports *p, struct port_hold *h)
{
	lock(p);
	h->listening = false;
	publish(p, h->proto, h->local.port);
	unlock(p);
}

struct flow_id {
	struct ipaddr local, remote;
	uint32_t rport, salt;
};
_Static_assert(sizeof(struct flow_id) == 40, "hashed as bytes");

int ports_connect(struct ports *p, const struct ports_req *req, const struct endpoint *remote,
		  bool (*usable)(void *arg, uint16_t port), void *arg, uint64_t now_ns,
		  struct port_hold **hold)
{
	struct flow_id id = { .local = endpoint_key(&req->local), .remote = endpoint_key(remote),
			      .rport = remote->port };
	uint32_t offset = (uint32_t)siphash(&p->key, &id, sizeof(id));
	uint32_t first, n = choice(req, &first);
	int err = -EADDRNOTAVAIL;

	id.salt = 1;
	uint32_t *counter = &p->counter[siphash(&p->key, &id, sizeof(id)) % COUNTERS];
	lock(p);
	/* Beside another engine: one that it does not use at all, if there is. It may have the same
	 * 4-tuple in TIME-WAIT, and would take for its own what is an answer to us. */
	for (uint32_t i = 0, tries = p->theirs ? 2 * n : n; i < tries; i++) {
		uint16_t port = (uint16_t)(first + nth((uint64_t)offset + *counter, i % n, n, 0));

		if (i + n < tries && their_word(p, req, port))
			continue;
		sweep(p, bucket_of(p, (uint8_t)req->proto, port), now_ns);
		if (is_taken(p, req, port, false) || !usable(arg, port))
			continue;
		struct port_hold *h = hold_new(p, req, port, now_ns);
		if (h) {
			h->connect_only = true;
			publish(p, h->proto, port);
			*counter += i + 1;
			*hold = h;
		}
		err = h ? 0 : -ENOBUFS;
		break;
	}
	unlock(p);
	return err;
}

void ports_set_flags(struct ports *p, struct port_hold *h, uint32_t flags)
{
	lock(p);
	h->flags = flags;
	publish(p, h->proto, h->local.port);
	unlock(p);
}

void ports_set_addr(struct ports *p, struct port_hold *h, const struct endpoint *local)
{
	lock(p);
	h->local.addr = local->addr;
	h->local.scope = local->scope;
	unlock(p);
}

void ports_get(struct port_hold *h)
{
	uint32_t before = atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);

	CHECK(before > 0);
}

void ports_put(struct ports *p, struct port_hold *h, uint64_t linger_until_ns)
{
	uint64_t until = atomic_load_explicit(&h->linger_ns, memory_order_relaxed);
	uint32_t refs = atomic_load_explicit(&h->refs, memory_order_relaxed);

	while (until < linger_until_ns &&
	       !atomic_compare_exchange_weak(&h->linger_ns, &until, linger_until_ns))
		;
	/* Not the last reference: no lock. */
	while (refs > 1) {
		if (atomic_compare_exchange_weak(&h->refs, &refs, refs - 1))
			return;
	}
	lock(p);
	uint32_t before = atomic_fetch_sub(&h->refs, 1);
	CHECK(before > 0);
	if (before == 1) {
		h->listening = false;
		if (atomic_load(&h->linger_ns) == 0)
			hold_free(p, h);
		else
			publish(p, h->proto, h->local.port);
	}
	unlock(p);
}

struct endpoint ports_local(const struct port_hold *h) { return h->local; }

void ports_sweep(struct ports *p, uint64_t now_ns)
{
	lock(p);
	sweep_all(p, now_ns);
	unlock(p);
}

void ports_share(struct ports *p, struct ports_view *mine, const struct ports_view *theirs,
		 uint64_t now_ns)
{
	lock(p);
	p->mine = mine;
	p->theirs = theirs;
	sweep_all(p, now_ns);
	for (int i = 0; mine && i < 2 * BUCKETS; i++) {
		list_for_each(it, &p->bucket[i / BUCKETS][i % BUCKETS]) {
			const struct port_hold *h = container_of(it, struct port_hold, link);

			publish(p, h->proto, h->local.port);
		}
	}
	unlock(p);
}

bool ports_view_used(const struct ports_view *v, enum ports_proto proto, uint16_t port)
{
	return atomic_load_explicit(&v->word[proto][port], memory_order_acquire) != 0;
}

bool ports_view_listens(const struct ports_view *v, uint16_t port)
{
	return atomic_load_explicit(&v->word[PORTS_TCP][port], memory_order_acquire) & WORD_LISTENS;
}

uint32_t ports_count(struct ports *p)
{
	lock(p);
	uint32_t n = p->pool.live;
	unlock(p);
	return n;
}
