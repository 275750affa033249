/* Around an exec: see exec.h. */
// SPDX-License-Identifier: MIT
#include "shim/exec.h"

void exec_begins(struct exec *x, char *const envp[])
{
	fault_exec_begins(&x->fault);
	x->envp = envp;
	x->env_map = NULL;
	if (handover_begin(&x->hand))
		exec_env_complete(x);
}

void exec_ends(struct exec *x)
{
	exec_env_free(x);
	handover_undo(&x->hand);
	fault_exec_failed(&x->fault);
}
