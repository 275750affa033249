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

/* Pages that B takes. */
static long pages(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(c->rb.fd, &st), 0);
	return st.st_blocks * 512 / 4096;
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

START_TEST(what_is_closed_meanwhile_goes_too)
{
	long before = pages();

	open_all(MANY);
	for (uint32_t i = 0; i < MANY * 2 / 3; i++)
		close_one(i);
	ck_assert(sock_poll(&r->w[0].env));
	ck_assert_uint_gt(cw->shed, 0);
	for (uint32_t i = MANY * 2 / 3; i < MANY; i++)
		close_one(i);
	turns();
	ck_assert_uint_eq(cw->shed, 0);
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
	tcase_add_test(tc, what_is_closed_meanwhile_goes_too);
	tcase_add_test(tc, few_keep_their_pages);
	return unit_run("sock/shed", tc);
}
