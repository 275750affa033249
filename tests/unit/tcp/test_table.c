/* The 4-tuple table: find, remove, pools that run dry and refill. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_table.h"
#include "stack/tcp/tcp_core.h"
#include "tests/unit/unit.h"

enum { N = 500 };
static struct tcp_env env;
static struct rng rng;
static struct tcp_listener listener;

static void start(uint32_t conns, uint32_t synq, uint32_t timewait)
{
	rng_seed(&rng, 7);
	env = (struct tcp_env){
		.rng = &rng,
		.key = { { 1, 2 } },
		.max_conns = conns,
		.max_synq = synq,
		.max_timewait = timewait,
	};
	listener = (struct tcp_listener){ 0 };
	ck_assert_int_eq(tcp_env_init(&env, 1), 0);
}

static struct tcp_flow flow(uint32_t i)
{
	return (struct tcp_flow){
		.local = { .addr = ipaddr_v4(0x0a000001), .port = 80 },
		.remote = { .addr = ipaddr_v4(0x0a010000 + i / 100), .port = (uint16_t)(i % 100) },
	};
}

START_TEST(finds_what_was_added_and_nothing_else)
{
	static struct tcp_conn c[N];
	start(16, 1, 1); /* few buckets: long chains */
	for (uint32_t i = 0; i < N; i++) {
		c[i] = (struct tcp_conn){ .flow = flow(i) };
		c[i].node.hash = tcp_flow_hash(&env, &c[i].flow);
		tcp_table_add(&env, &c[i].node);
	}
	for (uint32_t i = 0; i < N; i += 2)
		tcp_table_del(&env, &c[i].node);
	tcp_table_del(&env, &c[0].node); /* twice does no harm */
	for (uint32_t i = 0; i < N; i++) {
		struct tcp_flow f = flow(i);
		struct tcp_node *want = i % 2 ? &c[i].node : NULL;
		ck_assert_ptr_eq(tcp_table_find(&env, &f, tcp_flow_hash(&env, &f)), want);
		tcp_table_del(&env, &c[i].node);
	}
	tcp_env_fini(&env);
}
END_TEST

/* What grows by one bucket at a time finds everything at each size, also what was added long before. */
START_TEST(grows_with_what_is_in_it)
{
	static struct tcp_conn c[40 * N];
	uint32_t n = ARRAY_LEN(c);
	start(n, 1, 1);
	uint32_t first = env.table->mask + 1;
	ck_assert_uint_lt(first, n / 4);
	for (uint32_t i = 0; i < n; i++) {
		c[i] = (struct tcp_conn){ .flow = flow(i) };
		c[i].node.hash = tcp_flow_hash(&env, &c[i].flow);
		tcp_table_add(&env, &c[i].node);
		for (uint32_t k = i % 97; k <= i; k += 97 * (i / 50 + 1)) {
			struct tcp_flow f = flow(k);
			ck_assert_ptr_eq(tcp_table_lookup(&env, &f), &c[k].node);
		}
		ck_assert_uint_eq(env.table->mask + 1 + env.table->split,
				  min_u32(max_u32(first, 4 * (i + 1)), env.table->buckets_max));
	}
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_flow f = flow(i);
		ck_assert_ptr_eq(tcp_table_lookup(&env, &f), &c[i].node);
		tcp_table_del(&env, &c[i].node);
		ck_assert_ptr_null(tcp_table_lookup(&env, &f));
	}
	ck_assert_uint_eq(env.table->n_nodes, 0);
	tcp_env_fini(&env);
}
END_TEST

START_TEST(never_has_more_buckets_than_it_may_have_nodes)
{
	static struct tcp_conn c[8 * N];
	start(N, 1, 1); /* more than that are added here all the same */
	for (uint32_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = (struct tcp_conn){ .flow = flow(i) };
		c[i].node.hash = tcp_flow_hash(&env, &c[i].flow);
		tcp_table_add(&env, &c[i].node);
		ck_assert_uint_le(env.table->mask + 1 + env.table->split, 512);
	}
	for (uint32_t i = 0; i < ARRAY_LEN(c); i++)
		tcp_table_del(&env, &c[i].node);
	tcp_env_fini(&env);
}
END_TEST

START_TEST(zones_are_part_of_the_key_but_not_of_the_hash) /* RFC 4007 6 */
{
	struct tcp_flow a = flow(1), b = flow(1), c = flow(1);
	start(16, 1, 1);
	b.local.scope = 3;
	c.remote.scope = 3;
	ck_assert(tcp_flow_eq(&a, &a));
	ck_assert(!tcp_flow_eq(&a, &b) && !tcp_flow_eq(&a, &c) && !tcp_flow_eq(&b, &c));
	ck_assert_uint_eq(tcp_flow_hash(&env, &a), tcp_flow_hash(&env, &b));
	ck_assert_uint_ne(tcp_isn(&env, &a, 0).v, tcp_isn(&env, &c, 0).v);
	tcp_env_fini(&env);
}
END_TEST

START_TEST(hash_depends_on_the_key_and_every_field)
{
	struct tcp_flow f = flow(1), g = f;
	start(16, 1, 1);
	uint32_t h = tcp_flow_hash(&env, &f);
	g.local.port++;
	ck_assert_uint_ne(tcp_flow_hash(&env, &g), h);
	g = f;
	g.remote.addr.b[15]++;
	ck_assert_uint_ne(tcp_flow_hash(&env, &g), h);
	g = f;
	g.local.addr.b[0]++;
	ck_assert_uint_ne(tcp_flow_hash(&env, &g), h);
	env.key.k[1]++;
	ck_assert_uint_ne(tcp_flow_hash(&env, &f), h);
	tcp_env_fini(&env);
}
END_TEST

START_TEST(hash_spreads_a_range_of_ports)
{
	uint32_t n[64] = { 0 };
	start(16, 1, 1);
	for (uint32_t i = 0; i < 6400; i++) {
		struct tcp_flow f = flow(i);
		n[tcp_flow_hash(&env, &f) % 64]++;
	}
	for (int i = 0; i < 64; i++) {
		ck_assert_uint_gt(n[i], 50);
		ck_assert_uint_lt(n[i], 170);
	}
	tcp_env_fini(&env);
}
END_TEST

START_TEST(record_pools_run_dry_and_refill)
{
	struct tcp_synq *q[4];
	struct tcp_timewait *tw[3];
	start(4, 4, 3);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++) {
			q[i] = tcp_table_get_synq(&env);
			ck_assert_ptr_nonnull(q[i]);
			q[i]->listener = &listener;
			listener.n_synq++;
		}
		ck_assert_ptr_null(tcp_table_get_synq(&env));
		for (int i = 0; i < 4; i++)
			tcp_table_put_synq(&env, q[i]);
		for (int i = 0; i < 3; i++)
			ck_assert_ptr_nonnull(tw[i] = tcp_table_get_timewait(&env));
		ck_assert_ptr_null(tcp_table_get_timewait(&env));
		for (int i = 0; i < 3; i++)
			tcp_table_put_timewait(&env, tw[i]);
	}
	ck_assert_uint_eq(listener.n_synq, 0);
	tcp_env_fini(&env);
}
END_TEST

START_TEST(no_records_at_all_is_possible)
{
	start(1, 0, 0);
	ck_assert_ptr_null(tcp_table_get_synq(&env));
	ck_assert_ptr_null(tcp_timewait_new(&env));
	tcp_env_fini(&env);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tcp_table");

	tcase_add_test(tc, finds_what_was_added_and_nothing_else);
	tcase_add_test(tc, grows_with_what_is_in_it);
	tcase_add_test(tc, never_has_more_buckets_than_it_may_have_nodes);
	tcase_add_test(tc, zones_are_part_of_the_key_but_not_of_the_hash);
	tcase_add_test(tc, hash_depends_on_the_key_and_every_field);
	tcase_add_test(tc, hash_spreads_a_range_of_ports);
	tcase_add_test(tc, record_pools_run_dry_and_refill);
	tcase_add_test(tc, no_records_at_all_is_possible);
	return unit_run("tcp/table", tc);
}
