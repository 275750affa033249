/* Extents: who may map them how, and that nobody can shrink one. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "stack/chan/region.h"

START_TEST(down_is_read_only_for_others)
{
	struct region r, m = { 0 };

	ck_assert_int_eq(region_create(&r, "test", 8192, REGION_DOWN), 0);
	strcpy(r.base, "engine");
	ck_assert_ptr_eq(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0), MAP_FAILED);
	ck_assert_int_eq(region_map(&m, r.fd, REGION_DOWN), 0);
	ck_assert_str_eq(m.base, "engine");
	ck_assert_int_lt(mprotect(m.base, 4096, PROT_READ | PROT_WRITE), 0);
	ck_assert_int_lt(write(r.fd, "x", 1), 0);
	region_unmap(&m);
	region_destroy(&r);
}
END_TEST

START_TEST(up_is_shared_and_sealed)
{
	struct region r, m = { 0 };

	ck_assert_int_eq(region_create(&r, "test", 1ull << 30, REGION_UP), 0);
	ck_assert_int_eq(region_map(&m, r.fd, REGION_UP), 0);
	ck_assert_uint_eq(m.size, 1ull << 30);
	((char *)m.base)[(1ull << 30) - 1] = 7;
	ck_assert_int_eq(((char *)r.base)[(1ull << 30) - 1], 7);
	ck_assert_int_lt(ftruncate(r.fd, 4096), 0);
	region_unmap(&m);
	region_destroy(&r);
}
END_TEST

START_TEST(what_is_no_extent_is_refused)
{
	struct region m = { .size = 1 };
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_lt(region_map(&m, p[0], REGION_DOWN), 0);
	ck_assert_int_lt(region_map(&m, -1, REGION_DOWN), 0);
	ck_assert_uint_eq(m.size, 1); /* untouched */
	close(p[0]);
	close(p[1]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("region");

	tcase_add_test(tc, down_is_read_only_for_others);
	tcase_add_test(tc, up_is_shared_and_sealed);
	tcase_add_test(tc, what_is_no_extent_is_refused);
	return unit_run("region", tc);
}
