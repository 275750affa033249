/* Start of the shim in a process: everything here is also done on first use, so the order of
 * constructors does not matter; done early it keeps first uses out of odd places. */
// SPDX-License-Identifier: MIT
#include "shim/init.h"
#include <pthread.h>
#include "shim/engine.h"
#include "shim/exec.h"
#include "shim/explain.h"
#include "shim/libc.h"
#include "shim/process.h"
#include "shim/sock.h"

void init_after_fork(void)
{
	sock_after_fork();
	engine_after_fork();
	explain_after_fork();
}

/* A process that never attached has nothing to repair after a fork (process.c) except its counts. */
static void init_child(void)
{
	if (!process_is_attached())
		explain_after_fork();
}

__attribute__((constructor(101))) static void init_start(void)
{
	libc_resolve();
	engine_config();
	pthread_atfork(NULL, NULL, init_child);
	exec_env_start();
	handover_arrive();
}
