/* The 4-tuple table, its two record pools and the memory of a struct tcp_env. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_table.h"
#include <errno.h>
#include <stdlib.h>
#include "stack/base/bug.h"
#include "stack/tcp/tcp_bbr.h"
#include "stack/tcp/tcp_core.h"

enum { MODELS_MAX = 1 << 16, BUCKETS_MIN = 1 << 10, BUCKETS_EACH = 4 };

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;
	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint32_t tcp_flow_hash(const struct tcp_env *env, const struct tcp_flow *flow)
{
	uint64_t k0 = env->key.k[0], k1 = env->key.k[1];
	uint64_t ports = (uint64_t)flow->local.port << 16 | flow->remote.port;
	uint64_t a = mix(flow->local.addr.q[0] ^ k0, flow->remote.addr.q[0] ^ k1);
	uint64_t b = mix(flow->local.addr.q[1] ^ k1, flow->remote.addr.q[1] ^ k0);
	uint64_t h = mix(a ^ k0 ^ ports, b ^ k1);

	return (uint32_t)(h ^ h >> 32);
}

static inline struct tcp_node **bucket_of(const struct tcp_table *t, uint32_t hash)
{
	uint32_t i = hash & t->mask, divided = hash & (2 * t->mask + 1);

	return &t->bucket[i < t->split ? divided : i];
}

static inline struct tcp_node *find(const struct tcp_env *env, const struct tcp_flow *flow, uint32_t hash)
{
	struct tcp_node *n = *bucket_of(env->table, hash);

	while (n && !(n->hash == hash && tcp_flow_eq(tcp_node_flow(n), flow)))
		n = n->next;
	return n;
}

struct tcp_node *tcp_table_find(const struct tcp_env *env, const struct tcp_flow *flow,
				uint32_t hash)
{
	return find(env, flow, hash);
}

struct tcp_node *tcp_table_lookup(const struct tcp_env *env, const struct tcp_flow *flow)
{
	return find(env, flow, tcp_flow_hash(env, flow));
}

uint32_t tcp_ahead(const struct tcp_env *env, const struct tcp_flow *flow)
{
	uint32_t hash = tcp_flow_hash(env, flow);

	__builtin_prefetch(bucket_of(env->table, hash));
	return hash;
}

struct tcp_conn *tcp_ahead_conn(const struct tcp_env *env, uint32_t hash)
{
	struct tcp_node *n = *bucket_of(env->table, hash);

	while (n && n->hash != hash)
		n = n->next;
	if (!n || n->kind != TCPN_CONN)
		return NULL;
	struct tcp_conn *c = container_of(n, struct tcp_conn, node);
	tcp_conn_ahead(c);
	return c;
}

static void chain_add(struct tcp_node **head, struct tcp_node *node)
{
	node->next = *head;
	node->pprev = head;
	if (*head)
		(*head)->pprev = &node->next;
	*head = node;
}

static void chain_del(struct tcp_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
	node->next = NULL;
	node->pprev = NULL;
}

/* One more bucket: the next one in turn is divided. */
static void grow(struct tcp_table *t)
{
	struct tcp_node *n = t->bucket[t->split], *next;

	for (t->split++; n; n = next) {
		struct tcp_node **head = bucket_of(t, n->hash);

		next = n->next;
		chain_del(n);
		chain_add(head, n);
	}
	if (t->split > t->mask) {
		t->mask = 2 * t->mask + 1;
		t->split = 0;
	}
}

void tcp_table_add(struct tcp_env *env, struct tcp_node *node)
{
	struct tcp_table *t = env->table;
	uint32_t want = min_u32(++t->n_nodes * BUCKETS_EACH, t->buckets_max);

	while (t->mask + 1 + t->split < want)
		grow(t);
	chain_add(bucket_of(t, node->hash), node);
}

void tcp_table_del(struct tcp_env *env, struct tcp_node *node)
{
	if (!node->pprev)
		return;
	env->table->n_nodes--;
	chain_del(node);
}

struct tcp_synq *tcp_table_get_synq(struct tcp_env *env)
{
	struct tcp_table *t = env->table;
	struct tcp_synq *q;

	if (t->synq_free) {
		q = container_of(t->synq_free, struct tcp_synq, node);
		t->synq_free = q->node.next;
	} else if (t->synq_used < env->max_synq) {
		q = &t->synq[t->synq_used++];
	} else {
		return NULL;
	}
	*q = (struct tcp_synq){ .node.kind = TCPN_SYN };
	wheel_timer_init(&q->timer, TCPT_SYN);
	env->n_synq++;
	return q;
}

void tcp_table_put_synq(struct tcp_env *env, struct tcp_synq *q)
{
	wheel_disarm(&env->wheel, &q->timer);
	tcp_table_del(env, &q->node);
	tcp_queue_add(q->listener, TCPQ_SYN, -1);
	tcp_queue_add(q->listener, TCPQ_YOUNG, -(q->retries == 0));
	q->listener = NULL;
	q->node.next = env->table->synq_free;
	env->table->synq_free = &q->node;
	env->n_synq--;
}

struct tcp_timewait *tcp_table_get_timewait(struct tcp_env *env)
{
	struct tcp_table *t = env->table;
	struct tcp_timewait *tw;

	if (t->timewait_free) {
		tw = container_of(t->timewait_free, struct tcp_timewait, node);
		t->timewait_free = tw->node.next;
	} else if (t->timewait_used < env->max_timewait) {
		tw = &t->timewait[t->timewait_used++];
	} else {
		return NULL;
	}
	*tw = (struct tcp_timewait){ .node.kind = TCPN_TIMEWAIT };
	wheel_timer_init(&tw->timer, TCPT_TIMEWAIT);
	list_push(&t->timewait_age, &tw->age);
	env->n_timewait++;
	return tw;
}

void tcp_table_put_timewait(struct tcp_env *env, struct tcp_timewait *tw)
{
	wheel_disarm(&env->wheel, &tw->timer);
	tcp_table_del(env, &tw->node);
	list_del(&tw->age);
	if (tw->kept)
		env->ops->record_gone(env, tw->kept);
	tw->node.next = env->table->timewait_free;
	env->table->timewait_free = &tw->node;
	env->n_timewait--;
}

static void table_free(struct tcp_table *t)
{
	tcp_run_pool_fini(&t->run_pool);
	tcp_fo_peers_free(t->fo_peers);
	free(t->models);
	free(t->timewait);
	free(t->synq);
	free(t->bucket);
	free(t);
}

int tcp_env_init(struct tcp_env *env, uint64_t now_ns)
{
	uint64_t most = (uint64_t)env->max_conns + env->max_synq + env->max_timewait;
	uint32_t buckets_max = pow2_ceil((uint32_t)min_u64(max_u64(most, 16), 1u << 26));
	struct tcp_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	/* calloc leaves the pages untouched until a record is used */
	t->bucket = calloc(buckets_max, sizeof(struct tcp_node *));
	t->synq = calloc(max_u32(env->max_synq, 1), sizeof(struct tcp_synq));
	t->timewait = calloc(max_u32(env->max_timewait, 1), sizeof(struct tcp_timewait));
	t->models_max = min_u32(max_u32(env->max_conns, 1), MODELS_MAX);
	t->models = calloc(t->models_max, sizeof(struct tcp_model));
	t->fo_peers = env->fo_peers ? NULL : tcp_fo_peers_new();
	if (tcp_run_pool_init(&t->run_pool) < 0 || !t->bucket || !t->synq || !t->timewait ||
	    !t->models || (!env->fo_peers && !t->fo_peers)) {
		table_free(t);
		return -ENOMEM;
	}
	t->buckets_max = buckets_max;
	t->mask = min_u32(buckets_max, BUCKETS_MIN) - 1;
	list_init(&t->timewait_age);
	for (uint32_t i = 0; i < TCP_LISTEN_BUCKETS; i++)
		list_init(&t->listen[i]);
	env->table = t;
	if (t->fo_peers)
		env->fo_peers = t->fo_peers;
	wheel_init(&env->wheel, now_ns);
	list_init(&env->touched);
	list_init(&env->pending);
	list_init(&env->delacks);
	list_init(&env->handshakes);
	env->challenge = (struct tcp_challenge){ 0 };
	env->n_conns = env->n_synq = env->n_timewait = 0;
	return 0;
}

void tcp_env_fini(struct tcp_env *env)
{
	struct tcp_table *t = env->table;

	CHECK(env->n_conns == 0);
	CHECK(t->n_listeners == 0);
	CHECK(env->n_synq == 0); /* they went with their listeners */
	CHECK(list_empty(&env->touched) && list_empty(&env->pending) && list_empty(&env->delacks) &&
	      list_empty(&env->handshakes));
	list_for_each_safe(it, tmp, &t->timewait_age)
		tcp_table_put_timewait(env, container_of(it, struct tcp_timewait, age));
	CHECK(env->n_timewait == 0);
	CHECK(env->wheel.armed == 0);
	CHECK(t->models_live == 0);
	if (t->fo_peers)
		env->fo_peers = NULL;
	table_free(t);
	env->table = NULL;
}
