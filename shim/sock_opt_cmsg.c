/* Control messages that options ask for: arrival times (SO_TIMESTAMP*) and what is left to read (TCP_INQ). */
// SPDX-License-Identifier: MIT
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include "shim/sock_cmsg.h"
#include "shim/sock_opt_int.h"
#include "shim/wait.h"
#include "stack/chan/stream.h"

/* SO_TIMESTAMPING: the first of three is the software's. */
static int put_stamping(struct sock *s, struct cmsg_out *c, const struct timespec *ts)
{
	struct timespec three[3] = { *ts };
	struct opt_at fresh;
	int type = SO_TIMESTAMPING_OLD;

	opt_find(s, SOL_SOCKET, SO_TIMESTAMPING_NEW, &fresh);
	if (opt_recorded(s, fresh.index, 0))
		type = SO_TIMESTAMPING_NEW;
	return cmsg_put(c, SOL_SOCKET, type, three, sizeof(three));
}

/* The types are the options' numbers. */
static int put_times(struct sock *s, struct cmsg_out *c)
{
	uint64_t ns = atomic_load_explicit(&s->a->rx_time_ns, memory_order_relaxed);
	struct timespec ts = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
	struct timeval tv = { ts.tv_sec, ts.tv_nsec / 1000 };
	int name = sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMP_OLD), r = 0;

	if (!ns)
		return 0;
	if (name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMP_NEW)
		r = cmsg_put(c, SOL_SOCKET, name, &tv, sizeof(tv));
	else if (name)
		r = cmsg_put(c, SOL_SOCKET, name, &ts, sizeof(ts));
	if (r == 0 && sock_opt_value(s, SOL_SOCKET, SO_TIMESTAMPING_OLD) & SOF_TIMESTAMPING_SOFTWARE)
		r = put_stamping(s, c, &ts);
	return r;
}

int sock_opt_cmsgs(struct sock *s, struct cmsg_out *c, size_t got)
{
	uint32_t flags = s->b->opts.flags;
	int left, r = 0;

	if (flags & CHAN_O_TIMESTAMP && got)
		r = put_times(s, c);
	if (r < 0 || !(flags & CHAN_O_INQ))
		return r;
	/* With the end of the stream behind it, it is never 0: read on. */
	left = (int)chan_rx_avail(s->a, s->b);
	if (!left && atomic_load(&s->a->flags) & CHAN_A_RX_FIN)
		left = 1;
	return cmsg_put(c, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof(left));
}
