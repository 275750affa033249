/* Memory that goes back when many sockets have become few, and what stays as it is then. */
// SPDX-License-Identifier: MIT
#include "tests/unit/sock/rig.h"
#include <sys/stat.h>
#include "stack/base/util.h"
#include "stack/sock/sock_int.h"
#include "tests/unit/unit.h"

enum { MANY = 9000, EACH = 100, FEW = 900, PER_PAGE = 4096 / sizeof(struct chan_sock_b) };
static struct rig *r;
static struct client *c;
static struct chan_app app;
static struct client_worker *cw;
static struct sock *socks[MANY];

static long pages_of(const struct region *x)
{
	struct stat st;

	ck_assert_int_eq(fstat(x->fd, &st), 0);
	return st.st_blocks * 512 / 4096;
}

/* Pages that B takes. */
static long pages(void) { return pages_of(&c->rb); }
static const struct region *payload(enum region_kind kind)
{
	return &c->ext[cw->payload[kind].ext[0].number].r;
}

static void open_all(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (socks[i])
			continue;
		socks[i] = sock_new(cw);
		ck_assert_ptr_nonnull(socks[i]);
		atomic_store(&app.sock_b[socks[i]->id].rx_head, socks[i]->id + 1);
	}
}

/* One more, with a ring of so many pages each way, all of them used. */
static struct sock *open_with_rings(uint32_t n)
{
	struct sock *s = sock_new(cw);

	ck_assert_ptr_nonnull(s);
	for (int kind = REGION_DOWN; kind <= REGION_UP; kind++) {
		struct sock_ring *ring = kind == REGION_DOWN ? &s->rx : &s->tx;

		ck_assert_int_eq(sock_ring_open(s, (enum region_kind)kind, 0, n * 4096), 0);
		for (uint32_t i = 0; i < n; i++)
			memcpy(ring_last(ring)->base + (size_t)i * 4096, &s->id, sizeof(s->id));
	}
	return s;
}

static void check_rings(struct sock *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_mem_eq(ring_last(&s->rx)->base + (size_t)i * 4096, &s->id, sizeof(s->id));
		ck_assert_mem_eq(ring_last(&s->tx)->base + (size_t)i * 4096, &s->id, sizeof(s->id));
	}
}

static void close_one(uint32_t i)
{
	sock_free(socks[i]);
	socks[i] = NULL;
}

/* Turns of the data thread, until it has nothing to do. */
static uint32_t turns(void)
{
	uint32_t n = 0;

	while (sock_poll(&r->w[0].env))
		ck_assert_uint_lt(n++, 1000);
	return n;
}

static void setup(void)
{
	r = rig_new(1);
	c = rig_client(r, &app, &(struct client_conf){ 0 });
	cw = c->cw[0];
	struct end known = rig_udp(&app, RIG_ADDR, 0, 0); /* the data thread knows the client */
	rig_close(known);
	rig_stop(r);
	turns();
}

static void teardown(void)
{
	rig_go(r);
	rig_client_end(r, c, &app);
	rig_free(r);
}

START_TEST(pages_without_a_socket_go_back)
{
	long before = pages(), full;

	for (int round = 0; round < 3; round++) {
		open_all(MANY);
		turns();
		full = pages();
		ck_assert_int_ge(full, before + MANY / PER_PAGE);
		for (uint32_t i = 0; i < MANY; i++) {
			if (i % EACH)
				close_one(i);
		}
		ck_assert_uint_ge(turns(), MANY / SOCK_BLOCK);
		/* A page for each that is open; what was closed in the last turns may stay. */
		ck_assert_int_le(pages(), before + MANY / EACH + 1024 / PER_PAGE + 8);
		for (uint32_t i = 0; i < MANY; i += EACH)
			ck_assert_uint_eq(atomic_load(&app.sock_b[socks[i]->id].rx_head), socks[i]->id + 1);
		for (uint32_t i = 0; i < MANY; i += EACH)
			close_one(i);
	}
}
END_TEST

/* The engine's halves as well, where the file allows it; no number is anybody's twice. */
START_TEST(the_engine_s_halves_go_back)
{
	static uint32_t gen[CHAN_MAX_SOCKS], evseq[CHAN_MAX_SOCKS];
	long before = pages_of(&c->ra);

	for (int round = 0; round < 3; round++) {
		open_all(MANY);
		for (uint32_t i = 0; i < MANY; i++) {
			uint32_t id = socks[i]->id;

			ck_assert(!gen[id] || app.sock_a[id].gen != gen[id]);
			ck_assert(!gen[id] || app.sock_a[id].evseq != evseq[id]);
			ck_assert_uint_eq(app.sock_a[id].gen, socks[i]->gen);
			gen[id] = socks[i]->gen;
			evseq[id] = app.sock_a[id].evseq;
		}
		for (uint32_t i = 0; i < MANY; i++)
			close_one(i);
		turns();
		if (c->ra.can_drop)
			ck_assert_int_le(pages_of(&c->ra), before + 16);
	}
}
END_TEST

static long payload_pages(void)
{
	bool can = payload(REGION_DOWN)->can_drop; /* else only a privileged test can tell */

	return pages_of(payload(REGION_UP)) + (can ? pages_of(payload(REGION_DOWN)) : 0);
}

START_TEST(payload_without_a_ring_goes_back)
{
	const uint32_t kinds = payload(REGION_DOWN)->can_drop ? 2 : 1;
	long before = payload_pages();

	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			socks[i] = open_with_rings(i % 3 ? 1 : 4);
		ck_assert_int_ge(payload_pages(), before + 2 * MANY * kinds);
		for (uint32_t i = 0; i < MANY; i++) {
			if (i % EACH)
				close_one(i);
		}
		turns();
		ck_assert_int_le(payload_pages(), before + (MANY / EACH * 4 + 2048) * kinds);
		for (uint32_t i = 0; i < MANY; i += EACH) {
			check_rings(socks[i], i % 3 ? 1 : 4);
			close_one(i);
		}
	}
}
END_TEST

/* A few large rings are memory, too. */
START_TEST(large_rings_go_back)
{
	long before = payload_pages();

	for (uint32_t i = 0; i < 8; i++)
		socks[i] = open_with_rings(1024);
	ck_assert(!sock_has_work(&r->w[0].env));
	for (uint32_t i = 0; i < 8; i++)
		close_one(i);
	ck_assert(sock_has_work(&r->w[0].env)); /* the data thread does not fall asleep over it */
	turns();
	ck_assert(!sock_has_work(&r->w[0].env));
	ck_assert_int_eq(payload_pages(), before);
}
END_TEST

START_TEST(rings_freed_and_made_meanwhile)
{
	long before = payload_pages();
	struct sock *late[32];

	for (uint32_t i = 0; i < MANY; i++)
		socks[i] = open_with_rings(1);
	for (uint32_t i = 0; i < MANY * 2 / 3; i++)
		close_one(i);
	for (uint32_t i = 0; i < ARRAY_LEN(late); i++) {
		ck_assert(sock_poll(&r->w[0].env));
		ck_assert(cw->shed);
		late[i] = open_with_rings(i % 5 ? 1 : 16);
		close_one(MANY - 1 - i);
	}
	for (uint32_t i = MANY * 2 / 3; i < MANY - ARRAY_LEN(late); i++)
		close_one(i);
	turns();
	ck_assert(!cw->shed);
	for (uint32_t i = 0; i < ARRAY_LEN(late); i++) {
		check_rings(late[i], i % 5 ? 1 : 16);
		sock_free(late[i]);
	}
	ck_assert_int_le(payload_pages(), before + 2 * 2048);
}
END_TEST

START_TEST(what_is_closed_meanwhile_goes_too)
{
	long before = pages();

	open_all(MANY);
	for (uint32_t i = 0; i < MANY * 2 / 3; i++)
		close_one(i);
	ck_assert(sock_poll(&r->w[0].env));
	ck_assert(cw->shed);
	for (uint32_t i = MANY * 2 / 3; i < MANY; i++)
		close_one(i);
	turns();
	ck_assert(!cw->shed);
	ck_assert_int_le(pages(), before + 8);
}
END_TEST

START_TEST(few_keep_their_pages)
{
	open_all(FEW);
	long full = pages();

	for (int round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < FEW; i++)
			close_one(i);
		ck_assert_uint_eq(turns(), 0);
		ck_assert_int_eq(pages(), full);
		open_all(FEW);
	}
	for (uint32_t i = 0; i < FEW; i++)
		close_one(i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("shed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, pages_without_a_socket_go_back);
	tcase_add_test(tc, the_engine_s_halves_go_back);
	tcase_add_test(tc, payload_without_a_ring_goes_back);
	tcase_add_test(tc, large_rings_go_back);
	tcase_add_test(tc, rings_freed_and_made_meanwhile);
	tcase_add_test(tc, what_is_closed_meanwhile_goes_too);
	tcase_add_test(tc, few_keep_their_pages);
	return unit_run("sock/shed", tc);
}
