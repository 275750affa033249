/* The pcap writer: bytes of the file, frames in pieces, files that cannot be written. */
// SPDX-License-Identifier: MIT
#include "stack/base/pcap.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static char path[] = "/tmp/fastnet-test-pcap-XXXXXX";

static void setup(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void) { unlink(path); }

static size_t file_bytes(uint32_t *words, size_t size)
{
	FILE *f = fopen(path, "rb");

	ck_assert_ptr_nonnull(f);
	size_t n = fread(words, 1, size, f);
	fclose(f);
	return n;
}

START_TEST(a_frame_has_its_nanoseconds_and_its_bytes)
{
	uint32_t w[64];
	struct pcap p;

	ck_assert_int_eq(pcap_open(&p, path), 0);
	ck_assert_int_eq(pcap_append(&p, 5000000007, "abcdefgh", 8), 0);
	pcap_close(&p);
	pcap_close(&p);
	ck_assert_uint_eq(file_bytes(w, sizeof(w)), 24 + 16 + 8);
	ck_assert_uint_eq(w[0], 0xa1b23c4d);
	ck_assert_uint_eq(w[1], 2 | 4 << 16);
	ck_assert_uint_eq(w[5], 1);
	ck_assert_uint_eq(w[6], 5);
	ck_assert_uint_eq(w[7], 7);
	ck_assert_uint_eq(w[8], 8);
	ck_assert_uint_eq(w[9], 8);
	ck_assert_mem_eq(&w[10], "abcdefgh", 8);
}
END_TEST

START_TEST(pieces_make_one_frame_and_too_many_are_refused)
{
	struct iovec iov[PCAP_IOV_MAX + 1];
	uint32_t w[64];
	struct pcap p;

	for (size_t i = 0; i < ARRAY_LEN(iov); i++)
		iov[i] = (struct iovec){ (char *)"0123456789abcdefg" + i, 1 };
	ck_assert_int_eq(pcap_open(&p, path), 0);
	ck_assert_int_eq(pcap_append_iov(&p, 0, iov, PCAP_IOV_MAX + 1), -EINVAL);
	ck_assert_int_eq(pcap_append_iov(&p, 0, iov, PCAP_IOV_MAX), 0);
	pcap_close(&p);
	ck_assert_uint_eq(file_bytes(w, sizeof(w)), 24 + 16 + 16);
	ck_assert_uint_eq(w[8], 16);
	ck_assert_mem_eq(&w[10], "0123456789abcdef", 16);
}
END_TEST

START_TEST(a_second_engine_goes_on_with_the_file)
{
	uint32_t w[64];
	struct pcap p, q;

	unlink(path);
	ck_assert_int_eq(pcap_open_more(&p, path), 0);
	ck_assert_int_eq(pcap_append(&p, 0, "one", 3), 0);
	ck_assert_int_eq(pcap_open_more(&q, path), 0);
	ck_assert_int_eq(pcap_append(&q, 0, "two", 3), 0);
	ck_assert_int_eq(pcap_append(&p, 0, "tri", 3), 0);
	pcap_close(&p);
	pcap_close(&q);
	ck_assert_uint_eq(file_bytes(w, sizeof(w)), 24 + 3 * (16 + 3));
	ck_assert_mem_eq((uint8_t *)w + 24 + 16 + 3 + 16, "two", 3);
}
END_TEST

START_TEST(a_frame_beyond_the_snap_length_is_cut_and_says_so)
{
	static uint8_t big[PCAP_SNAPLEN + 100];
	static uint32_t w[PCAP_SNAPLEN / 4 + 64];
	struct pcap p;

	ck_assert_int_eq(pcap_open(&p, path), 0);
	ck_assert_int_eq(pcap_append(&p, 0, big, sizeof(big)), 0);
	pcap_close(&p);
	ck_assert_uint_eq(file_bytes(w, sizeof(w)), 24 + 16 + PCAP_SNAPLEN);
	ck_assert_uint_eq(w[8], PCAP_SNAPLEN);
	ck_assert_uint_eq(w[9], PCAP_SNAPLEN + 100);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_an_error)
{
	struct pcap p = { .fd = 77 };

	ck_assert_int_eq(pcap_open(&p, "/nonexistent/dir/x.pcap"), -ENOENT);
	ck_assert_int_eq(p.fd, 77);
	ck_assert_int_eq(pcap_open(&p, "/dev/full"), -ENOSPC);
	ck_assert_int_eq(p.fd, 77);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pcap");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_frame_has_its_nanoseconds_and_its_bytes);
	tcase_add_test(tc, pieces_make_one_frame_and_too_many_are_refused);
	tcase_add_test(tc, a_second_engine_goes_on_with_the_file);
	tcase_add_test(tc, a_frame_beyond_the_snap_length_is_cut_and_says_so);
	tcase_add_test(tc, a_file_that_cannot_be_written_is_an_error);
	return unit_run("base/pcap", tc);
}
