/* What the files of the tool's commands share: asking a data thread, and words for what is asked. */
// SPDX-License-Identifier: MIT
#pragma once
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include "stack/host/control_int.h"

/* ---- admin_call.c: something that runs on a data thread ---- */
struct admin_call {
	void (*fn)(struct sock_env *env, void *arg);
	sem_t done;
	_Atomic int refs; /* asker and data thread: whoever is last frees */
	_Alignas(16) char arg[];
};
/* NULL: no memory. arg is zeroed. */
struct admin_call *admin_call_new(void (*fn)(struct sock_env *env, void *arg), size_t arg_size);
/* False: the data thread did not answer in time; c may only be put then. */
bool admin_call_wait(struct worker *w, struct admin_call *c);
void admin_call_put(struct admin_call *c);

/* A table of a data thread, a portion at a time: arg begins with this. fill() goes on at cursor and sets n;
 * print() gets what it has written, on the asker's side. The last portion has less than max rows. */
struct admin_portion {
	uint64_t cursor;
	uint32_t n;
};
struct admin_table {
	size_t size; /* of arg */
	uint32_t max;
	void (*fill)(struct sock_env *env, void *arg);
	void (*print)(const void *arg, void *ctx);
};
void admin_each_portion(struct worker *w, const struct admin_table *t, void *ctx);

/* ---- admin_text.c ---- */
enum { ADMIN_ADDR_MAX = 46, ADMIN_WORD_MAX = 16, ADMIN_ENDPOINT_MAX = 96 };
const char *admin_process(uint32_t pid, char *buf, size_t size);
const char *admin_addr(const struct ipaddr *a, char buf[static ADMIN_ADDR_MAX]);
/* As programs know it: the kernel's name, or the one that the shim gives to a port of the engine alone. */
const char *admin_ifname(uint32_t ifindex, char buf[static ADMIN_WORD_MAX]);
/* As ss(8) has it: [fe80::1]%eth0:80, and of what hears all addresses 0.0.0.0, * (both families) or [::]. */
const char *admin_endpoint(const struct endpoint *e, bool v6, bool v6only,
			   char buf[static ADMIN_ENDPOINT_MAX]);
/* A time that is left, in seconds; ND_FOREVER: forever. */
const char *admin_lifetime(uint32_t seconds, char buf[static ADMIN_WORD_MAX]);

/* ---- the commands of the other files ---- */
int admin_ss(struct conn *conn, char **args, FILE *out);
int admin_groups(struct conn *conn, char **args, FILE *out);
int admin_trace(struct conn *conn, char **args, FILE *out);
int admin_ip(struct conn *conn, char **args, FILE *out);
