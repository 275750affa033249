/* Requests that need an answer: a slot in B, an answer in A. See chan_call() in app.h.
 *
 * A slot's bit in call_free is set while it is taken; `proc` names the taker, UINT32_MAX from just
 * before the bit is cleared until the next taker has written its own number, so that the engine can
 * give back the slots of a process that ended (client_proc_gone) and never those of another.
 * C1: the request is stored before seq (release), the call bit (seq_cst) and the look at `sleeping`;
 * the engine takes the bit, then loads seq (acquire), then reads the request once. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include "stack/base/util.h"
#include "stack/chan/app.h"
#include "stack/chan/lock.h"
#include "stack/chan/wait.h"

static int slot_take(struct chan_app *app)
{
	for (unsigned i = 0; i < CHAN_MAX_CALLS / 64; i++) {
		uint64_t taken = atomic_load_explicit(&app->b->call_free[i], memory_order_relaxed);

		while (~taken) {
			unsigned bit = (unsigned)__builtin_ctzll(~taken);

			taken = atomic_fetch_or_explicit(&app->b->call_free[i], 1ull << bit,
							 memory_order_acquire);
			if (!(taken >> bit & 1))
				return (int)(i * 64 + bit);
		}
	}
	return -ENOBUFS;
}

static void slot_give(struct chan_app *app, int slot)
{
	app->call_b[slot].proc = UINT32_MAX;
	atomic_fetch_and_explicit(&app->b->call_free[slot / 64], ~(1ull << (slot % 64)),
				  memory_order_release);
}

static void fill(struct chan_call_b *b, const struct chan_req *req, uint32_t proc)
{
	b->op = req->op;
	b->proc = proc;
	b->sock = req->sock;
	b->gen = req->gen;
	b->type = req->type;
	b->v6 = req->v6;
	b->arg[0] = req->arg[0];
	b->arg[1] = req->arg[1];
	b->local = req->local;
	b->remote = req->remote;
	b->opts = req->opts;
	memcpy(b->key, req->key, sizeof(b->key));
}

static int await(struct chan_app *app, uint32_t worker, struct chan_call_b *b,
		 const struct chan_call_a *a, uint32_t seq)
{
	for (;;) {
		uint32_t now = atomic_load_explicit(&a->seq, memory_order_acquire);

		if (now == seq)
			return 0;
		if (!chan_alive(app))
			return -ENOTCONN;
		if (chan_spin(app, worker, &a->seq, NULL, now))
			continue;
		atomic_store_explicit(&b->waiting, 1, memory_order_seq_cst);
		int err = chan_word_wait(app, &a->seq, now, CHAN_FOREVER);
		atomic_store_explicit(&b->waiting, 0, memory_order_relaxed);
		if (err == -EPIPE)
			return -ENOTCONN;
	}
}

int chan_call(struct chan_app *app, uint32_t worker, const struct chan_req *req,
	      struct chan_rep *rep)
{
	if (!chan_alive(app) || worker >= app->n_workers)
		return -ENOTCONN;
	int slot = slot_take(app);
	if (slot < 0)
		return slot;
	struct chan_call_b *b = &app->call_b[slot];
	const struct chan_call_a *a = &app->call_a[slot];
	fill(b, req, app->proc);
	/* A slot of a dead process may have an answer still to come: any number that is neither the
	 * present answer's nor the last request's is new. */
	uint32_t seq = atomic_load_explicit(&b->seq, memory_order_relaxed) + 1;
	if (seq == atomic_load_explicit(&a->seq, memory_order_acquire))
		seq++;
	atomic_store_explicit(&b->seq, seq, memory_order_release);
	chan_dirty_call(&app->b->dirty[worker], (uint32_t)slot);
	chan_ring(app->e, worker, atomic_load_explicit(&app->event_fd[worker], memory_order_relaxed));
	int err = await(app, worker, b, a, seq);
	if (!err) {
		err = a->result;
		if (rep) {
			rep->sock = a->sock;
			rep->gen = a->gen;
			rep->local = a->local;
			rep->len = min_u32(a->len, sizeof(rep->payload));
			memcpy(rep->payload, a->payload, rep->len);
		}
	}
	slot_give(app, slot);
	return err;
}
