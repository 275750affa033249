/* TCP_INFO and TCP_CC_INFO of a socket in any state, in Linux' counting: the core counts bytes, Linux
 * packets, and the sequence numbers of SYN and FIN. */
// SPDX-License-Identifier: MIT
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/cc.h"
#include "stack/chan/info.h"
#include "stack/sock/sock_int.h"
#include "stack/tcp/tcp_cc.h"

/* TCP_CC_INFO: nothing where the controller tells nothing. */
static void put_cc_info(struct call *k, struct chan_call_a *a)
{
	const struct tcp_conn *c = &k->s->conn;
	union tcp_cc_info info;

	a->len = 0;
	if (k->s->l || !k->s->started || !c->cc || !c->cc->info || (c->cc->control && !c->model))
		return;
	memset(&info, 0, sizeof(info));
	a->len = (uint32_t)c->cc->info(c, &info);
	memcpy(a->payload, &info, a->len);
}

/* Segments that have arrived: those sent, without those sent again and those on their way, or what the bytes
 * make if that is more. Linux counts SYN and FIN. */
static uint32_t delivered(const struct tcp_conn *c, const struct tcp_info *ti)
{
	uint32_t sent = ti->tcpi_data_segs_out, not_yet = ti->tcpi_total_retrans + ti->tcpi_unacked;

	return max_u32(sent - min_u32(sent, not_yet), ti->tcpi_delivered) + c->syn_acked + c->fin_acked;
}

static void fill_listener(const struct listener *l, struct tcp_info *ti)
{
	*ti = chan_info_listener();
	ti->tcpi_unacked = l->tail - l->head;
	ti->tcpi_sacked = l->tl.backlog;
}

static void fill_conn(const struct sock *s, struct tcp_info *ti)
{
	const struct tcp_conn *c = &s->conn;

	tcp_fill_info(&s->cw->env->tcp, c, ti, s->cw->env->now_ns);
	ti->tcpi_bytes_acked += !s->passive && c->syn_acked;
	ti->tcpi_bytes_acked += c->fin_acked;
	ti->tcpi_bytes_received += c->fin_rcvd;
	ti->tcpi_delivered = delivered(c, ti);
}

int sock_info(struct call *k)
{
	struct chan_call_a *a = &k->cw->client->call_a[k->slot];
	struct tcp_info ti;

	if (k->s->lane)
		sock_lane_look(k->s);
	if (k->s->dgram) {
		a->len = sock_dgram_info(k->s, a->payload);
		return 0;
	}
	if (k->req.arg[0] == CHAN_ARG_CC_INFO) {
		put_cc_info(k, a);
		return 0;
	}
	memset(&ti, 0, sizeof(ti));
	if (k->s->l)
		fill_listener(k->s->l, &ti);
	else if (k->s->started)
		fill_conn(k->s, &ti);
	else
		ti = chan_info_closed();
	a->len = min_u32(sizeof(ti), sizeof(a->payload));
	memcpy(a->payload, &ti, a->len);
	return 0;
}
