/* Wrappers: fault descriptions, faults that repeat with their seed, the capture file. */
// SPDX-License-Identifier: MIT
#include "tests/unit/net/rig.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "stack/net/netif_wrap.h"

static const struct {
	const char *spec;
	int result;
} specs[] = {
	{ "drop=1%", 0 },
	{ "drop=0.01%,dup=100%,reorder=0%,corrupt=2.5%,seed=42,dir=rx", 0 },
	{ "dir=both", 0 },
	{ "", -EINVAL },
	{ "drop", -EINVAL },
	{ "drop=1", -EINVAL },
	{ "drop=101%", -EINVAL },
	{ "drop=-1%", -EINVAL },
	{ "drop=nan%", -EINVAL },
	{ "drop=1%x", -EINVAL },
	{ "seed=x", -EINVAL },
	{ "dir=up", -EINVAL },
	{ "burn=1%", -EINVAL },
};

START_TEST(fault_descriptions)
{
	struct netif_fault f;

	ck_assert_msg(netif_fault_parse(specs[_i].spec, &f) == specs[_i].result, "%s",
		      specs[_i].spec);
}
END_TEST

START_TEST(fault_description_is_read_right)
{
	struct netif_fault f;

	ck_assert_int_eq(netif_fault_parse(specs[1].spec, &f), 0);
	ck_assert_uint_eq(f.drop_ppm, 100);
	ck_assert_uint_eq(f.dup_ppm, 1000000);
	ck_assert_uint_eq(f.corrupt_ppm, 25000);
	ck_assert_uint_eq(f.seed, 42);
	ck_assert(f.rx && !f.tx);
}
END_TEST

/* Frame i: an IPv4 packet whose first data bytes are i. */
static struct rte_mbuf *frame(uint32_t i)
{
	uint8_t b[100] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0 };

	rig_udp(b + 14, RIG_PEER, RIG_US, &i, sizeof(i));
	return rig_mbuf(b, 60);
}

static uint32_t number(const uint8_t *b)
{
	uint32_t i;

	memcpy(&i, b + 14 + 28, sizeof(i));
	return i;
}

/* Receives n frames through f in bursts; returns how many came, their numbers in seen. */
static uint32_t receive(const struct netif_fault *f, uint32_t n, uint32_t *seen)
{
	struct netif *w;
	struct rte_mbuf *m[32];
	uint32_t total = 0, k, silent = 0;

	rig.rx_at = rig.n_rx = 0;
	for (uint32_t i = 0; i < n; i++)
		rig.rx[rig.n_rx++] = frame(i);
	ck_assert_int_eq(netif_wrap_fault(&rig.nif, f, rig_pool, &w), 0);
	while (silent < 2) {
		k = w->ops->rx_burst(w, 0, m, 32);
		silent = k ? 0 : silent + 1;
		for (uint32_t i = 0; i < k; i++) {
			seen[total++] = number(pkt_data(m[i]));
			pkt_free(m[i]);
		}
	}
	ck_assert_ptr_eq(netif_unwrap(w), &rig.nif);
	return total;
}

static uint32_t a[9000], b[9000];

START_TEST(the_same_seed_gives_the_same_faults)
{
	struct netif_fault f;
	uint32_t n, same;

	ck_assert_int_eq(netif_fault_parse("drop=10%,dup=10%,reorder=10%,seed=3", &f), 0);
	n = receive(&f, 3000, a);
	ck_assert_uint_eq(receive(&f, 3000, b), n);
	ck_assert_mem_eq(a, b, n * sizeof(a[0]));
	f.seed = 4;
	same = receive(&f, 3000, b);
	ck_assert(same != n || memcmp(a, b, n * sizeof(a[0])) != 0);
}
END_TEST

START_TEST(rates_are_about_what_was_asked_for)
{
	struct netif_fault drop = { .drop_ppm = 100000, .rx = true, .seed = 1 };
	struct netif_fault dup = { .dup_ppm = 100000, .rx = true, .seed = 1 };
	struct netif_fault none = { .rx = true };
	uint32_t n = receive(&drop, 3000, a);

	ck_assert_uint_gt(n, 2500);
	ck_assert_uint_lt(n, 2900);
	n = receive(&dup, 3000, a);
	ck_assert_uint_gt(n, 3100);
	ck_assert_uint_lt(n, 3500);
	ck_assert_uint_eq(receive(&none, 3000, a), 3000);
	for (uint32_t i = 0; i < 3000; i++)
		ck_assert_uint_eq(a[i], i);
}
END_TEST

START_TEST(reordering_loses_nothing)
{
	struct netif_fault f = { .reorder_ppm = 200000, .rx = true, .seed = 8 };
	static uint8_t got[3000];
	uint32_t n = receive(&f, 3000, a), late = 0;

	ck_assert_uint_eq(n, 3000);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_eq(got[a[i]]++, 0);
		late += i && a[i] < a[i - 1];
	}
	ck_assert_uint_gt(late, 300);
}
END_TEST

START_TEST(a_held_frame_comes_when_nothing_follows)
{
	struct netif_fault f = { .reorder_ppm = 1000000, .rx = true };

	ck_assert_uint_eq(receive(&f, 1, a), 1);
}
END_TEST

START_TEST(transmitted_frames_suffer_too)
{
	struct netif_fault f = { .drop_ppm = 100000, .dup_ppm = 50000, .reorder_ppm = 50000,
				 .tx = true, .seed = 5 };
	struct netif *w;

	ck_assert_int_eq(netif_wrap_fault(&rig.nif, &f, rig_pool, &w), 0);
	for (uint32_t i = 0; i < 3000; i += 30) {
		struct rte_mbuf *m[30];

		for (uint32_t j = 0; j < 30; j++)
			m[j] = frame(i + j);
		ck_assert_uint_eq(w->ops->tx_burst(w, 0, m, 30), 30);
	}
	ck_assert_uint_gt(rig.n_sent, 2500);
	ck_assert_uint_lt(rig.n_sent, 3100);
	netif_unwrap(w);
}
END_TEST

START_TEST(a_full_port_keeps_the_rest_with_the_caller)
{
	struct netif_fault f = { .dup_ppm = 1000000, .tx = true };
	struct netif *w;
	struct rte_mbuf *m[4];

	for (uint32_t j = 0; j < 4; j++)
		m[j] = frame(j);
	ck_assert_int_eq(netif_wrap_fault(&rig.nif, &f, rig_pool, &w), 0);
	rig.tx_room = 3;
	ck_assert_uint_eq(w->ops->tx_burst(w, 0, m, 4), 2);
	ck_assert_uint_eq(rig.n_sent, 3);
	pkt_free(m[2]);
	pkt_free(m[3]);
	netif_unwrap(w);
}
END_TEST

START_TEST(corruption_flips_one_bit_and_takes_the_ports_word_away)
{
	struct netif_fault f = { .corrupt_ppm = 1000000, .rx = true, .tx = true, .seed = 2 };
	struct netif *w;
	struct rte_mbuf *m[32], *good = frame(0);
	int bits = 0;

	rig.nif.tx_csum_l4 = true;
	rig.nif.tso_bytes = 65000;
	ck_assert_int_eq(netif_wrap_fault(&rig.nif, &f, rig_pool, &w), 0);
	ck_assert(!w->tx_csum_l4);
	ck_assert_uint_eq(w->tso_bytes, 0);
	rig.rx[rig.n_rx++] = frame(0);
	rig.rx[0]->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	ck_assert_uint_eq(w->ops->rx_burst(w, 0, m, 32), 1);
	for (int i = 0; i < 60; i++)
		bits += __builtin_popcount((unsigned)(pkt_data(m[0])[i] ^ pkt_data(good)[i]));
	ck_assert_int_eq(bits, 1);
	ck_assert_int_eq(pkt_l4_csum(m[0]), PKT_CSUM_UNKNOWN);
	pkt_free(m[0]);
	pkt_free(good);
	netif_unwrap(w);
}
END_TEST

START_TEST(the_capture_has_both_directions)
{
	char path[64];
	struct netif *w;
	struct rte_mbuf *m[32];
	uint8_t file[4096];

	snprintf(path, sizeof(path), "/tmp/fastnet-unit-%d.pcap", getpid());
	ck_assert_int_eq(netif_wrap_pcap(&rig.nif, path, false, &w), 0);
	rig.rx[rig.n_rx++] = frame(1);
	ck_assert_uint_eq(w->ops->rx_burst(w, 0, m, 32), 1);
	rig.tx_room = 1;
	m[1] = frame(2);
	ck_assert_uint_eq(w->ops->tx_burst(w, 0, m, 2), 1);
	ck_assert_uint_eq(w->ops->tx_burst(w, 0, &m[1], 1), 0);
	pkt_free(m[1]);
	netif_unwrap(w);
	int fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ssize_t n = read(fd, file, sizeof(file));
	close(fd);
	unlink(path);
	ck_assert_int_eq(n, 24 + 2 * (16 + 60));
	ck_assert_uint_eq(number(file + 24 + 16), 1);
	ck_assert_uint_eq(number(file + 24 + 16 + 60 + 16), 1);
}
END_TEST

START_TEST(a_capture_that_cannot_be_written_says_so)
{
	struct netif *w = NULL;

	ck_assert_int_eq(netif_wrap_pcap(&rig.nif, "/nonexistent/x.pcap", false, &w), -ENOENT);
	ck_assert_ptr_null(w);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("netif_wrap");

	rig_eal();
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_loop_test(tc, fault_descriptions, 0, ARRAY_LEN(specs));
	tcase_add_test(tc, fault_description_is_read_right);
	tcase_add_test(tc, the_same_seed_gives_the_same_faults);
	tcase_add_test(tc, rates_are_about_what_was_asked_for);
	tcase_add_test(tc, reordering_loses_nothing);
	tcase_add_test(tc, a_held_frame_comes_when_nothing_follows);
	tcase_add_test(tc, transmitted_frames_suffer_too);
	tcase_add_test(tc, a_full_port_keeps_the_rest_with_the_caller);
	tcase_add_test(tc, corruption_flips_one_bit_and_takes_the_ports_word_away);
	tcase_add_test(tc, the_capture_has_both_directions);
	tcase_add_test(tc, a_capture_that_cannot_be_written_says_so);
	return unit_run("netif_wrap", tc);
}
