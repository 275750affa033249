/* The table of 4-tuples: connections, half-open records, TIME-WAIT records; and the listeners.
 * Memory is taken once, in tcp_env_init(). */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/tcp/tcp_conn.h"
#include "stack/tcp/tcp_run.h"

/* SYN-RECEIVED of a passive open: what the two SYNs said and nothing else. */
struct tcp_synq {
	struct tcp_node node;
	struct tcp_flow flow;
	struct wheel_timer timer;    /* SYN-ACK again */
	struct tcp_listener *listener;
	uint64_t sent_ns;	     /* last SYN-ACK */
	uint64_t oow_ns;	     /* last one that answered a repeated SYN, 0: none */
	seq_t iss, irs;
	uint32_t ts_recent, ts_offset;
	uint32_t wnd;		     /* window announced in the SYN-ACK */
	uint16_t peer_mss, our_mss;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t retries;
	bool ts_ok, wscale_ok, sack_ok, ecn_ok;
	bool acked;		     /* in vain so far: data is waited for (defer), or room to accept it */
	bool cookie;		     /* no record: lives only while its SYN-ACK is sent */
};

/* TIME-WAIT, or FIN-WAIT-2 of an orphan (fin_wait2). */
struct tcp_timewait {
	struct tcp_node node;
	struct tcp_flow flow;
	struct wheel_timer timer;    /* end of its life */
	struct list age;	     /* oldest first: recycled when the pool is empty */
	uint64_t ts_recent_ns;	     /* when ts_recent was taken, or the record was made */
	uint64_t oow_ns;	     /* last answer to what did not fit */
	void *kept;		     /* the host's, see tcp_ops.record_new */
	seq_t snd_nxt, rcv_nxt, rcv_adv;
	uint32_t ts_recent, ts_offset;
	uint8_t rcv_wscale;
	bool ts_ok, fin_wait2;
};
_Static_assert(offsetof(struct tcp_synq, flow) == sizeof(struct tcp_node), "tcp_node_flow()");
_Static_assert(offsetof(struct tcp_timewait, flow) == sizeof(struct tcp_node), "tcp_node_flow()");

enum { TCP_LISTEN_BUCKETS = 256 };

/* tcp_habit.c */
enum { TCP_HABIT_BITS = 8 };
enum tcp_habit_kind {
	TCP_HABIT_ANSWERS, /* what it receives first is answered, or it is closed, within TCP_DELACK_NS */
	TCP_HABIT_SPEAKS,  /* active open: it sends text soon after */
	TCP_HABITS
};
struct tcp_habit {
	uint16_t wait; /* connections that do without */
	uint8_t seen, shift, uses;
};

struct tcp_table {
	/* Grows with the nodes, four buckets for each, a bucket at a time (Litwin's linear hashing): those
	 * below `split` are divided by one more bit than mask has. Room for buckets_max is reserved, and as
	 * much of it touched as was needed once: few connections have their buckets in few pages. */
	struct tcp_node **bucket;
	uint32_t mask, split;
	uint32_t n_nodes, buckets_max;
	uint32_t synq_used, timewait_used; /* slots ever taken; the free lists hold the returned */
	struct tcp_node *synq_free, *timewait_free;
	struct tcp_synq *synq;
	struct tcp_timewait *timewait;
	struct list timewait_age;
	struct tcp_run_pool run_pool;
	struct tcp_model *models, *model_free; /* of connections whose controller needs one */
	uint32_t models_used, models_live, models_max;
	uint32_t n_listeners;
	struct tcp_fo_peers *fo_peers; /* env->fo_peers if that is nobody else's */
	struct list listen[TCP_LISTEN_BUCKETS]; /* by port */
	struct tcp_habit habit[1 << TCP_HABIT_BITS][TCP_HABITS];
};

/* Keyed, so that a peer cannot choose the bucket. */
uint32_t tcp_flow_hash(const struct tcp_env *env, const struct tcp_flow *flow);
/* The same 4-tuple on another link is another connection (RFC 4007 6): zones count, but not in the hash. */
static inline bool tcp_flow_eq(const struct tcp_flow *a, const struct tcp_flow *b)
{
	return endpoint_eq(&a->remote, &b->remote) && endpoint_eq(&a->local, &b->local);
}
/* NULL: not there. */
struct tcp_node *tcp_table_find(const struct tcp_env *env, const struct tcp_flow *flow,
				uint32_t hash);
/* The same for who does not need the hash. */
struct tcp_node *tcp_table_lookup(const struct tcp_env *env, const struct tcp_flow *flow);
/* node->hash and node->kind are set, its flow is not in the table. */
void tcp_table_add(struct tcp_env *env, struct tcp_node *node);
/* Safe on a node that is in no bucket. */
void tcp_table_del(struct tcp_env *env, struct tcp_node *node);
/* Zeroed records; NULL: pool empty. */
struct tcp_synq *tcp_table_get_synq(struct tcp_env *env);
void tcp_table_put_synq(struct tcp_env *env, struct tcp_synq *q);
struct tcp_timewait *tcp_table_get_timewait(struct tcp_env *env);
void tcp_table_put_timewait(struct tcp_env *env, struct tcp_timewait *tw);
