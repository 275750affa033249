/* SIGIO and SIGURG for the owner of a socket: makes the kernel send them by way of a signal line, see
 * stack/chan/line.h. The number of the line comes from the application, so it may name any line of this
 * client, or none; and its end of it may be in any state: nothing here waits, failures are its loss. */
// SPDX-License-Identifier: MIT
#include "stack/sock/sock_int.h"

enum { HUSH = MSG_DONTWAIT | MSG_NOSIGNAL };

/* Both ends of a line. */
struct line {
	int ours, theirs;
};

static bool line_of(const struct sock *s, struct line *l)
{
	struct client *c = s->cw->client;
	uint32_t n = atomic_load_explicit(&s->b->line, memory_order_relaxed) - 1;

	if (n >= CHAN_MAX_EVQS)
		return false;
	l->ours = atomic_load_explicit(&c->evq_fd[n], memory_order_acquire) - 1;
	l->theirs = atomic_load_explicit(&c->line_fd[n], memory_order_acquire) - 1;
	return l->ours >= 0 && l->theirs >= 0;
}

static void tell(const struct line *l, int flags)
{
	char junk[64];

	STAT_INC(sock_signals);
	sys_send(l->ours, "", 1, HUSH | flags);
	if (flags & MSG_OOB)
		sys_recv(l->theirs, junk, sizeof(junk), HUSH | MSG_OOB);
	sys_recv(l->theirs, junk, sizeof(junk), HUSH);
}

/* The kernel tells of room where a send has failed before: so there is a send that fails, and then the
 * buffer is read empty. What lies in it the application has put there, if not we. */
static void tell_out(const struct line *l)
{
	char junk[4096] = { 0 };

	STAT_INC(sock_signals);
	for (int i = 0; i < 4 && sys_send(l->theirs, junk, sizeof(junk), HUSH) > 0; i++)
		;
	for (int i = 0; i < 4 && sys_recv(l->ours, junk, sizeof(junk), HUSH) > 0; i++)
		;
}

void sock_send_signals(struct sock *s)
{
	uint8_t what = s->signals;
	struct line l;

	s->signals = 0;
	/* Linux: who sleeps in recv() needs no signal about what it waits for. */
	if (atomic_load_explicit(&s->b->rx_sleepers, memory_order_relaxed))
		what &= (uint8_t)~SOCK_SIGNAL_IN;
	if (!what || !line_of(s, &l))
		return;
	if (what & SOCK_SIGNAL_OUT)
		tell_out(&l);
	if (what & SOCK_SIGNAL_IN)
		tell(&l, 0);
	if (what & SOCK_SIGNAL_HUP) {
		STAT_INC(sock_signals);
		sys_shutdown(l.ours, SHUT_RDWR);
	}
}

void sock_line_came(struct sock *s)
{
	uint8_t due = s->signals;

	s->line_comes = false;
	s->signals = s->early; /* published long since: now, for the socket may go before the burst ends */
	s->early = 0;
	if (s->signals)
		sock_send_signals(s);
	s->signals = due;
}

void sock_signal_urgent(struct sock *s)
{
	struct line l;

	if (line_of(s, &l))
		tell(&l, MSG_OOB);
}

/* Other workers may be using it: the control thread knows when none does any more. Should its mailbox be
 * full, the line is closed with the client. */
void sock_line_close(struct sock *s)
{
	struct sock_env *env = s->cw->env;
	uint32_t n = atomic_load_explicit(&s->b->line, memory_order_relaxed) - 1;
	struct sock_mail m = { .type = SOCK_MAIL_LINE_CLOSE, .from = env->worker,
			       .p = s->cw->client, .a = n };

	if (n < CHAN_MAX_EVQS && s->cw->client->line_fd[n])
		env->host->mail(env->host_arg, UINT32_MAX, &m);
}
