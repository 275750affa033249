/* The simulated world: two whole TCP cores with their applications, joined by two chains of nodes, one
 * each way, on a virtual clock. Everything is drawn from one seed. Packets are real bytes, so that a
 * node may damage them.
 *
 * wire.c: packets; queue.c: what happens when; node.c: the network; host.c: the two ends; watch.c: what must
 * hold after every event; scenario.c: a seed's world, from open to the last timer; bulk.c: one long
 * transfer that is measured; main.c: the command. */
// SPDX-License-Identifier: MIT
#pragma once
#include "stack/tcp/tcp_core.h"
#include "stack/wire/icmp.h"

enum { SIM_WHY = 256, SIM_NODES = 12, SIM_HDR_MAX = 120 };

struct sim;
struct sim_node;

struct sim_packet {
	uint64_t due_ns, order;
	struct sim_node *at; /* where it arrives at due_ns */
	uint32_t len;
	uint8_t bytes[];
};

/* What a node does to a packet: lets it on, later or changed, copies it, drops it. */
struct sim_node_kind {
	const char *name;
	/* Parameters of a random world. */
	void (*draw)(struct sim_node *n, struct rng *r);
	/* Owns p from here on. */
	void (*push)(struct sim_node *n, struct sim_packet *p);
};

struct sim_node {
	const struct sim_node_kind *kind;
	struct sim *sim;
	struct sim_node *next; /* NULL in the last one, the host's */
	int to;		       /* whom the chain leads to */
	struct rng rng;
	union {
		struct { uint32_t us, jitter_us; } delay;
		struct {
			uint32_t mbit, limit, mark_at; /* bytes; mark_at 0: never */
			uint64_t free_ns;
		} rate;
		struct { uint32_t ppm; } loss;	/* also dup, corrupt */
		struct { uint32_t start_ppm, end_ppm, dead_ms; bool bad; uint64_t dead_ns, last_ns; } burst;
		struct { uint32_t ppm, us; } reorder;
		struct {
			uint32_t mtu, min, every_ms; /* changes now and then, never below min */
			bool silent;		     /* a black hole: nobody is told */
			uint64_t next_ns;
		} mtu;
		struct { uint32_t ppm; } liar; /* forged ICMP errors beside every packet */
	};
};

struct sim_host {
	struct tcp_env env; /* must stay first */
	struct sim *sim;
	struct rng rng;
	struct tcp_listener listener;
	struct tcp_sockopts opts;
	bool listens, live, released, gone; /* gone: the application has closed */
	struct tcp_conn c;
	uint8_t *rx;
	uint32_t rx_size; /* a power of two */
	uint32_t salt;
	struct ipaddr addr;
	uint16_t mtu;	  /* of the interface */
	uint32_t total, wrote, leave_at; /* bytes; rude: leaves after so many written or read */
	uint32_t lowat;	  /* writes only while less than this is unsent, 0: no such limit */
	bool aborts, shut, urgent_ok;
	uint64_t act_ns;
	uint32_t pause_us, lazy, gulp;
	uint32_t nap_ms, naps; /* now and then it does nothing for up to so long */
	uint32_t urgent, urgent_told; /* behind our last urgent byte; as the peer told us of its */
	/* watch.c */
	struct sim_last {
		bool valid;
		seq_t snd_una, snd_nxt, rcv_nxt, rcv_adv, told;
		uint32_t flight_max;
	} last;
};

enum sim_end { SIM_POLITE, SIM_RUDE };

struct sim {
	struct rng rng;
	uint64_t now_ns, end_ns, order;
	struct sim_host h[2];
	struct sim_node node[2][SIM_NODES]; /* [i]: towards host i */
	uint32_t n_node[2];
	struct sim_packet **heap;
	uint32_t n_heap, heap_room, packets;
	enum sim_end end;
	bool six; /* by IPv6 */
	bool strip_sack, strip_ts, strip_wscale, strip_ecn; /* a middlebox takes them out of SYNs */
	bool black_hole; /* routers do not tell what is too big */
	bool show, failed;
	uint32_t no_mem; /* per 100000 writes that find no memory */
	uint64_t segments;
	char why[SIM_WHY];
};

void sim_fail(struct sim *s, const char *what, uint64_t detail);
static inline bool sim_chance(struct rng *r, uint32_t ppm)
{
	return ppm && rng_below(r, 1000000) < ppm;
}
uint32_t sim_one_of(struct rng *r, const uint32_t *v, uint32_t n);
#define ONE_OF(r, ...) sim_one_of(r, (uint32_t[]){ __VA_ARGS__ }, \
				  sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* ---- queue.c ---- */
struct sim_packet *sim_packet_new(struct sim *s, uint32_t len);
struct sim_packet *sim_packet_copy(struct sim *s, const struct sim_packet *p);
void sim_packet_free(struct sim *s, struct sim_packet *p);
/* p arrives at the node `at` in delay_ns. */
void sim_later(struct sim *s, struct sim_packet *p, struct sim_node *at, uint64_t delay_ns);
/* The next one, UINT64_MAX: none. */
uint64_t sim_next_ns(const struct sim *s);
struct sim_packet *sim_take_due(struct sim *s);

/* ---- wire.c ---- */
/* One segment of at most the path's size with the bytes of h's stream from pos on. */
struct sim_packet *sim_pack(struct sim_host *h, const struct tcp_flow *flow,
			    const struct tcp_seg *seg, uint32_t pos);
/* "Too big" (RFC 1191, RFC 8201), or another error by ICMP's code (enum icmp_unreach), about p; forged: about
 * a segment that nobody sent. */
struct sim_packet *sim_icmp(struct sim *s, const struct sim_packet *p, uint8_t code, uint16_t mtu,
			    const uint32_t *forged_seq);
/* IP and TCP headers without options. */
static inline uint16_t sim_hdrs(const struct sim *s) { return s->six ? 60 : 40; }
/* p arrives: checked as an engine does, then given to the core. Frees p. */
void sim_arrive(struct sim_host *h, struct sim_packet *p);
/* RFC 3168 5: changed in the header, with its checksum. */
bool sim_is_ect(const struct sim *s, const struct sim_packet *p);
void sim_mark_ce(struct sim *s, struct sim_packet *p);
/* The stream of a salt at pos, n <= 65536 bytes in a row. */
const uint8_t *sim_stream(uint32_t salt, uint32_t pos);

/* ---- node.c ---- */
void sim_push(struct sim_node *n, struct sim_packet *p);
struct sim_node *sim_add(struct sim *s, int to, const char *kind, struct rng *draw);
/* The host's node: every chain ends with one. */
void sim_end_chain(struct sim *s, int to);
const char *sim_kind_name(uint32_t i);
uint32_t sim_kinds(void);

/* ---- host.c ---- */
void sim_host_init(struct sim_host *h, uint32_t rx_size);
void sim_open(struct sim *s, bool crossed);
void sim_app(struct sim_host *h);
/* Any event may let it go on: it is woken soon. */
void sim_app_wake(struct sim_host *h);

/* ---- watch.c ---- */
void sim_watch(struct sim *s);
void sim_watch_output(struct sim_host *h, const struct tcp_seg *seg);

/* ---- scenario.c ---- */
/* False: it failed, s->why. */
bool sim_scenario(struct sim *s, uint64_t seed, bool show);
void sim_step(struct sim *s);
void sim_loop(struct sim *s);
void sim_free(struct sim *s);

/* ---- bulk.c ---- */
int sim_bulk_main(int argc, char **argv);
