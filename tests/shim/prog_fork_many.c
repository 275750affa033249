/* More children at once than the engine has numbers for processes. Those beyond have none of their parent's
 * sockets; nobody else may lose anything by them. */
// SPDX-License-Identifier: MIT
#include "tests/shim/t.h"

enum { CHILDREN = 1060, LAST_NUMBERED = 1021 /* of 1023; the parent is one */ };

static pid_t pid[CHILDREN];
static int go[CHILDREN][2]; /* of some: their end */
static int only[2];	    /* the parent keeps the first end only */

/* Children that close and end as soon as they are told all at once. */
static int gate[2];

static int child(int i)
{
	char c;

	close(gate[1]);
	if (i == LAST_NUMBERED) {
		close(go[i][1]);
		if (read(go[i][0], &c, 1) < 0)
			return 1;
		/* Everybody else has ended. */
		return read(only[1], &c, 1) == 1 && c == 'q' && send(only[1], "a", 1, 0) == 1 ? 0 : 2;
	}
	if (read(gate[0], &c, 1) != 0)
		return 3;
	close(only[0]);
	close(only[1]);
	return 0;
}

static void beyond_the_last(void)
{
	int ended = 0, made = 0;
	char c = 0;

	t_pair(&only[0], &only[1]);
	if (pipe(gate) < 0 || pipe(go[LAST_NUMBERED]) < 0)
		return;
	fflush(stdout);
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(child(i));
		made += pid[i] > 0;
	}
	t_out("children: %d", made);
	close(only[1]);
	close(gate[1]);
	for (int i = 0; i < CHILDREN; i++)
		if (i != LAST_NUMBERED && t_finish(pid[i]) == 0)
			ended++;
	t_out("ended: %d", ended);
	t_res("send", send(only[0], "q", 1, 0));
	close(go[LAST_NUMBERED][1]);
	t_res("answer", t_read_all(only[0], &c, 1));
	t_out("%c, ends with %d", c, t_finish(pid[LAST_NUMBERED]));
	t_out("nobody has it: %s", t_mask((uint32_t)t_until(only[0], POLLRDHUP)));
	close(only[0]);
	close(gate[0]);
}

T_MAIN(T_CASE(beyond_the_last))
