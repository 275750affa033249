/* The contract of chan_write(), sentence by sentence of mx_socket_write (the seed it follows): each test
 * names the sentence. One socket made by hand, no engine; the ring is as large as the send buffer, so that
 * nothing has to grow. */
// SPDX-License-Identifier: MIT
#include "../unit.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include "stack/chan/lock.h"
#include "stack/chan/stream.h"
#include "stack/chan/user.h"

enum { RING = 64, ID = 3, GEN = 7, AT = 0xffffffd0 /* the positions wrap after 48 bytes */ };
static struct chan_engine eng;
static struct chan_a ca;
static struct chan_sock_a a[ID + 1];
static struct chan_sock_b b[ID + 1];
static struct chan_held held;
static uint8_t ext[256];
static struct chan_app app = { .e = &eng, .a = &ca, .sock_a = a, .sock_b = b, .held = &held };
static const struct chan_handle h = { ID, GEN };
static size_t actual;

static void fresh(void)
{
	memset(a, 0xaa, sizeof(a));
	memset(b, 0, sizeof(b));
	memset(&held, 0, sizeof(held));
	memset(ext, 0, sizeof(ext));
	memset(&eng, 0, sizeof(eng));
	app.ext[0] = ext;
	a[ID].gen = GEN;
	a[ID].state = CHAN_ST_CONNECTED;
	a[ID].flags = 0;
	a[ID].err = a[ID].err_seq = 0;
	a[ID].type = SOCK_STREAM;
	a[ID].sndbuf = RING;
	a[ID].worker = 1; /* no such worker: marks go nowhere */
	a[ID].tx_seg[0] = (struct chan_seg){ AT, RING, 0, 16 };
	a[ID].tx_nseg = 1;
	a[ID].tx_una = AT;
	b[ID].tx_tail = AT;
	held.word[0] = 1ull << ID;
	actual = 12345;
}

static enum chan_status put(uint32_t options, const char *text, size_t n)
{
	struct iovec v = { (void *)text, n };

	return chan_write(&app, h, options, &v, 1, &actual);
}
static size_t queued(void) { return b[ID].tx_tail - AT; }

static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* "attempts to write size bytes to the socket"; "returns MX_OK on success" */
START_TEST(writes_the_bytes_and_says_ok)
{
	fresh();
	ck_assert_int_eq(put(0, text, 10), CHAN_OK);
	ck_assert_uint_eq(actual, 10);
	ck_assert_uint_eq(queued(), 10);
	ck_assert_mem_eq(ext + 16, text, 10);
}
END_TEST

/* "The pointer to bytes may be NULL if size is zero" */
START_TEST(nothing_may_come_from_nowhere)
{
	fresh();
	ck_assert_int_eq(put(0, NULL, 0), CHAN_OK);
	ck_assert_uint_eq(actual, 0);
	ck_assert_int_eq(chan_write(&app, h, 0, NULL, 0, NULL), CHAN_OK);
	ck_assert_uint_eq(queued(), 0);
}
END_TEST

/* "If HALF_CLOSE is passed to options, and size is 0, then the socket endpoint is closed. Further writes
 * ... will fail with BAD_STATE" */
START_TEST(half_close_is_an_option_of_an_empty_write)
{
	fresh();
	ck_assert_int_eq(put(0, text, 3), CHAN_OK);
	ck_assert_int_eq(put(CHAN_WRITE_HALF_CLOSE, NULL, 0), CHAN_OK);
	ck_assert(b[ID].flags & CHAN_B_SHUT_WR);
	ck_assert_int_eq(put(0, text, 3), CHAN_CLOSED_HERE);
	ck_assert_int_eq(put(0, text, 0), CHAN_CLOSED_HERE);
	ck_assert_int_eq(put(CHAN_WRITE_HALF_CLOSE, NULL, 0), CHAN_CLOSED_HERE);
	ck_assert_uint_eq(queued(), 3);
}
END_TEST

/* "If a NULL actual is passed in, it will be ignored" */
START_TEST(nobody_has_to_ask_how_much)
{
	struct iovec v = { (void *)text, 5 };

	fresh();
	ck_assert_int_eq(chan_write(&app, h, 0, &v, 1, NULL), CHAN_OK);
	ck_assert_uint_eq(queued(), 5);
}
END_TEST

/* "A STREAM socket write can be short ... The amount written is returned via actual" */
START_TEST(a_stream_takes_what_fits)
{
	struct iovec v[3] = { { (void *)text, 50 }, { NULL, 0 }, { (void *)(text + 50), 22 } };

	fresh();
	ck_assert_int_eq(chan_write(&app, h, 0, v, 3, &actual), CHAN_OK);
	ck_assert_uint_eq(actual, RING);
	ck_assert_mem_eq(ext + 16, text, RING);
	ck_assert_uint_eq(ext[16 + RING], 0);
}
END_TEST

/* "A DATAGRAM write is never short. If the socket has insufficient space for buffer, it writes nothing
 * and returns SHOULD_WAIT"; "... buffer is larger than the remaining space in the socket" */
START_TEST(a_whole_write_is_never_short)
{
	fresh();
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, text, 40), CHAN_OK);
	ck_assert_uint_eq(actual, 40);
	actual = 12345;
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, text, 25), CHAN_SHOULD_WAIT);
	ck_assert_uint_eq(actual, 12345);
	ck_assert_uint_eq(queued(), 40);
	ck_assert(b[ID].flags & CHAN_B_TX_WAIT); /* an event will tell of room */
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, text, 24), CHAN_OK);
	ck_assert_uint_eq(queued(), RING);
	a[ID].tx_una = AT + 30; /* room again, around the end of the ring */
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, text + 24, 30), CHAN_OK);
	ck_assert_mem_eq(ext + 16, text + 24, 30);
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, text, RING + 1), CHAN_TOO_LONG);
}
END_TEST

/* The same of a datagram socket, whose records carry a header. */
START_TEST(a_datagram_is_never_short)
{
	static uint8_t big[4096];

	fresh();
	a[ID].type = SOCK_DGRAM;
	a[ID].sndbuf = 256; /* the next one goes while less than twice that is under way */
	a[ID].tx_seg[0] = (struct chan_seg){ AT, 1024, 1, 0 };
	app.ext[1] = big;
	ck_assert_int_eq(put(0, text, 20), CHAN_OK);
	ck_assert_uint_eq(actual, 20);
	ck_assert_mem_eq(big + sizeof(struct chan_dgram), text, 20);
	size_t one = queued();
	while (put(0, text, 70) == CHAN_OK)
		ck_assert_uint_lt(queued(), 1024);
	one = queued();
	ck_assert_int_eq(put(0, text, 70), CHAN_SHOULD_WAIT);
	ck_assert_uint_eq(queued(), one);
	static char much[70000];
	ck_assert_int_eq(put(0, much, sizeof(much)), CHAN_TOO_LONG);
	ck_assert_uint_eq(queued(), one);
}
END_TEST

/* "BAD_HANDLE: handle is not a valid handle" */
START_TEST(a_handle_must_be_valid)
{
	struct iovec v = { (void *)text, 5 };
	struct chan_handle old = { ID, GEN - 1 }, none = { CHAN_MAX_SOCKS, GEN };

	fresh();
	ck_assert_int_eq(chan_write(&app, old, 0, &v, 1, &actual), CHAN_BAD_HANDLE);
	ck_assert_int_eq(chan_write(&app, none, 0, &v, 1, &actual), CHAN_BAD_HANDLE);
	a[ID].state = CHAN_ST_FREE;
	ck_assert_int_eq(put(0, text, 5), CHAN_BAD_HANDLE);
	ck_assert_uint_eq(actual, 12345);
}
END_TEST

/* "WRONG_TYPE: handle is not a socket handle" */
START_TEST(a_handle_must_be_of_something_that_carries_bytes)
{
	fresh();
	a[ID].type = SOCK_RAW;
	ck_assert_int_eq(put(0, text, 5), CHAN_WRONG_TYPE);
}
END_TEST

/* "INVALID_ARGS: buffer is an invalid pointer" */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t to = user_fixup((uintptr_t)uc->uc_mcontext.gregs[REG_RIP]);

	if (!to)
		_exit(99);
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
}

START_TEST(a_bad_buffer_writes_nothing_and_holds_no_lock)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2] = { { (void *)text, 10 }, { p + 4096, 10 } };

	fresh();
	mprotect(p + 4096, 4096, PROT_NONE);
	sigaction(SIGSEGV, &sa, NULL);
	ck_assert_int_eq(put(0, p + 4090, 10), CHAN_BAD_BUFFER);
	ck_assert_int_eq(put(0, (char *)8, 10), CHAN_BAD_BUFFER);
	ck_assert_int_eq(put(0, (char *)UINTPTR_MAX, 1), CHAN_BAD_BUFFER);
	ck_assert_int_eq(put(0, (char *)0x0000800000000000, 10), CHAN_BAD_BUFFER);
	ck_assert_int_eq(put(CHAN_WRITE_WHOLE, p + 4090, 10), CHAN_BAD_BUFFER);
	ck_assert_int_eq(chan_write(&app, h, 0, v, 2, &actual), CHAN_BAD_BUFFER);
	ck_assert_uint_eq(actual, 12345);
	ck_assert_uint_eq(queued(), 0);
	ck_assert_uint_eq(b[ID].tx_lock, 0);
	ck_assert_int_eq(put(0, p + 4086, 10), CHAN_OK);
	a[ID].rx_seg[0] = (struct chan_seg){ 0, 64, 0, 128 };
	a[ID].rx_nseg = 1;
	a[ID].rx_tail = 20;
	struct iovec in = { p + 4090, 20 };
	ck_assert_int_eq(chan_rx_read(&app, ID, &in, 1, 0, 0), -EFAULT);
	ck_assert_uint_eq(b[ID].rx_head, 0);
	ck_assert_uint_eq(b[ID].rx_lock, 0);
	signal(SIGSEGV, SIG_DFL);
	munmap(p, 8192);
}
END_TEST

/* "or HALF_CLOSE was passed to options but size was not 0, or options was not 0 or HALF_CLOSE" */
START_TEST(options_must_be_known_and_half_close_alone)
{
	fresh();
	ck_assert_int_eq(put(CHAN_WRITE_HALF_CLOSE, text, 5), CHAN_INVALID);
	ck_assert_int_eq(put(1u << 30, text, 5), CHAN_INVALID);
	ck_assert_int_eq(put(~0u, text, 0), CHAN_INVALID);
	ck_assert_uint_eq(queued(), 0);
	ck_assert(!(b[ID].flags & CHAN_B_SHUT_WR));
}
END_TEST

/* "ACCESS_DENIED: handle does not have MX_RIGHT_WRITE": here, a process without a descriptor of it */
START_TEST(only_who_holds_it_may_write)
{
	fresh();
	held.word[0] = ~(1ull << ID);
	ck_assert_int_eq(put(0, text, 5), CHAN_ACCESS_DENIED);
	ck_assert_int_eq(put(CHAN_WRITE_HALF_CLOSE, NULL, 0), CHAN_ACCESS_DENIED);
	ck_assert_uint_eq(b[ID].flags, 0);
}
END_TEST

/* "SHOULD_WAIT: The buffer underlying the socket is full" */
START_TEST(a_full_buffer_should_be_waited_for)
{
	fresh();
	ck_assert_int_eq(put(0, text, RING), CHAN_OK);
	actual = 12345;
	ck_assert_int_eq(put(0, text, 1), CHAN_SHOULD_WAIT);
	ck_assert_uint_eq(actual, 12345);
	ck_assert(b[ID].flags & CHAN_B_TX_WAIT);
	ck_assert_int_eq(put(0, text, 0), CHAN_OK);
	a[ID].tx_una = AT + 1;
	ck_assert_int_eq(put(0, text, 5), CHAN_OK);
	ck_assert_uint_eq(actual, 1);
	fresh();
	a[ID].state = CHAN_ST_CONNECTING;
	ck_assert_int_eq(put(0, text, 5), CHAN_SHOULD_WAIT);
	fresh();
	chan_lock(&b[ID].tx_lock); /* this thread's own, further down: it can't be waited for, nor taken */
	ck_assert_int_eq(put(0, text, 5), CHAN_SHOULD_WAIT);
	chan_unlock(&b[ID].tx_lock);
}
END_TEST

/* "BAD_STATE: This side of the socket has been closed", "PEER_CLOSED: The other side of the socket is
 * closed", and what a network adds: an error, and never having been connected. */
static const struct {
	const char *name;
	uint32_t state, fa, fb, err, alive;
	enum chan_status want;
} states[] = {
	{ "open", CHAN_ST_OPEN, 0, 0, 0, 0, CHAN_NOT_CONNECTED },
	{ "listening", CHAN_ST_LISTENING, 0, 0, 0, 0, CHAN_NOT_CONNECTED },
	{ "connected", CHAN_ST_CONNECTED, 0, 0, 0, 0, CHAN_OK },
	{ "peer half-closed", CHAN_ST_CONNECTED, CHAN_A_RX_FIN, 0, 0, 0, CHAN_OK },
	{ "not reading", CHAN_ST_CONNECTED, 0, CHAN_B_SHUT_RD, 0, 0, CHAN_OK },
	{ "half-closed", CHAN_ST_CONNECTED, 0, CHAN_B_SHUT_WR, 0, 0, CHAN_CLOSED_HERE },
	{ "done", CHAN_ST_CONNECTED, CHAN_A_TX_DONE, 0, 0, 0, CHAN_CLOSED_THERE },
	{ "closed", CHAN_ST_CLOSED, 0, 0, 0, 0, CHAN_CLOSED_THERE },
	{ "reset", CHAN_ST_CLOSED, CHAN_A_TX_DONE, 0, ECONNRESET, 0, CHAN_RESET },
	{ "reset after half-close", CHAN_ST_CLOSED, 0, CHAN_B_SHUT_WR, ECONNRESET, 0, CHAN_RESET },
	{ "soft error", CHAN_ST_CONNECTED, 0, 0, EHOSTUNREACH, 0, CHAN_RESET },
	{ "connecting", CHAN_ST_CONNECTING, 0, 0, 0, 0, CHAN_SHOULD_WAIT },
	{ "engine gone", CHAN_ST_CONNECTED, 0, 0, 0, FUTEX_OWNER_DIED, CHAN_RESET },
};

START_TEST(each_state_has_its_status)
{
	fresh();
	a[ID].state = states[_i].state;
	a[ID].flags = states[_i].fa;
	b[ID].flags = states[_i].fb;
	a[ID].err = states[_i].err;
	a[ID].err_seq = states[_i].err != 0;
	eng.alive = states[_i].alive;
	ck_assert_msg(chan_write_state(&app, ID) == states[_i].want, "%s", states[_i].name);
	ck_assert_msg(put(0, text, 5) == states[_i].want, "%s", states[_i].name);
	ck_assert_uint_eq(queued(), states[_i].want == CHAN_OK ? 5 : 0);
	if (states[_i].want != CHAN_OK)
		ck_assert_uint_eq(actual, 12345);
	/* An error is not taken by looking. */
	ck_assert_int_eq(chan_take_error(&a[ID], &b[ID]), (int)states[_i].err);
}
END_TEST

/* "NO_MEMORY: (Temporary) Failure due to lack of memory"; and the other statuses of what is underneath */
START_TEST(results_underneath_have_their_status)
{
	ck_assert_int_eq(chan_status_of(-ENOBUFS), CHAN_NO_MEMORY);
	ck_assert_int_eq(chan_status_of(-ENOMEM), CHAN_NO_MEMORY);
	ck_assert_int_eq(chan_status_of(-EAGAIN), CHAN_SHOULD_WAIT);
	ck_assert_int_eq(chan_status_of(-EDEADLK), CHAN_SHOULD_WAIT);
	ck_assert_int_eq(chan_status_of(-EFAULT), CHAN_BAD_BUFFER);
	ck_assert_int_eq(chan_status_of(-ENOTCONN), CHAN_RESET);
	ck_assert_int_eq(chan_status_of(-EMSGSIZE), CHAN_TOO_LONG);
	ck_assert_int_eq(chan_status_of(-EINVAL), CHAN_INVALID);
	ck_assert_int_eq(chan_status_of(0), CHAN_OK);
	ck_assert_int_eq(chan_status_of(17), CHAN_OK);
}
END_TEST

/* user_copy() against memcpy() at every length and offset that takes another way through it. */
START_TEST(copies_are_copies)
{
	static uint8_t from[4096 + 64], to[4096 + 64], want[4096 + 64];
	static const size_t more[] = { 255, 256, 257, 511, 1000, 1023, 1024, 1025, 2047, 4096 };

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 131 + (i >> 8));
	for (size_t k = 0; k < 200 + sizeof(more) / sizeof(more[0]); k++) {
		size_t n = k < 200 ? k : more[k - 200], off = k % 7, at = k % 13;

		memset(to, 0xee, sizeof(to));
		memset(want, 0xee, sizeof(want));
		memcpy(want + at, from + off, n);
		ck_assert_int_eq(user_copy(to + at, from + off, n), 0);
		ck_assert_mem_eq(to, want, sizeof(to));
	}
	ck_assert_uint_eq(user_fixup((uintptr_t)copies_are_copies), 0);
	ck_assert_uint_ne(user_fixup((uintptr_t)user_copy), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("write");

	tcase_add_test(tc, writes_the_bytes_and_says_ok);
	tcase_add_test(tc, nothing_may_come_from_nowhere);
	tcase_add_test(tc, half_close_is_an_option_of_an_empty_write);
	tcase_add_test(tc, nobody_has_to_ask_how_much);
	tcase_add_test(tc, a_stream_takes_what_fits);
	tcase_add_test(tc, a_whole_write_is_never_short);
	tcase_add_test(tc, a_datagram_is_never_short);
	tcase_add_test(tc, a_handle_must_be_valid);
	tcase_add_test(tc, a_handle_must_be_of_something_that_carries_bytes);
	tcase_add_test(tc, a_bad_buffer_writes_nothing_and_holds_no_lock);
	tcase_add_test(tc, options_must_be_known_and_half_close_alone);
	tcase_add_test(tc, only_who_holds_it_may_write);
	tcase_add_test(tc, a_full_buffer_should_be_waited_for);
	tcase_add_loop_test(tc, each_state_has_its_status, 0, sizeof(states) / sizeof(states[0]));
	tcase_add_test(tc, results_underneath_have_their_status);
	tcase_add_test(tc, copies_are_copies);
	return unit_run("write", tc);
}
