/* The DPDK environment, started from our own options: no DPDK command line for the user. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

enum eal_huge { EAL_HUGE_AUTO, EAL_HUGE_ON, EAL_HUGE_OFF };
enum { EAL_PCI_MAX = 8, EAL_ERR_MAX = 384 };
struct eal_conf {
	enum eal_huge huge;
	uint64_t memory; /* bytes */
	const char *pci[EAL_PCI_MAX]; /* devargs of PCI devices */
	uint32_t n_pci;
};
/* Memory in use, as a phrase for the start message. */
struct eal_info {
	bool huge;
	char text[96];
};

/* 0 or -errno with the reason and its remedy in err. Once per process. The calling thread's CPU
 * affinity is as before. */
int eal_start(const struct eal_conf *conf, struct eal_info *info, char err[EAL_ERR_MAX]);
/* From here on DPDK's complaints are log lines; before, they only explain a failure. */
void eal_serving(void);
/* DPDK's first complaint since the last call, cleaned of its prefix, or "". */
void eal_last_error(char *buf, int size);
void eal_stop(void);
/* At the start and end of each data thread: gives it caches of packet buffers. */
void eal_thread_enter(void);
void eal_thread_leave(void);
/* "0000:01:00.0", "01:00.0", with or without ",key=value". */
bool eal_is_pci(const char *devargs);
/* Packet buffers, each for an IP packet of mtu bytes, enough for n_queues queues (all ports
 * together) but at most about `bytes` of memory. NULL: err says why. */
struct rte_mempool *eal_mbufs(uint64_t bytes, uint16_t mtu, uint32_t n_queues,
			      char err[EAL_ERR_MAX]);
/* Larger ones, for n_workers that have frames of up to 64 KB (struct netif's large_frames), of an eighth of
 * `bytes` at most. NULL: that is too little; such frames then lie in more of the others. */
struct rte_mempool *eal_mbufs_large(uint64_t bytes, uint32_t n_workers);
/* How many are not free: in device rings, on the way, or in a thread's cache. 0 of NULL. */
uint32_t eal_mbufs_used(const struct rte_mempool *mbufs);
