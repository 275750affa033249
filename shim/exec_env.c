/* The environment of a program that gets sockets of the stack. Some programs make their own from
 * nothing (nginx for its new binary); without the shim the sockets would be dead there. */
// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "shim/exec.h"
#include "shim/fdtab.h"
#include "shim/libc.h"

enum { STORE = 8192, KEPT = 32 };
static char store[STORE]; /* programs overwrite their environment (setproctitle), so strings are copied */
static const char *kept[KEPT]; /* FASTNET_...=... */
static unsigned n_kept;
static const char *preload; /* LD_PRELOAD up to the shim's own name */
static size_t preload_len;

static const char LD[] = "LD_PRELOAD=";
enum { LD_LEN = sizeof(LD) - 1 };

/* The end of the shim's name in a value of LD_PRELOAD, NULL: it is not there. */
static const char *after_own_name(const char *value)
{
	Dl_info self;
	const char *base, *at;

	if (!dladdr(&fdtab, &self) || !self.dli_fname)
		return NULL;
	base = strrchr(self.dli_fname, '/');
	base = base ? base + 1 : self.dli_fname;
	at = strstr(value, base);
	return at ? at + strlen(base) : NULL;
}

void exec_env_start(void)
{
	size_t used = 0;

	for (char **e = environ; e && *e; e++) {
		const char *end = !strncmp(*e, LD, LD_LEN) ? after_own_name(*e + LD_LEN) : NULL;
		size_t n = end ? (size_t)(end - *e) : strlen(*e);

		if (!end && strncmp(*e, "FASTNET_", 8) != 0)
			continue;
		if (n >= STORE - used || (!end && n_kept == KEPT))
			continue;
		memcpy(store + used, *e, n);
		if (end) {
			preload = store + used;
			preload_len = n;
		} else {
			kept[n_kept++] = store + used;
		}
		used += n + 1;
	}
}

static const char *find(char *const envp[], const char *name, size_t len)
{
	for (size_t i = 0; envp && envp[i]; i++)
		if (!strncmp(envp[i], name, len))
			return envp[i];
	return NULL;
}

static size_t name_len(const char *entry)
{
	return (size_t)(strchr(entry, '=') - entry) + 1;
}

void exec_env_complete(struct exec *x)
{
	const char *had = find(x->envp, LD, LD_LEN);
	size_t n = 0, had_len = had ? strlen(had + LD_LEN) : 0, k = 0;
	char **to, *text;

	if (!preload || (had && after_own_name(had + LD_LEN)))
		return;
	while (x->envp && x->envp[n])
		n++;
	x->env_len = (n + n_kept + 2) * sizeof(char *) + preload_len + had_len + 2;
	to = mmap(NULL, x->env_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (to == MAP_FAILED)
		return;
	text = (char *)(to + n + n_kept + 2);
	memcpy(text, preload, preload_len);
	if (had_len) {
		text[preload_len] = ':';
		memcpy(text + preload_len + 1, had + LD_LEN, had_len);
	}
	for (size_t i = 0; i < n; i++)
		if (x->envp[i] != had)
			to[k++] = x->envp[i];
	to[k++] = text;
	for (unsigned i = 0; i < n_kept; i++)
		if (!find(x->envp, kept[i], name_len(kept[i])))
			to[k++] = (char *)kept[i];
	x->env_map = to;
	x->envp = to;
}

void exec_env_free(struct exec *x)
{
	int saved = errno;

	if (x->env_map)
		munmap(x->env_map, x->env_len);
	x->env_map = NULL;
	errno = saved;
}
