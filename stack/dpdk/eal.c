/* Turns our options into arguments of rte_eal_init() and its noise into one line. */
// SPDX-License-Identifier: MIT
#include "stack/dpdk/eal.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <xdp/libxdp.h>
#include "stack/base/log.h"
#include "stack/base/strbuf.h"
#include "stack/base/util.h"

enum { ARGS_MAX = 24 + 2 * EAL_PCI_MAX, ARG_LEN = 128, LOG_LINE = 512 };

/* DPDK logs into one process-wide stream, so this is process-wide too. */
static struct {
	bool serving;
	FILE *stream;
	char last[LOG_LINE]; /* first complaint since it was last asked for */
} dpdk_log;

/* "PREFIX: text" and "function(): text" -> "text". */
static const char *strip_prefix(const char *s)
{
	for (int i = 0; i < 2; i++) {
		size_t n = strcspn(s, " ");

		if (n > 1 && s[n - 1] == ':' && s[n] == ' ' && s[n + 1])
			s += n + 1;
	}
	return s + strspn(s, " ");
}

static ssize_t log_write(void *cookie, const char *buf, size_t n)
{
	uint32_t level = (uint32_t)rte_log_cur_msg_loglevel();
	char line[LOG_LINE];
	size_t len = min_u32((uint32_t)n, sizeof(line) - 1);

	memcpy(line, buf, len);
	while (len && (unsigned char)line[len - 1] <= ' ')
		len--;
	line[len] = 0;
	if (!len)
		return (ssize_t)n;
	/* The first complaint of a failed step is the reason, the later ones its echo. */
	if (level <= RTE_LOG_ERR && !dpdk_log.last[0])
		memcpy(dpdk_log.last, line, len + 1);
	if (dpdk_log.serving && level <= RTE_LOG_WARNING)
		LOG(dpdk, WARN, "%s", line);
	else if (level <= RTE_LOG_WARNING)
		LOG(dpdk, INFO, "%s", line);
	else
		LOG(dpdk, DEBUG, "%s", line);
	return (ssize_t)n;
}

/* Both say a lot about what is normal without a BPF file system. */
static int bpf_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE];
	struct strbuf s = strbuf_of(line, sizeof(line));

	strbuf_vput(&s, fmt, ap);
	LOG(dpdk, DEBUG, "%s", line);
	return s.len;
}

static int xdp_log(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	return bpf_log(LIBBPF_DEBUG, fmt, ap);
}

static void open_log(void)
{
	const cookie_io_functions_t io = { .write = log_write };

	dpdk_log.stream = fopencookie(NULL, "w", io);
	if (!dpdk_log.stream)
		return;
	setvbuf(dpdk_log.stream, NULL, _IOLBF, LOG_LINE);
	rte_openlog_stream(dpdk_log.stream);
	libbpf_set_print(bpf_log);
	libxdp_set_print(xdp_log);
}

void eal_serving(void) { dpdk_log.serving = true; }

void eal_last_error(char *buf, int size)
{
	struct strbuf s = strbuf_of(buf, size);

	strbuf_put(&s, "%s", strip_prefix(dpdk_log.last));
	dpdk_log.last[0] = 0;
}

bool eal_is_pci(const char *s)
{
	unsigned dom, bus, dev, fn;
	int n = 0;

	if (sscanf(s, "%4x:%2x:%2x.%1x%n", &dom, &bus, &dev, &fn, &n) == 4 && n)
		return s[n] == 0 || s[n] == ',';
	return sscanf(s, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) == 3 && n && (!s[n] || s[n] == ',');
}

/* Bytes of free 2 MB pages. */
static uint64_t free_huge_bytes(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages << 21;
}

static int choose_pages(const struct eal_conf *conf, struct eal_info *info, char *err)
{
	uint64_t want = align_up(conf->memory, 2 << 20), have = free_huge_bytes();

	if (conf->huge == EAL_HUGE_ON && have < want) {
		snprintf(err, EAL_ERR_MAX,
			 "hugepages=on, but %llu of %llu MB are free; sysctl vm.nr_hugepages=%llu, "
			 "or hugepages=off",
			 (unsigned long long)have >> 20, (unsigned long long)want >> 20,
			 (unsigned long long)want >> 21);
		return -ENOMEM;
	}
	info->huge = conf->huge == EAL_HUGE_ON || (conf->huge == EAL_HUGE_AUTO && have >= want);
	const char *why =
		conf->huge == EAL_HUGE_AUTO && !info->huge ? " (not enough free huge pages)" : "";
	snprintf(info->text, sizeof(info->text), "%llu MB in %s pages%s",
		 (unsigned long long)want >> 20, info->huge ? "2 MB" : "4 KB", why);
	return 0;
}

struct args {
	int n;
	char *v[ARGS_MAX + 1];
	char text[ARGS_MAX][ARG_LEN];
};

__attribute__((format(printf, 2, 3))) static void arg(struct args *a, const char *fmt, ...)
{
	struct strbuf s = strbuf_of(a->text[a->n], ARG_LEN);
	va_list ap;

	va_start(ap, fmt);
	strbuf_vput(&s, fmt, ap);
	va_end(ap);
	a->v[a->n] = a->text[a->n];
	a->v[++a->n] = NULL;
}

static void build_args(struct args *a, const struct eal_conf *conf, bool huge, int cpu)
{
	arg(a, "fastnetd");
	arg(a, "--no-telemetry");
	arg(a, "--iova-mode=va");
	arg(a, "--log-level=warning");
	/* The main lcore's CPU does not matter: the affinity is put back after the start. */
	arg(a, "--lcores=0@%d", cpu);
	arg(a, "-m");
	arg(a, "%llu", (unsigned long long)(align_up(conf->memory, 2 << 20) >> 20));
	if (huge) {
		arg(a, "--in-memory");
		/* A virtio-user port shows its peer the memory file by file, and eight are the most. */
		arg(a, "--single-file-segments");
	} else {
		/* --in-memory needs huge pages; this is its equivalent without. */
		arg(a, "--no-huge");
		arg(a, "--no-shconf");
		arg(a, "--file-prefix=fastnet-%d", getpid());
	}
	if (!conf->n_pci)
		arg(a, "--no-pci");
	for (uint32_t i = 0; i < conf->n_pci; i++) {
		arg(a, "-a");
		arg(a, "%s", conf->pci[i]);
	}
}

int eal_start(const struct eal_conf *conf, struct eal_info *info, char err[EAL_ERR_MAX])
{
	struct args *a = calloc(1, sizeof(*a));
	cpu_set_t cpus;
	char last[160];

	err[0] = 0;
	if (!a)
		return -ENOMEM;
	int r = choose_pages(conf, info, err);
	if (r)
		goto out;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	int cpu = 0;
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &cpus))
		cpu++;
	build_args(a, conf, info->huge, cpu);
	open_log();
	r = rte_eal_init(a->n, a->v);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	/* Nothing is ever put into it without shared configuration; a crash must not leave it. */
	if (!info->huge)
		rmdir(rte_eal_get_runtime_dir());
	if (r >= 0) {
		r = 0;
		goto out;
	}
	r = rte_errno ? -rte_errno : -EINVAL;
	eal_last_error(last, sizeof(last));
	snprintf(err, EAL_ERR_MAX, "can't start DPDK with %s: %s%s%s; try a smaller memory option",
		 info->text, strerror(-r), *last ? ": " : "", last);
out:
	free(a);
	return r;
}

void eal_stop(void)
{
	dpdk_log.serving = false;
	rte_eal_cleanup();
}

void eal_thread_enter(void)
{
	/* Without a slot it works too, only slower. */
	if (rte_thread_register() < 0)
		LOG(dpdk, WARN, "a data thread has no lcore number: %s", rte_strerror(rte_errno));
}

void eal_thread_leave(void) { rte_thread_unregister(); }

/* Buffers end to end, also across page boundaries: nothing here needs a buffer to be contiguous for
 * a device, because the IOMMU or nobody translates (iova-mode=va). Without huge pages the usual
 * layout puts one buffer on each 4 KB page, and net_af_xdp, which takes the pool for packed, then
 * gives the kernel too small a piece of it: buffers from its end are refused, and in time none is
 * left. */
static struct rte_mempool *packed_pool(const char *name, unsigned n, unsigned cache, uint16_t room)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = room };
	struct rte_mempool *p = rte_mempool_create_empty(name, n, sizeof(struct rte_mbuf) + room,
							 cache, sizeof(priv), SOCKET_ID_ANY,
							 RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (!p)
		return NULL;
	rte_pktmbuf_pool_init(p, &priv);
	if (rte_mempool_populate_default(p) < 0) {
		rte_mempool_free(p);
		return NULL;
	}
	rte_mempool_obj_iter(p, rte_pktmbuf_init, NULL);
	return p;
}

struct rte_mempool *eal_mbufs(uint64_t bytes, uint16_t mtu, uint32_t n_queues,
			      char err[EAL_ERR_MAX])
{
	/* A frame is copied to or from its socket at once, so buffers live in device rings and
	 * bursts only: more than this per queue would be pages touched for nothing. */
	enum { CACHE = 256, L2_ROOM = 64, BASE = 8192, PER_QUEUE = 8192, LEAST_PER_QUEUE = 3072 };
	uint32_t room = (uint32_t)max_u64(RTE_MBUF_DEFAULT_BUF_SIZE,
					  align_up(RTE_PKTMBUF_HEADROOM + mtu + L2_ROOM, 128));
	uint64_t each = room + sizeof(struct rte_mbuf) + 4 * RTE_CACHE_LINE_SIZE;
	uint64_t n = min_u64(bytes / 4 * 3 / each, BASE + (uint64_t)PER_QUEUE * n_queues);
	uint64_t least = 4096 + (uint64_t)LEAST_PER_QUEUE * n_queues;
	char last[160];

	if (n < least) {
		snprintf(err, EAL_ERR_MAX,
			 "memory is too small for %llu packet buffers of %u bytes; "
			 "set memory to %lluM or more",
			 (unsigned long long)least, room,
			 (unsigned long long)(least * each / 3 * 4 >> 20) + 1);
		return NULL;
	}
	struct rte_mempool *p = packed_pool("mbufs", (unsigned)n, CACHE, (uint16_t)room);
	if (!p) {
		int e = rte_errno;

		eal_last_error(last, sizeof(last));
		snprintf(err, EAL_ERR_MAX,
			 "can't make %llu packet buffers: %s%s%s; set memory higher",
			 (unsigned long long)n, strerror(e), *last ? ": " : "", last);
	}
	return p;
}

struct rte_mempool *eal_mbufs_large(uint64_t bytes, uint32_t n_workers)
{
	/* A segment of 64 KB is five of them. virtio-user lays 256 out for what comes, and gives back what it
	 * has sent when its queue is full: 1024 there. With the headroom and their headers buffers are no
	 * multiple of a page apart, so that they do not meet in the same lines of a cache. */
	enum { CACHE = 128, ROOM = 16384 + RTE_PKTMBUF_HEADROOM, PER_WORKER = 1536, LEAST = 512 };
	uint64_t n = min_u64(bytes / 8 / (ROOM + sizeof(struct rte_mbuf)), (uint64_t)PER_WORKER * n_workers);

	return n < (uint64_t)LEAST * n_workers ? NULL : packed_pool("large", (unsigned)n, CACHE, ROOM);
}

uint32_t eal_mbufs_used(const struct rte_mempool *mbufs)
{
	return mbufs ? rte_mempool_in_use_count(mbufs) : 0;
}
