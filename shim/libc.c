/* Finds the real libc functions. Until they are known each pointer leads to a stub that looks them
 * all up and goes on to the one asked for, with every argument register as it was. */
// SPDX-License-Identifier: MIT
#include "shim/libc.h"
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include "stack/base/util.h"

#ifndef __x86_64__
#error "the stubs below, like the deep hooks, are written for x86-64"
#endif

/* Stubs and --wrap targets, in the order of the list: member i of struct libc is at 8 * i.
 * stub_NAME: first call. __wrap_NAME: what the linker puts for NAME inside the shim. */
__asm__(".pushsection .text\n"
	".set libc_off, 0\n"
#define X(ret, name, params) \
	".type stub_" #name ", @function\n" \
	"stub_" #name ":\n" \
	"	call libc_stub_resolve\n" \
	"	jmp *libc+libc_off(%rip)\n" \
	".globl __wrap_" #name "\n" \
	".hidden __wrap_" #name "\n" \
	".type __wrap_" #name ", @function\n" \
	"__wrap_" #name ":\n" \
	"	jmp *libc+libc_off(%rip)\n" \
	".set libc_off, libc_off + 8\n"
	LIBC_CALLS(X)
#undef X
	/* Entered with the stack 16-byte aligned: two return addresses are on it. */
	"libc_stub_resolve:\n"
	"	push %rax\n	push %rdi\n	push %rsi\n	push %rdx\n"
	"	push %rcx\n	push %r8\n	push %r9\n	push %r10\n"
	"	sub $128, %rsp\n"
	"	movups %xmm0, (%rsp)\n	movups %xmm1, 16(%rsp)\n"
	"	movups %xmm2, 32(%rsp)\n	movups %xmm3, 48(%rsp)\n"
	"	movups %xmm4, 64(%rsp)\n	movups %xmm5, 80(%rsp)\n"
	"	movups %xmm6, 96(%rsp)\n	movups %xmm7, 112(%rsp)\n"
	"	call libc_resolve\n"
	"	movups (%rsp), %xmm0\n	movups 16(%rsp), %xmm1\n"
	"	movups 32(%rsp), %xmm2\n	movups 48(%rsp), %xmm3\n"
	"	movups 64(%rsp), %xmm4\n	movups 80(%rsp), %xmm5\n"
	"	movups 96(%rsp), %xmm6\n	movups 112(%rsp), %xmm7\n"
	"	add $128, %rsp\n"
	"	pop %r10\n	pop %r9\n	pop %r8\n	pop %rcx\n"
	"	pop %rdx\n	pop %rsi\n	pop %rdi\n	pop %rax\n"
	"	ret\n"
	".popsection\n");

#define X(ret, name, params) ret stub_##name params;
LIBC_CALLS(X)
#undef X

struct libc libc = {
#define X(ret, name, params) .name = stub_##name,
	LIBC_CALLS(X)
#undef X
};

/* A name that this libc does not have keeps answering ENOSYS. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

struct libc_name {
	const char *name, *version;
};
/* glibc keeps older functions under these names, and a search without a version may find them. */
static const struct libc_name versioned[] = {
	{ "posix_spawn", "GLIBC_2.15" },
	{ "posix_spawnp", "GLIBC_2.15" },
};

static void *find(const char *name)
{
	void *p = NULL;

	for (size_t i = 0; i < ARRAY_LEN(versioned); i++)
		if (!__builtin_strcmp(name, versioned[i].name))
			p = dlvsym(RTLD_NEXT, name, versioned[i].version);
	if (!p)
		p = dlsym(RTLD_NEXT, name);
	return p ? p : (void *)missing;
}

void libc_resolve(void)
{
	static const char names[][48] = {
#define X(ret, name, params) #name,
		LIBC_CALLS(X)
#undef X
	};
	int saved = errno;
	_Atomic(void *) *slot = (_Atomic(void *) *)&libc;

	_Static_assert(sizeof(libc) == sizeof(names) / sizeof(names[0]) * sizeof(void *), "list");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		atomic_store_explicit(&slot[i], find(names[i]), memory_order_relaxed);
	errno = saved;
}
