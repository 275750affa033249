/* Memory that programs read and the engine gives back in pieces: what whoever has the descriptor can't
 * do to it. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "stack/sock/client_down.h"
#include "tests/unit/unit.h"

enum { SIZE = 1 << 20, PAGE = 4096 };
static struct region r, m;
static char path[64]; /* by which the descriptor's file can be opened anew */

static bool setup(void)
{
	if (client_down_create(&r, SIZE) < 0)
		return false; /* no right to mount: the sealed kind is used, test_region.c */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r.fd);
	ck_assert_int_eq(region_map(&m, r.fd, REGION_DOWN), 0);
	ck_assert_uint_eq(m.size, SIZE);
	return true;
}

static void teardown(void)
{
	region_unmap(&m);
	region_destroy(&r);
}

static long bytes(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(r.fd, &st), 0);
	ck_assert_uint_eq(st.st_size, SIZE);
	ck_assert_uint_eq(st.st_nlink, 0);
	return st.st_blocks * 512;
}

START_TEST(nobody_writes_by_the_descriptor)
{
	if (!setup())
		return;
	strcpy(r.base, "engine");
	ck_assert_str_eq(m.base, "engine");
	ck_assert_ptr_eq(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0), MAP_FAILED);
	ck_assert_int_lt(mprotect(m.base, PAGE, PROT_READ | PROT_WRITE), 0);
	ck_assert_int_lt(write(r.fd, "x", 1), 0);
	ck_assert_int_lt(ftruncate(r.fd, 0), 0);
	ck_assert_int_lt(fallocate(r.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	ck_assert_int_lt(madvise(m.base, PAGE, MADV_REMOVE), 0);
	ck_assert_int_lt(fcntl(r.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_int_eq(bytes(), PAGE);
	ck_assert_str_eq(m.base, "engine");
	teardown();
}
END_TEST

START_TEST(nobody_opens_it_anew_for_writing)
{
	static const int how[] = { O_RDWR, O_WRONLY, O_RDWR | O_TRUNC, O_RDONLY | O_TRUNC };

	if (!setup())
		return;
	strcpy(r.base, "engine");
	for (unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		ck_assert_int_lt(open(path, how[i]), 0);
		ck_assert_int_eq(errno, EROFS);
	}
	ck_assert_int_lt(truncate(path, 0), 0);
	ck_assert_int_lt(chmod(path, 0666), 0);
	ck_assert_int_lt(fchmod(r.fd, 0666), 0);
	ck_assert_int_lt(fchown(r.fd, getuid(), getgid()), 0);
	ck_assert_int_lt(fsetxattr(r.fd, "user.x", "", 0, 0), 0);
	ck_assert_int_eq(bytes(), PAGE);
	ck_assert_str_eq(m.base, "engine");
	teardown();
}
END_TEST

/* No descriptor to write by is left, not even in the engine. */
START_TEST(only_the_mapping_writes)
{
	struct stat ours, st;

	if (!setup())
		return;
	ck_assert_int_eq(fstat(r.fd, &ours), 0);
	for (int fd = 0; fd < 256; fd++) {
		if (fstat(fd, &st) == 0 && st.st_dev == ours.st_dev && st.st_ino == ours.st_ino)
			ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	}
	teardown();
}
END_TEST

START_TEST(pages_go_back_and_come_anew)
{
	if (!setup())
		return;
	ck_assert(r.can_drop);
	memset(r.base, 1, 8 * PAGE);
	ck_assert_int_eq(bytes(), 8 * PAGE);
	ck_assert_int_eq(region_drop(&r, 2 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(bytes(), 4 * PAGE);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(((char *)m.base)[i * PAGE], i < 2 || i >= 6);
	((char *)r.base)[3 * PAGE] = 7;
	ck_assert_int_eq(((char *)m.base)[3 * PAGE], 7);
	teardown();
}
END_TEST

/* A limit would be a SIGBUS in the engine. */
START_TEST(the_memory_has_no_limit_of_its_own)
{
	struct statvfs v;

	if (!setup())
		return;
	ck_assert_int_eq(fstatvfs(r.fd, &v), 0);
	ck_assert_uint_eq(v.f_blocks, 0);
	ck_assert_uint_eq(v.f_files, 0);
	teardown();
}
END_TEST

START_TEST(many_are_apart)
{
	struct region more[64];

	if (!setup())
		return;
	teardown();
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(client_down_create(&more[i], 1ull << 30), 0);
		*(int *)more[i].base = i;
	}
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(*(int *)more[i].base, i);
		region_destroy(&more[i]);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("down");

	tcase_add_test(tc, nobody_writes_by_the_descriptor);
	tcase_add_test(tc, nobody_opens_it_anew_for_writing);
	tcase_add_test(tc, only_the_mapping_writes);
	tcase_add_test(tc, pages_go_back_and_come_anew);
	tcase_add_test(tc, the_memory_has_no_limit_of_its_own);
	tcase_add_test(tc, many_are_apart);
	return unit_run("sock/down", tc);
}
