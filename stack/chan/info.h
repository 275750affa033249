/* struct tcp_info of a socket that has no connection, as Linux fills it: the same from the engine and, before
 * that knows the socket, from the shim. */
// SPDX-License-Identifier: MIT
#pragma once
#include <linux/tcp.h>
#include <stdint.h>

static inline struct tcp_info chan_info_listener(void)
{
	return (struct tcp_info){
		.tcpi_state = 10, /* TCP_LISTEN */
		.tcpi_snd_cwnd = 10,
		.tcpi_reordering = 3,
		.tcpi_pacing_rate = UINT64_MAX,
		.tcpi_max_pacing_rate = UINT64_MAX,
	};
}

/* Ages, which Linux counts from its start here, are 0. */
static inline struct tcp_info chan_info_closed(void)
{
	struct tcp_info ti = chan_info_listener();

	ti.tcpi_state = 7; /* TCP_CLOSE */
	ti.tcpi_delivery_rate_app_limited = 1;
	ti.tcpi_rto = 1000000;
	ti.tcpi_rttvar = 250000;
	ti.tcpi_snd_mss = 536;
	ti.tcpi_snd_ssthresh = INT32_MAX;
	ti.tcpi_min_rtt = UINT32_MAX;
	return ti;
}
