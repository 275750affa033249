/* Waiting until nothing moves, without guessing times: on the stack each round is a call to the
 * engine, which comes after all that was written before it, and what that sets off inside the
 * engine is done a round later. Bytes still under way (Nagle, MSG_MORE) are known by their number.
 */
// SPDX-License-Identifier: MIT
#include "tests/shim/random/random.h"
#include <linux/sockios.h>
#include <sys/time.h>

enum { SAME_ROUNDS = 3, LONGEST_MS = 300, BLOCKS_MS = 20, LIKELY_MS = 3000 };

static volatile sig_atomic_t pipes, alarms;

static void on_pipe(int sig)
{
	pipes++;
}

static void on_alarm(int sig)
{
	alarms++;
}

int pipes_seen(void)
{
	int n = pipes;

	pipes = 0;
	return n;
}

/* The timer repeats: a signal before the call has begun would be lost. */
static void alarm_every(int ms)
{
	struct itimerval t = {.it_value = {ms / 1000, ms % 1000 * 1000}};

	t.it_interval = t.it_value;
	setitimer(ITIMER_REAL, &t, NULL);
}

void guard_begin(bool likely)
{
	struct sigaction a = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &a, NULL);
	a.sa_handler = on_pipe;
	sigaction(SIGPIPE, &a, NULL);
	alarm_every(likely ? LIKELY_MS : BLOCKS_MS);
}

/* Load would decide which of two timers comes first. */
static bool ends_soon(int fd, int option)
{
	struct timeval t = {0};
	socklen_t len = sizeof(t);

	return getsockopt(fd, SOL_SOCKET, option, &t, &len) == 0 && t.tv_sec == 0 && t.tv_usec;
}

void guard_recv(int fd, bool likely)
{
	guard_begin(likely || ends_soon(fd, SO_RCVTIMEO));
}

void guard_send(int fd, bool likely)
{
	guard_begin(likely || ends_soon(fd, SO_SNDTIMEO));
}

void guard_end(void)
{
	int err = errno;

	alarm_every(0);
	errno = err;
}

static int tcp_state(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -1 : info.tcpi_state;
}

/* FIN-WAIT-1 becomes FIN-WAIT-2 by an acknowledgement that may be delayed, by either side, up to 40
 * ms. CLOSING, LAST-ACK and TIME-WAIT last for a round trip or have no descriptor in Linux (CLOSE).
 */
static const char *state_name(int state)
{
	switch (state) {
	case TCP_ESTABLISHED:
		return "ESTAB";
	case TCP_SYN_SENT:
		return "SYN-SENT";
	case TCP_SYN_RECV:
		return "SYN-RECV";
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		return "FIN-WAIT";
	case TCP_TIME_WAIT:
		return "TIME-WAIT";
	case TCP_CLOSE:
		return "CLOSE";
	case TCP_CLOSE_WAIT:
		return "CLOSE-WAIT";
	case TCP_LAST_ACK:
		return "LAST-ACK";
	case TCP_LISTEN:
		return "LISTEN";
	case TCP_CLOSING:
		return "CLOSING";
	default:
		return "?";
	}
}

static void state_line(int slot, char *to, size_t room)
{
	struct object *o = object_of(slot);
	int n = -1, fd = fd_of(slot);
	int mask;

	if (!o) {
		to[0] = '\0';
		return;
	}
	mask = t_poll(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDBAND | POLLWRNORM);
	if (o->kind == K_EPOLL) {
		snprintf(to, room, "epoll %s", t_mask((uint32_t)mask));
		return;
	}
	if (ioctl(fd, FIONREAD, &n) < 0)
		n = -errno;
	snprintf(to, room, "%s %s %d", o->kind == K_DGRAM ? "udp" : state_name(tcp_state(fd)),
		 t_mask((uint32_t)mask), n);
}

/* What was sent and has neither been read by the peer nor waits there. */
static bool under_way(void)
{
	for (int i = 0; i < SLOTS; i++) {
		struct object *o = object_of(i);
		int waits = 0, at = -1;

		if (!o || o->kind != K_CONNECTED || o->tx == o->gave_up_at)
			continue;
		if (!o->peer) { /* not accepted yet: what Nagle holds back goes with the next ACK */
			if (!(t_poll(fd_of(i), 0) & (POLLHUP | POLLERR)) &&
			    ioctl(fd_of(i), SIOCOUTQ, &waits) == 0 && waits > 0)
				return true;
			continue;
		}
		for (int k = 0; k < SLOTS; k++)
			if (object_of(k) == o->peer)
				at = k;
		if (at < 0 || ioctl(fd_of(at), FIONREAD, &waits) < 0)
			continue;
		if (o->peer->rx + (uint32_t)waits < o->tx)
			return true;
	}
	return false;
}

static void give_up(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (object_of(i))
			object_of(i)->gave_up_at = object_of(i)->tx;
}

void settle(void)
{
	char was[SLOTS][96], now[96];
	uint64_t end = t_now_ms() + LONGEST_MS;
	int same = 0;

	memset(was, 0, sizeof(was));
	while (same < SAME_ROUNDS) {
		bool changed = false;

		tcp_state(w.anchor[0]);
		for (int i = 0; i < SLOTS; i++) {
			state_line(i, now, sizeof(now));
			changed |= strcmp(now, was[i]) != 0;
			memcpy(was[i], now, sizeof(now));
		}
		same = changed ? 0 : same + 1;
		if (!changed && same == SAME_ROUNDS && under_way()) {
			t_sleep_ms(1);
			same = 0;
		}
		if (t_now_ms() >= end) {
			give_up();
			break;
		}
	}
}

void settle_engine(void)
{
	for (int i = 0; i < SAME_ROUNDS; i++)
		tcp_state(w.anchor[0]);
}

void tr_changes(void)
{
	char now[96];

	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &w.slot[i];

		if (!s->o)
			continue;
		state_line(i, now, sizeof(now));
		if (!strcmp(now, s->seen))
			continue;
		tr(" {s%d %s}", i, now);
		memcpy(s->seen, now, sizeof(now));
	}
}
