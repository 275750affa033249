/* The process that makes the calls: started, asked, watched. */
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/pkt/drill/world.h"

static void run_app(const struct world_conf *conf, const char *preload, const char *engine_socket,
		    int chan)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", chan);
	if (preload) {
		setenv("LD_PRELOAD", preload, 1);
		setenv("FASTNET_SOCKET", engine_socket, 1);
		setenv("FASTNET_AUTOSTART", "0", 1);
		setenv("FASTNET_FALLBACK", "fail", 1);
	}
	execl(conf->app, conf->app, number, NULL);
	_exit(127);
}

void program_start(struct program *p, const struct world_conf *conf, const char *preload,
		   const char *engine_socket)
{
	char path[64];
	int s[2];

	*p = (struct program){.busy = true};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) < 0)
		script_fail(0, "socketpair: %s", strerror(errno));
	fcntl(s[0], F_SETFD, FD_CLOEXEC);
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	fflush(stdout);
	p->pid = fork();
	if (p->pid == 0)
		run_app(conf, preload, engine_socket, s[1]);
	close(s[1]);
	p->chan = s[0];
	snprintf(path, sizeof(path), "/proc/%d/stat", p->pid);
	p->stat = open(path, O_RDONLY | O_CLOEXEC);
}

void program_call(struct program *p, const struct call_req *q)
{
	p->busy = true;
	if (write(p->chan, q, sizeof(*q)) != sizeof(*q))
		script_fail(0, "the program under test has ended");
}

bool program_poll(struct program *p, uint64_t now_ns)
{
	if (!p->busy)
		return false;
	ssize_t n = read(p->chan, &p->rep, sizeof(p->rep));

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n != sizeof(p->rep))
		script_fail(0, "the program under test has ended");
	p->busy = false;
	p->answered = true;
	p->at_ns = now_ns;
	return true;
}

bool program_answer(struct program *p, struct call_rep *rep, uint64_t *at_ns)
{
	if (!p->answered)
		return false;
	p->answered = false;
	*rep = p->rep;
	*at_ns = p->at_ns;
	return true;
}

/* Linux tells the state behind the name, which stands in parentheses. */
bool program_sleeps(const struct program *p)
{
	char buf[256];
	ssize_t n = pread(p->stat, buf, sizeof(buf) - 1, 0);

	if (n <= 0)
		return true;
	buf[n] = 0;
	const char *at = strrchr(buf, ')');
	return at && at[1] == ' ' && (at[2] == 'S' || at[2] == 'Z');
}

void program_end(struct program *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->chan);
	close(p->stat);
	p->pid = 0;
}
