/* Copies to and from memory that a program has named, which may be anything: unmapped, read-only, cut off
 * in the middle. A system call answers EFAULT there; so that code outside the kernel can, too, the copy
 * is a piece of assembly with one known range of instructions and no state. A SIGSEGV or SIGBUS
 * handler that finds the program counter in that range goes on at user_fixup(), and the
 * copy returns -EFAULT. The shim has such a handler (shim/fault.c); without one a bad pointer kills, as it
 * would in memcpy(). Locks that the caller holds need no care: it simply gets an error. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <stdint.h>

/* n bytes that don't overlap; 0, or -EFAULT: any part of `to` may have been written. */
int user_copy(void *to, const void *from, size_t n) __attribute__((visibility("hidden")));
/* The same, with the direction in the name: out of the program's memory, into it. */
static inline int user_get(void *to, const void *user, size_t n) { return user_copy(to, user, n); }
static inline int user_put(void *user, const void *from, size_t n) { return user_copy(user, from, n); }

/* The kernel's access_ok(): could these bytes be the program's at all? What is there, a copy finds out. */
#define USER_END 0x7ffffffff000ull /* TASK_SIZE of x86-64 with four levels */
static inline int user_ok(const void *p, size_t n)
{
	uintptr_t end;

	return !__builtin_add_overflow((uintptr_t)p, n, &end) && end <= USER_END;
}

/* One word, inline: for the few places that only look. 0 or -EFAULT, and *v is then 0. Each such load has an
 * entry in a table of {instruction, where it goes on}, both relative to themselves. */
#define USER_LOAD(insn, v, err, from)                                                              \
	__asm__ volatile("1:	" insn " %[word], %[val]\n"                                        \
			 "2:\n"                                                                    \
			 ".pushsection .text.user_fixup, \"ax\", @progbits\n"                     \
			 "3:	mov $-14, %[bad]\n"                                                \
			 "	xor %[val], %[val]\n"                                              \
			 "	jmp 2b\n"                                                          \
			 ".popsection\n"                                                           \
			 ".pushsection user_table, \"a\", @progbits\n"                            \
			 "	.balign 4\n"                                                       \
			 "	.long 1b - ., 3b - .\n"                                            \
			 ".popsection\n"                                                           \
			 : [val] "=&r"(v), [bad] "+r"(err)                                         \
			 : [word] "m"(*(from)))
static inline int user_get32(uint32_t *v, const uint32_t *user)
{
	uint32_t word;
	int err = 0;

	USER_LOAD("movl", word, err, user);
	*v = word;
	return err;
}
static inline int user_get64(uint64_t *v, const uint64_t *user)
{
	uint64_t word;
	int err = 0;

	USER_LOAD("movq", word, err, user);
	*v = word;
	return err;
}

/* Where execution goes on after a fault at pc; 0: pc is in no copy, the fault is somebody else's. */
uintptr_t user_fixup(uintptr_t pc);
