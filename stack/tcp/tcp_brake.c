/* Where a sender's time goes, for TCP_INFO (tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited;
 * RFC 4898's SndLim): while anything is written and not acknowledged exactly one clock runs. */
// SPDX-License-Identifier: MIT
#include "stack/tcp/tcp_core.h"

void tcp_brake_set(struct tcp_conn *c, enum tcp_brake next, uint64_t now_ns)
{
	struct tcp_brakes *l = &c->brakes;

	if (c->brake == next)
		return;
	if (c->brake != TCP_BRAKE_IDLE)
		l->ns[c->brake - 1] += now_ns - l->since_ns;
	l->since_ns = now_ns;
	c->brake = next;
}

/* The buffer is to blame when the application would write more, all that it could write is on its way, and
 * the congestion window would take more (as Linux decides). */
static bool by_sndbuf(const struct tcp_conn *c)
{
	return c->app_full && !c->cwnd_limited && !tcp_unsent(c) && !seq_eq(c->snd_una, c->snd_nxt) &&
	       (c->state == TCPS_ESTABLISHED || c->state == TCPS_CLOSE_WAIT);
}

void tcp_brake_output(struct tcp_conn *c, bool by_window, uint64_t now_ns)
{
	if (c->brake == TCP_BRAKE_IDLE)
		return;
	tcp_brake_set(c, by_window ? TCP_BRAKE_RWND : by_sndbuf(c) ? TCP_BRAKE_SNDBUF : TCP_BRAKE_BUSY,
		      now_ns);
}

void tcp_app_waits(struct tcp_conn *c, uint64_t now_ns)
{
	c->app_full = true;
	if (c->brake == TCP_BRAKE_BUSY && by_sndbuf(c))
		tcp_brake_set(c, TCP_BRAKE_SNDBUF, now_ns);
}

void tcp_app_has_room(struct tcp_conn *c, uint64_t now_ns)
{
	c->app_full = false;
	if (c->brake == TCP_BRAKE_SNDBUF)
		tcp_brake_set(c, TCP_BRAKE_BUSY, now_ns);
}

uint64_t tcp_brake_us(const struct tcp_conn *c, enum tcp_brake kind, uint64_t now_ns)
{
	uint64_t ns = c->brakes.ns[kind - 1];

	if (c->brake == kind)
		ns += now_ns - c->brakes.since_ns;
	return ns / NSEC_PER_USEC;
}
