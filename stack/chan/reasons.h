/* Why a socket was left to the kernel: one list, counted per process by the shim and printed by
 * `fastnet explain`; and the file in which a program reports without any engine. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>
#include "stack/chan/layout.h"

/* X(name, text). Appending is compatible; reordering or more than CHAN_REASON_MAX is not. */
#define CHAN_REASONS(X) \
	X(no_engine, "no engine answered and none could be started") \
	X(engine_refused, "the engine refused this program") \
	X(engine_gone, "the engine ended while the program ran") \
	X(other_netns, "the engine serves another network namespace") \
	X(sandbox, "the program's sandbox forbids what attaching needs") \
	X(family, "address family is not AF_INET or AF_INET6") \
	X(type, "socket type is not served by the stack") \
	X(protocol, "protocol is not served by the stack") \
	X(bind_loopback, "bound to a loopback address (option loopback=kernel)") \
	X(bind_foreign_addr, "bound to an address that is not the stack's") \
	X(bind_device, "bound to a kernel interface (SO_BINDTODEVICE)") \
	X(bind_v6, "bound to an IPv6 address that the stack does not own") \
	X(connect_loopback, "connect to a loopback address (option loopback=kernel)") \
	X(connect_no_route, "no route through a fastnet port to the destination") \
	X(connect_v6, "connect to an IPv6 destination") \
	X(option_unsupported, "a socket option that only the kernel has") \
	X(call_unsupported, "a call that only the kernel can do") \
	X(pool_exhausted, "the engine's pools are exhausted") \
	X(quota, "the program's quota is used up") \
	X(fd_limit, "no descriptor left under RLIMIT_NOFILE") \
	X(passed_fd, "received from another program (SCM_RIGHTS or exec)") \
	X(fork_shared, "undecided socket shared with another process") \
	X(listen_twin, "kernel twin of a listener, for loopback clients") \
	X(unlisted_port, "port below 1024 not allowed (option low-ports)") \
	X(raw_syscall, "made behind the shim's back") \
	X(disabled, "the shim is switched off for this program") \
	X(exec_unshimmed, "left to a program that can't have the shim (static, setuid, other architecture)")

enum chan_reason {
#define X(name, text) CHAN_REASON_##name,
	CHAN_REASONS(X)
#undef X
	CHAN_REASON_COUNT
};
_Static_assert((int)CHAN_REASON_COUNT <= (int)CHAN_REASON_MAX, "table in shared memory too small");

/* `fastnet explain -- prog` gives the program a memfd of this shape under this environment variable
 * (its decimal number; children inherit it). Each process takes a free slot by changing pid from 0
 * with compare-and-swap and counts there, whether or not it is attached to an engine. */
#define CHAN_EXPLAIN_ENV "FASTNET_EXPLAIN_FD"
enum { CHAN_EXPLAIN_MAGIC = 0x464e5850, CHAN_EXPLAIN_PROCS = 256 };
struct chan_explain {
	uint32_t magic, version;
	uint8_t pad[56];
	struct chan_proc_b proc[CHAN_EXPLAIN_PROCS];
};
