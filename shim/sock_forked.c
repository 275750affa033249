/* The arguments stand in sock_forked.h. Not followed is who decides for the kernel: his socket is another
 * one then, while ours still has its port at the engine. */
// SPDX-License-Identifier: MIT
#include "shim/sock_forked.h"
#include "shim/sock_conn.h"

uint32_t sock_made_elsewhere(const struct sock *s)
{
	if (likely(!sock_has(s, SOCK_FORKED)) || sock_mode(s) != SOCK_UNDECIDED || !sock_is_attached(s))
		return CHAN_ST_OPEN;
	return atomic_load_explicit(&s->a->state, memory_order_acquire);
}

/* connect() has been called by the other one, who has been told what became of it if it is over. */
static uint32_t flags_of(uint32_t state)
{
	switch (state) {
	case CHAN_ST_LISTENING:
		return SOCK_LISTENING;
	case CHAN_ST_CONNECTED:
		return SOCK_CONNECT_TOLD | SOCK_WAS_CONNECTED;
	default:
		return 0;
	}
}

static bool catch_up_locked(struct sock *s)
{
	uint32_t state = sock_made_elsewhere(s);

	if (sock_mode(s) != SOCK_UNDECIDED || !sock_has(s, SOCK_BOUND)) /* decided here, or bound anew */
		atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_FORKED);
	if (state == CHAN_ST_OPEN)
		return false;
	atomic_fetch_or(&s->flags, flags_of(state));
	atomic_store_explicit(&s->mode, SOCK_STACK, memory_order_release);
	atomic_fetch_and(&s->flags, ~(uint32_t)SOCK_FORKED);
	return true;
}

void sock_catch_up_slow(struct sock *s)
{
	if (sock_mode(s) == SOCK_UNDECIDED && sock_made_elsewhere(s) == CHAN_ST_OPEN)
		return;
	if (sock_lock(s) < 0)
		return;
	bool news = catch_up_locked(s);
	sock_unlock(s);
	if (!news || !s->epoll_items)
		return;
	if (sock_has(s, SOCK_LISTENING) && sock_has(s, SOCK_TWIN))
		epoll_sock_twin(s);
	epoll_sock_attached(s);
}
