/* A wire that is as bad as it is told to be: taps on its left side share one bottleneck to the tap on
 * its right side, with rate, queue, delay, loss, reordering and duplicates. Every frame is delayed by hand:
 * the kernel's own means for this are not everywhere.
 *   lossywire LEFT[,LEFT...] RIGHT SECONDS
 * LEFT and RIGHT: network namespaces by path; the tap is fn0 in a left one, fn1 in the right one. Reads
 *   set RTT_MS RATE_MBIT QUEUE_BYTES LOSS_PPM REORDER_PPM SEED [DUP_PPM [both]]
 * in lines from stdin and answers each with a JSON line of what the wire has done since the last one. Loss,
 * reordering and duplicates concern frames to the right, or both ways. Ends at the end of stdin, or
 * after SECONDS. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { TAPS = 8, FRAME_MAX = 2048, FRAMES = 1 << 15, BURST = 64, MACS = 64, ETH_HDR = 14 };
enum { SPIN_NS = 40000 }; /* a sleep is too coarse for less */
static const uint64_t NS = 1000000000;

struct frame {
	uint64_t due_ns, seq; /* the heap's order */
	uint16_t len, to;     /* tap, or TAPS: all left ones */
	uint32_t next_free;
	uint8_t data[FRAME_MAX];
};

/* One direction. */
struct pipe {
	uint64_t ns_per_kbyte, delay_ns, free_at_ns, queue_ns;
	uint32_t loss_ppm, reorder_ppm, dup_ppm;
	uint64_t frames, bytes, lost, late, twice, overflow;
};

static struct {
	int fd;
} tap[TAPS];
static uint32_t n_taps; /* the last one is the right side */
static struct frame *pool;
static uint32_t free_head, heap[FRAMES], heap_n;
static uint64_t next_seq, rng_state = 1, stuck;
static struct pipe to_right, to_left;
static struct {
	uint8_t addr[6];
	uint32_t tap;
} mac[MACS];
static uint32_t n_macs;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "lossywire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

/* xorshift64* */
static uint32_t rng(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return (uint32_t)(rng_state * 0x2545f4914f6cdd1dull >> 32);
}

static bool chance(uint32_t ppm) { return ppm && rng() % 1000000 < ppm; }

/* ---- the heap of frames under way, the next one due on top ---- */
static bool before(uint32_t a, uint32_t b)
{
	const struct frame *x = &pool[a], *y = &pool[b];

	return x->due_ns != y->due_ns ? x->due_ns < y->due_ns : x->seq < y->seq;
}

static void heap_push(uint32_t f)
{
	uint32_t i = heap_n++;

	for (; i > 0 && before(f, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = f;
}

static uint32_t heap_pop(void)
{
	uint32_t top = heap[0], last = heap[--heap_n], i = 0;

	for (uint32_t child; (child = 2 * i + 1) < heap_n; i = child) {
		if (child + 1 < heap_n && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], last))
			break;
		heap[i] = heap[child];
	}
	heap[i] = last;
	return top;
}

/* ---- taps ---- */
static int tap_open(const char *netns, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die(netns);
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		die("can't make a tap");
	return fd;
}

static void mac_learn(const uint8_t *addr, uint32_t from)
{
	uint32_t i = 0;

	while (i < n_macs && memcmp(mac[i].addr, addr, 6) != 0)
		i++;
	if (i == MACS)
		return;
	if (i == n_macs)
		n_macs++;
	memcpy(mac[i].addr, addr, 6);
	mac[i].tap = from;
}

static uint32_t mac_find(const uint8_t *addr)
{
	for (uint32_t i = 0; i < n_macs; i++)
		if (memcmp(mac[i].addr, addr, 6) == 0)
			return mac[i].tap;
	return TAPS;
}

/* ---- the wire ---- */
static void pipe_push(struct pipe *p, uint32_t f, uint64_t now)
{
	struct frame *fr = &pool[f];
	uint64_t start = p->free_at_ns > now ? p->free_at_ns : now;

	p->frames++;
	p->bytes += fr->len;
	if (chance(p->loss_ppm)) {
		p->lost++;
	} else if (start - now > p->queue_ns) {
		p->overflow++;
	} else {
		p->free_at_ns = start + fr->len * p->ns_per_kbyte / 1000;
		fr->due_ns = p->free_at_ns + p->delay_ns;
		if (chance(p->reorder_ppm)) { /* late by up to a quarter of the round trip + 10 frames */
			p->late++;
			fr->due_ns += rng() % (p->delay_ns / 2 + 10 * 1500 * p->ns_per_kbyte / 1000 + 1);
		}
		fr->seq = next_seq++;
		heap_push(f);
		return;
	}
	fr->next_free = free_head;
	free_head = f;
}

/* A copy that goes its own way. */
static void pipe_push_twice(struct pipe *p, uint32_t f, uint64_t now)
{
	uint32_t copy = free_head;

	if (copy == UINT32_MAX || !chance(p->dup_ppm))
		return;
	free_head = pool[copy].next_free;
	pool[copy].len = pool[f].len;
	pool[copy].to = pool[f].to;
	memcpy(pool[copy].data, pool[f].data, pool[f].len);
	p->twice++;
	pipe_push(p, copy, now);
}

static bool take_frames(uint32_t from)
{
	bool any = false;

	for (int i = 0; i < BURST && free_head != UINT32_MAX; i++) {
		uint32_t f = free_head;
		struct frame *fr = &pool[f];
		ssize_t n = read(tap[from].fd, fr->data, FRAME_MAX);

		if (n < ETH_HDR)
			break;
		any = true;
		free_head = fr->next_free;
		fr->len = (uint16_t)n;
		struct pipe *p = from == n_taps - 1 ? &to_left : &to_right;
		if (p == &to_right)
			mac_learn(fr->data + 6, from);
		fr->to = (uint16_t)(p == &to_left ? mac_find(fr->data) : n_taps - 1);
		pipe_push_twice(p, f, now_ns());
		pipe_push(p, f, now_ns());
	}
	return any;
}

static void put(uint32_t to, const struct frame *fr)
{
	if (write(tap[to].fd, fr->data, fr->len) != fr->len)
		stuck++;
}

static void deliver(uint64_t now)
{
	for (int i = 0; i < BURST && heap_n && pool[heap[0]].due_ns <= now; i++) {
		uint32_t f = heap_pop();
		struct frame *fr = &pool[f];

		if (fr->to < TAPS)
			put(fr->to, fr);
		else
			for (uint32_t t = 0; t + 1 < n_taps; t++)
				put(t, fr);
		fr->next_free = free_head;
		free_head = f;
	}
}

/* ---- orders ---- */
static void report(void)
{
	printf("{\"frames\": %llu, \"bytes\": %llu, \"lost\": %llu, \"late\": %llu, \"twice\": %llu, "
	       "\"overflow\": %llu, \"back\": %llu, \"stuck\": %llu}\n",
	       (unsigned long long)to_right.frames, (unsigned long long)to_right.bytes,
	       (unsigned long long)to_right.lost, (unsigned long long)to_right.late,
	       (unsigned long long)to_right.twice, (unsigned long long)to_right.overflow,
	       (unsigned long long)to_left.frames, (unsigned long long)stuck);
	fflush(stdout);
}

static void set(const char *line)
{
	double rtt, rate;
	unsigned long long queue, seed;
	unsigned int loss, reorder, dup = 0;
	char word[8] = "";

	if (sscanf(line, "set %lf %lf %llu %u %u %llu %u %7s", &rtt, &rate, &queue, &loss, &reorder, &seed,
		   &dup, word) < 6 || rate <= 0) {
		fprintf(stderr, "lossywire: not understood: %s", line);
		exit(2);
	}
	report();
	stuck = 0;
	rng_state = seed * 2 + 1;
	to_right = (struct pipe){ .ns_per_kbyte = (uint64_t)(8e6 / rate), .delay_ns = (uint64_t)(rtt * 5e5),
				  .loss_ppm = loss, .reorder_ppm = reorder, .dup_ppm = dup };
	to_right.queue_ns = queue * to_right.ns_per_kbyte / 1000;
	to_left = to_right;
	if (strcmp(word, "both") != 0)
		to_left.loss_ppm = to_left.reorder_ppm = to_left.dup_ppm = 0;
}

/* False: the end. */
static bool take_orders(void)
{
	static char line[256];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);
	char *end;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	if (n < 0)
		return true;
	len += (size_t)n;
	line[len] = 0;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		set(line);
		len -= (size_t)(end + 1 - line);
		memmove(line, end + 1, len + 1);
	}
	return len < sizeof(line) - 1;
}

static void rest(void)
{
	struct pollfd p[TAPS + 1];
	struct timespec ts = { .tv_nsec = 100000000 };
	uint64_t now = now_ns(), left = 0;

	if (heap_n) {
		left = pool[heap[0]].due_ns > now ? pool[heap[0]].due_ns - now : 0;
		if (left < SPIN_NS)
			return;
		left -= SPIN_NS / 2;
		if (left < (uint64_t)ts.tv_nsec)
			ts.tv_nsec = (long)left;
	}
	for (uint32_t i = 0; i < n_taps; i++)
		p[i] = (struct pollfd){ .fd = tap[i].fd, .events = POLLIN };
	p[n_taps] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	ppoll(p, n_taps + 1, &ts, NULL);
}

int main(int argc, char **argv)
{
	uint64_t end;

	if (argc != 4) {
		fprintf(stderr, "usage: lossywire LEFT[,LEFT...] RIGHT SECONDS\n");
		return 2;
	}
	for (char *ns = strtok(argv[1], ","); ns && n_taps < TAPS - 1; ns = strtok(NULL, ","))
		tap[n_taps++].fd = tap_open(ns, "fn0");
	tap[n_taps++].fd = tap_open(argv[2], "fn1");
	end = now_ns() + strtoull(argv[3], NULL, 10) * NS;
	pool = calloc(FRAMES, sizeof(*pool));
	if (!pool)
		die("memory");
	for (uint32_t i = 0; i < FRAMES; i++)
		pool[i].next_free = i + 1 < FRAMES ? i + 1 : UINT32_MAX;
	prctl(PR_SET_TIMERSLACK, 1);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	set("set 0.1 1000 1000000 0 0 1");
	for (uint32_t turn = 0; now_ns() < end; turn++) {
		bool any = false;

		for (uint32_t i = 0; i < n_taps; i++)
			any |= take_frames(i);
		deliver(now_ns());
		if (!any)
			rest();
		if ((!any || turn % 64 == 0) && !take_orders())
			break;
	}
	report();
	return 0;
}
