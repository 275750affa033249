/* Fills Linux's struct tcp_info from a connection. */
// SPDX-License-Identifier: MIT
#include <linux/tcp.h>
#include <string.h>
#include "stack/tcp/tcp_core.h"

enum { REORDERING_MAX = 300 }; /* Linux' tcp_max_reordering */

static const uint8_t linux_state[] = {
#define X(name, text, linux_value) [TCPS_##name] = linux_value,
	TCP_STATES(X)
#undef X
};

/* Nothing yet: since the connection is open, as Linux tells it. */
static uint32_t since_ms(const struct tcp_conn *c, uint64_t then_ns, uint64_t now_ns)
{
	then_ns = then_ns ? then_ns : c->open_ns;
	return then_ns ? (uint32_t)((now_ns - then_ns) / NSEC_PER_MSEC) : 0;
}

/* The measure that Linux has of reordering, in segments. */
static uint32_t reordering(const struct tcp_conn *c, uint32_t mss)
{
	return min_u32(max_u32((c->reord_bytes + mss - 1) / mss, TCP_DUP_THRESH), REORDERING_MAX);
}

static void fill_brakes(const struct tcp_conn *c, struct tcp_info *ti, uint64_t now_ns)
{
	ti->tcpi_rwnd_limited = tcp_brake_us(c, TCP_BRAKE_RWND, now_ns);
	ti->tcpi_sndbuf_limited = tcp_brake_us(c, TCP_BRAKE_SNDBUF, now_ns);
	ti->tcpi_busy_time = tcp_brake_us(c, TCP_BRAKE_BUSY, now_ns) + ti->tcpi_rwnd_limited +
			     ti->tcpi_sndbuf_limited;
}

/* Text only, and what was sent again as often as it was. */
static uint64_t bytes_sent(const struct tcp_conn *c)
{
	seq_t end = seq_min(c->snd_nxt, c->snd_end);

	return c->tx_bytes + c->rtx_total_bytes +
	       (c->syn_acked && seq_gt(end, c->snd_una) ? seq_diff(end, c->snd_una) : 0);
}

void tcp_fill_info(const struct tcp_env *env, const struct tcp_conn *c, struct tcp_info *ti,
		   uint64_t now_ns)
{
	uint32_t mss = max_u32(c->mss, 1);

	memset(ti, 0, sizeof(*ti));
	/* to the application Linux calls a socket in TIME-WAIT closed */
	ti->tcpi_state = linux_state[c->state == TCPS_TIME_WAIT ? TCPS_CLOSED : c->state];
	ti->tcpi_ca_state = c->recovery; /* Linux has the same five */
	ti->tcpi_retransmits = c->recovery == TCPR_LOSS ? c->rtt.backoff : 0;
	ti->tcpi_probes = c->persist ? c->retries : c->keep_probes;
	ti->tcpi_backoff = c->rtt.backoff;
	ti->tcpi_options = (c->ts_ok ? TCPI_OPT_TIMESTAMPS : 0) | (c->sack_ok ? TCPI_OPT_SACK : 0) |
			   (c->ecn_ok ? TCPI_OPT_ECN : 0) | (c->ecn_seen ? TCPI_OPT_ECN_SEEN : 0) |
			   (c->fo_acked ? TCPI_OPT_SYN_DATA : 0) |
			   (c->syn_rcvd && c->rcv_wscale ? TCPI_OPT_WSCALE : 0);
	ti->tcpi_snd_wscale = c->snd_wscale & 15;
	ti->tcpi_rcv_wscale = c->rcv_wscale & 15;
	ti->tcpi_rto = tcp_rtt_rto_us(&c->rtt);
	ti->tcpi_ato = c->rx_data_segs ? TCP_DELACK_NS / NSEC_PER_USEC : 0;
	ti->tcpi_snd_mss = mss;
	ti->tcpi_rcv_mss = c->rcv_mss;
	ti->tcpi_unacked = (seq_diff(c->snd_nxt, c->snd_una) + mss - 1) / mss;
	ti->tcpi_sacked = (c->board.bytes[TCP_RUN_HELD] + c->reno_held) / mss;
	ti->tcpi_lost = (tcp_lost(c) + c->board.bytes[TCP_RUN_AGAIN] + mss - 1) / mss;
	ti->tcpi_retrans = (c->board.bytes[TCP_RUN_AGAIN] + mss - 1) / mss;
	ti->tcpi_dsack_dups = c->dsack_dups;
	ti->tcpi_last_data_sent = since_ms(c, c->last_tx_ns, now_ns);
	ti->tcpi_last_data_recv = since_ms(c, c->last_rx_data_ns, now_ns);
	ti->tcpi_last_ack_recv = since_ms(c, c->last_rx_ns, now_ns);
	ti->tcpi_pmtu = c->path_mss ? c->path_mss + (ipaddr_is_v4(&c->flow.remote.addr) ? 40 : 60) : 0;
	ti->tcpi_rtt = c->rtt.srtt_us;
	ti->tcpi_rttvar = c->rtt.var_us;
	ti->tcpi_snd_ssthresh = c->ssthresh == UINT32_MAX ? INT32_MAX : c->ssthresh / mss;
	ti->tcpi_snd_cwnd = c->cwnd / mss;
	ti->tcpi_advmss = c->adv_mss - (c->adv_mss && c->ts_ok ? TCP_TS_SPACE : 0);
	ti->tcpi_reordering = reordering(c, mss);
	ti->tcpi_rcv_rtt = c->tuned.rtt8_us / 8;
	ti->tcpi_rcv_space = max_u32(c->tune.space, min_u32(c->opts.rcvbuf, TCP_INIT_SEGS * ti->tcpi_advmss));
	ti->tcpi_total_retrans = c->rtx_segs;
	ti->tcpi_bytes_acked = c->tx_bytes;
	ti->tcpi_bytes_received = c->rx_bytes;
	ti->tcpi_segs_out = c->tx_segs;
	ti->tcpi_segs_in = c->rx_segs;
	ti->tcpi_data_segs_out = c->tx_data_segs;
	ti->tcpi_data_segs_in = c->rx_data_segs;
	ti->tcpi_bytes_sent = bytes_sent(c);
	ti->tcpi_notsent_bytes = seq_gt(c->snd_end, c->snd_nxt) ? seq_diff(c->snd_end, c->snd_nxt) : 0;
	ti->tcpi_min_rtt = c->rtt.min_us ? c->rtt.min_us : UINT32_MAX;
	ti->tcpi_delivered = tcp_delivered(c) / mss;
	ti->tcpi_delivery_rate = tcp_rate_last(c);
	ti->tcpi_delivery_rate_app_limited = c->rate.limited;
	ti->tcpi_pacing_rate = tcp_pace_rate(c);
	ti->tcpi_max_pacing_rate = c->opts.pacing ? c->opts.pacing : UINT64_MAX;
	ti->tcpi_bytes_retrans = c->rtx_total_bytes;
	ti->tcpi_snd_wnd = c->snd_wnd;
	ti->tcpi_rcv_ssthresh = min_u32(c->opts.rcvbuf, (uint32_t)UINT16_MAX << c->rcv_wscale);
	ti->tcpi_rcv_ooopack = c->ooo_segs;
	ti->tcpi_reord_seen = c->reord_seen;
	ti->tcpi_delivered_ce = c->ce_bytes / mss;
	ti->tcpi_fastopen_client_fail = c->fo_fail;
	fill_brakes(c, ti, now_ns);
}
