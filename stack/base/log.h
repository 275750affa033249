/* Log lines of the engine and the tool: one line each, key=value, levels per module at run time,
 * rate limited per call site. Not for the data path above debug. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };
#define LOG_MODULES(X) X(host) X(chan) X(net) X(tcp) X(udp) X(sock) X(worker) X(dpdk) X(cli)
enum log_module {
#define X(name) LOG_##name,
	LOG_MODULES(X)
#undef X
	LOG_MODULE_COUNT
};

/* "warn" or "warn,tcp=debug,net=info". 0, or -EINVAL and nothing changed. */
int log_configure(const char *spec);
bool log_enabled(enum log_module m, enum log_level l);
struct log_site {
	uint64_t second;
	uint32_t count, suppressed;
};
void log_line(enum log_module m, enum log_level l, struct log_site *site, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define LOG(module, level, ...) \
	do { \
		static struct log_site site_; \
		if (log_enabled(LOG_##module, LOG_LVL_##level)) \
			log_line(LOG_##module, LOG_LVL_##level, &site_, __VA_ARGS__); \
	} while (0)
