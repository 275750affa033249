/* Around an exec: see exec.h. */
// SPDX-License-Identifier: MIT
#include "shim/exec.h"

void exec_begins(struct exec *x, const struct exec_target *target, char *const envp[])
{
	fault_exec_begins(&x->fault);
	x->envp = envp;
	x->env_map = NULL;
	x->hand.begun = false;
	x->relay.begun = false;
	if (likely(!handover_is_wanted()))
		return;
	if (!exec_target_takes_shim(target))
		exec_relay_begins(&x->relay);
	else if (handover_begin(&x->hand))
		exec_env_complete(x);
}

void exec_ends(struct exec *x)
{
	exec_env_free(x);
	handover_undo(&x->hand);
	exec_relay_undo(&x->relay);
	fault_exec_failed(&x->fault);
}
