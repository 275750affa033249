/* See rig.h. */
// SPDX-License-Identifier: MIT
#include "rig.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "stack/base/util.h"
#include "stack/net/ports.h"
#include "stack/sock/sock_int.h"

static void queue_init(struct rig_queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	q->first = NULL;
	q->last = &q->first;
	q->n = 0;
}

void rig_queue_put(struct rig_queue *q, void *item)
{
	*(void **)item = NULL;
	pthread_mutex_lock(&q->lock);
	*q->last = item;
	q->last = item;
	q->n++;
	pthread_mutex_unlock(&q->lock);
}

void *rig_queue_take_all(struct rig_queue *q)
{
	pthread_mutex_lock(&q->lock);
	void *first = q->first;
	q->first = NULL;
	q->last = &q->first;
	q->n = 0;
	pthread_mutex_unlock(&q->lock);
	return first;
}

static void *queue_take(struct rig_queue *q)
{
	pthread_mutex_lock(&q->lock);
	void *item = q->first;
	if (item) {
		q->first = *(void **)item;
		if (!q->first)
			q->last = &q->first;
		q->n--;
	}
	pthread_mutex_unlock(&q->lock);
	return item;
}

void rig_pause(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- the host below sock/ ---- */
void rig_wake(struct rig_worker *w)
{
	uint64_t one = 1;

	ck_assert(write(w->wake_fd, &one, sizeof(one)) == sizeof(one));
}

/* Symmetric, as RSS with the engine's key is. */
static uint32_t flow_worker(void *arg, const struct tcp_flow *f)
{
	struct rig_worker *w = arg;

	return (uint32_t)(f->local.port + f->remote.port) % w->rig->n_workers;
}

static void output(void *arg, const struct tcp_flow *flow, const struct tcp_seg *seg,
		   const struct sock_piece *piece, unsigned n, const struct tcp_sockopts *opts)
{
	struct rig_worker *w = arg;
	struct rig_frame *f = malloc(sizeof(*f) + seg->len);
	uint32_t at = 0;

	f->flow = (struct tcp_flow){ .local = flow->remote, .remote = flow->local };
	f->seg = *seg;
	for (unsigned i = 0; i < n; i++) {
		memcpy(f->data + at, piece[i].p, piece[i].len);
		at += piece[i].len;
	}
	ck_assert_uint_eq(at, seg->len);
	if (seg->len)
		atomic_fetch_add(&w->rig->texts, 1);
	if (seg->flags & TCPF_RST)
		atomic_fetch_add(&w->rig->rst, 1);
	if (atomic_load(&w->rig->deaf)) {
		free(f);
		return;
	}
	struct rig_worker *to = &w->rig->w[flow_worker(w, &f->flow)];
	rig_queue_put(&to->frames, f);
	if (to != w)
		rig_wake(to);
}

bool rig_is_local(void *arg, const struct ipaddr *a)
{
	return ipaddr_is_v4(a) && ipaddr_get_v4(a) >> 24 == 10;
}
static bool is_local(void *arg, const struct endpoint *ep) { return rig_is_local(arg, &ep->addr); }
static uint16_t path_mss(void *arg, const struct endpoint *remote)
{
	return is_local(arg, remote) ? (uint16_t)(rig_path_mtu(arg, remote) - 40) : 0;
}
static bool source_addr(void *arg, const struct endpoint *remote, bool public_first, struct ipaddr *src)
{
	*src = RIG_ADDR;
	return is_local(arg, remote);
}

static bool is_settled(void *arg)
{
	struct rig_worker *w = arg;

	if (atomic_load(&w->rig->deaf) || w->frames.n)
		return false;
	return atomic_load(&w->rig->way) == RIG_JOINED ||
	       (atomic_load(&w->rig->way) == RIG_MIXED && rng_below(&w->rng, 2));
}

static bool put_mail(struct rig_queue *q, const struct sock_mail *m)
{
	struct rig_mail *x = malloc(sizeof(*x));

	x->m = *m;
	rig_queue_put(q, x);
	return true;
}

static bool mail(void *arg, uint32_t to, const struct sock_mail *m)
{
	struct rig_worker *w = arg;

	if (to == UINT32_MAX)
		return put_mail(&w->rig->control, m);
	if (atomic_load(&w->rig->full))
		return false;
	put_mail(&w->rig->w[to].mail, m);
	rig_wake(&w->rig->w[to]);
	return true;
}

static bool control_to_worker(void *arg, uint32_t worker, const struct sock_mail *m)
{
	struct rig *r = arg;

	put_mail(&r->w[worker].mail, m);
	rig_wake(&r->w[worker]);
	return true;
}

static uint32_t ends_unknown(void *arg)
{
	struct rig_worker *w = arg;

	return atomic_load(&w->rig->unknown);
}

static bool ends_known(void *arg, uint32_t mark)
{
	return ends_unknown(arg) == 0;
}

static const struct sock_host host = {
	.udp_output = rig_udp_output,
	.udp_settle = rig_udp_settle,
	.group_changed = rig_group_changed,
	.find_interface = rig_find_interface,
	.path_mtu = rig_path_mtu,
	.realtime_ns = rig_realtime_ns,
	.is_broadcast = rig_is_broadcast,
	.tcp_output = output,
	.path_mss = path_mss,
	.source_addr = source_addr,
	.is_local = is_local,
	.is_settled = is_settled,
	.flow_worker = flow_worker,
	.mail = mail,
	.ends_unknown = ends_unknown,
	.ends_known = ends_known,
};

/* ---- a data thread ---- */
static bool take_frames(struct rig_worker *w)
{
	struct rig_frame *f = rig_queue_take_all(&w->frames), *next;
	bool any = f != NULL;

	for (; f; f = next) {
		next = f->next;
		tcp_input(&w->env.tcp, &f->flow, &f->seg, f->data, w->env.now_ns);
		free(f);
	}
	return any;
}

static bool take_mail(struct rig_worker *w)
{
	struct rig_mail *m = rig_queue_take_all(&w->mail), *next;
	bool any = m != NULL;

	for (; m; m = next) {
		next = m->next;
		sock_mail(&w->env, &m->m);
		free(m);
	}
	return any;
}

/* Sleeps on everything that may bring work, as the worker does. */
static void doze(struct rig_worker *w)
{
	struct pollfd p[17];
	nfds_t n = 0;
	_Atomic uint32_t *sleeping = &w->rig->e->worker[w->env.worker].sleeping;

	p[n++] = (struct pollfd){ .fd = w->wake_fd, .events = POLLIN };
	list_for_each(it, &w->env.clients) {
		struct client *c = container_of(it, struct client_worker, link)->client;

		if (n < ARRAY_LEN(p))
			p[n++] = (struct pollfd){ .fd = c->event_fd[w->env.worker],
						  .events = POLLIN };
	}
	atomic_store(sleeping, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (!sock_has_work(&w->env) && w->frames.n == 0 && w->dgrams.n == 0 && w->mail.n == 0) {
		uint64_t now = chan_now_ns(), next = min_u64(tcp_next_ns(&w->env.tcp), sock_next_ns(&w->env));
		int ms = next == UINT64_MAX || next > now + 20 * NSEC_PER_MSEC ? 20 :
			 next <= now ? 0 : (int)((next - now) / NSEC_PER_MSEC) + 1;

		poll(p, n, ms);
	}
	atomic_store(sleeping, 0);
	for (nfds_t i = 0; i < n; i++) {
		uint64_t v;

		if (p[i].revents & POLLIN)
			(void)!read(p[i].fd, &v, sizeof(v));
	}
}

/* One turn of a data thread. Had it anything to do? */
static bool turn(struct rig_worker *w)
{
	w->env.now_ns = chan_now_ns();
	bool work = take_frames(w);

	work |= rig_take_dgrams(w);
	work |= take_mail(w);
	work |= sock_poll(&w->env);
	tcp_advance(&w->env.tcp, w->env.now_ns);
	tcp_flush(&w->env.tcp, w->env.now_ns);
	sock_publish(&w->env);
	return work;
}

static void *worker_main(void *arg)
{
	struct rig_worker *w = arg;

	while (!atomic_load(&w->stop)) {
		if (!turn(w))
			doze(w);
	}
	return NULL;
}

bool rig_turn(struct rig *r)
{
	bool work = false;

	for (uint32_t i = 0; i < r->n_workers; i++)
		work |= turn(&r->w[i]);
	return work;
}

struct rig *rig_new(uint32_t n_workers)
{
	struct rig *r = calloc(1, sizeof(*r));

	/* As the engine does: an application may close its end of a doorbell. */
	signal(SIGPIPE, SIG_IGN);
	r->n_workers = n_workers;
	ck_assert_int_eq(client_engine_create(&r->engine, n_workers), 0);
	r->e = r->engine.base;
	atomic_store(&r->e->alive, (uint32_t)getpid());
	r->ports = ports_new(1 << 16, 1);
	queue_init(&r->control);
	for (uint32_t i = 0; i < n_workers; i++) {
		struct rig_worker *w = &r->w[i];

		w->rig = r;
		w->wake_fd = eventfd(0, EFD_NONBLOCK);
		queue_init(&w->frames);
		queue_init(&w->dgrams);
		queue_init(&w->mail);
		rng_seed(&w->rng, i + 1);
		w->env = (struct sock_env){
			.tcp = { .key = { { 1, 2 } }, .rng = &w->rng, .max_conns = 1 << 14,
				 .max_timewait = 1 << 12, .max_synq = 1 << 12 },
			.udp = { .key = { { 3, 4 } } },
			.worker = i, .n_workers = n_workers, .ports = r->ports,
			.host = &host, .host_arg = w,
		};
		r->e->worker[i].cpu = UINT32_MAX;
		ck_assert_int_eq(sock_env_init(&w->env, chan_now_ns()), 0);
	}
	rig_go(r);
	return r;
}

void rig_go(struct rig *r)
{
	for (uint32_t i = 0; i < r->n_workers; i++) {
		atomic_store(&r->w[i].stop, false);
		pthread_create(&r->w[i].thread, NULL, worker_main, &r->w[i]);
	}
}

void rig_stop(struct rig *r)
{
	for (uint32_t i = 0; i < r->n_workers; i++) {
		atomic_store(&r->w[i].stop, true);
		rig_wake(&r->w[i]);
		pthread_join(r->w[i].thread, NULL);
	}
}

void rig_free(struct rig *r)
{
	rig_stop(r);
	ck_assert_uint_eq(r->n_clients, 0);
	for (uint32_t i = 0; i < r->n_workers; i++) {
		struct rig_worker *w = &r->w[i];

		take_mail(w);
		void *f;
		while ((f = queue_take(&w->frames)))
			free(f);
		while ((f = queue_take(&w->dgrams)))
			free(f);
		ck_assert_uint_eq(w->env.n_socks, 0);
		ck_assert_uint_eq(w->env.udp.n_socks, 0);
		sock_env_fini(&w->env);
		close(w->wake_fd);
	}
	void *m;
	while ((m = queue_take(&r->control)))
		free(m);
	ports_free(r->ports);
	region_destroy(&r->engine);
	free(r);
}

bool rig_control_mail(struct rig *r, uint32_t type, struct sock_mail *m, uint32_t ms)
{
	for (uint32_t i = 0; i <= ms; i++) {
		struct rig_mail *x = queue_take(&r->control);

		if (!x) {
			rig_pause();
			continue;
		}
		*m = x->m;
		free(x);
		if (m->type == type)
			return true;
	}
	return false;
}

void rig_map_extents(struct client *c, struct chan_app *app)
{
	for (uint32_t i = 0; i < c->n_ext; i++) {
		struct region x;

		if (app->ext[i])
			continue;
		ck_assert_int_eq(region_map(&x, c->ext[i].r.fd, c->ext[i].r.kind), 0);
		app->ext_size[i] = x.size;
		app->ext[i] = x.base;
	}
}

static void map_app(struct client *c, struct chan_app *app)
{
	ck_assert_int_eq(region_map(&app->re, c->conf.engine->fd, REGION_DOWN), 0);
	ck_assert_int_eq(region_map_behind(&app->ra, c->ra.fd, REGION_DOWN, &app->rd, c->rd.fd, REGION_UP),
			 0);
	ck_assert_int_eq(region_map(&app->rb, c->rb.fd, REGION_UP), 0);
	uint8_t *a = app->ra.base, *b = app->rb.base;
	uint32_t n = c->conf.n_workers;
	app->e = app->re.base;
	app->a = app->ra.base;
	app->b = app->rb.base;
	app->n_workers = n;
	app->call_a = (const void *)(a + app->a->off_call);
	app->sock_a = (const void *)(a + app->a->off_sock);
	app->evq_a = a + app->a->off_evq;
	app->evq_stride = chan_evq_stride(n);
	app->held = (void *)(b + chan_b_off_held(n));
	app->call_b = (void *)(b + chan_b_off_call(n));
	app->evq_b = (void *)(b + chan_b_off_evq(n));
	app->sock_b = (void *)(b + chan_b_off_sock(n));
	for (uint32_t w = 0; w < n; w++)
		app->event_fd[w] = c->event_fd[w];
	rig_map_extents(c, app);
}

struct client *rig_client(struct rig *r, struct chan_app *app, const struct client_conf *conf)
{
	struct client_conf cc = conf ? *conf : (struct client_conf){ .low_ports = true };
	int err;

	cc.number = r->next_number++;
	cc.n_workers = r->n_workers;
	cc.engine = &r->engine;
	cc.mail = control_to_worker;
	cc.mail_arg = r;
	struct client *c = client_new(&cc, &err);
	ck_assert_ptr_nonnull(c);
	memset(app, 0, sizeof(*app));
	map_app(c, app);
	app->proc = (uint32_t)client_add_proc(c);
	client_start(c);
	r->n_clients++;
	return c;
}

static void unmap_app(struct chan_app *app)
{
	for (uint32_t i = 0; i < CHAN_MAX_EXTENTS; i++) {
		if (app->ext[i])
			munmap(app->ext[i], app->ext_size[i]);
	}
	region_unmap(&app->re);
	region_unmap(&app->ra);
	region_unmap(&app->rb);
	region_unmap(&app->rd);
}

static bool take_gone(struct rig *r, struct client *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(r->gone); i++) {
		if (r->gone[i] == c) {
			r->gone[i] = NULL;
			return true;
		}
	}
	return false;
}

void rig_client_wait(struct rig *r, struct client *c, struct chan_app *app)
{
	struct sock_mail m;

	while (!take_gone(r, c)) {
		ck_assert(rig_control_mail(r, SOCK_MAIL_CLIENT_GONE, &m, 5000));
		for (unsigned i = 0; i < ARRAY_LEN(r->gone); i++) {
			if (!r->gone[i]) {
				r->gone[i] = client_gone(m.p) ? m.p : NULL;
				break;
			}
		}
	}
	client_free(c);
	unmap_app(app);
	r->n_clients--;
}

void rig_client_end(struct rig *r, struct client *c, struct chan_app *app)
{
	client_proc_gone(c, app->proc);
	client_del(c);
	rig_client_wait(r, c, app);
}

int rig_read_byte(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char x;

	return poll(&p, 1, 5000) == 1 ? (int)read(fd, &x, 1) : -1;
}
