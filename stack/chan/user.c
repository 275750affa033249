/* user_copy(): see user.h. */
// SPDX-License-Identifier: MIT
#include "stack/chan/user.h"

#ifndef __x86_64__
#error "the copy below is written for x86-64, like the stubs of shim/libc.c"
#endif

extern const char user_copy_end[] __attribute__((visibility("hidden")));
extern const char user_copy_fault[] __attribute__((visibility("hidden")));

/* No stack is used, so that the fixup can return from any of it. Up to 64 bytes and the ends of longer
 * copies overlap instead of looping; `rep movsb` is best from about a kilobyte on. -14: EFAULT. */
__asm__(".pushsection .text\n"
	".p2align 6\n"
	".globl user_copy\n"
	".hidden user_copy\n"
	".type user_copy, @function\n"
	"user_copy:\n"
	"	.cfi_startproc\n"
	"	cmp $16, %rdx\n"
	"	jb 5f\n"
	"	movups (%rsi), %xmm0\n"
	"	movups -16(%rsi,%rdx), %xmm1\n"
	"	cmp $32, %rdx\n"
	"	ja 1f\n"
	"	movups %xmm0, (%rdi)\n"
	"	movups %xmm1, -16(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"1:	cmp $64, %rdx\n"
	"	ja 2f\n"
	"	movups 16(%rsi), %xmm2\n"
	"	movups -32(%rsi,%rdx), %xmm3\n"
	"	movups %xmm0, (%rdi)\n"
	"	movups %xmm2, 16(%rdi)\n"
	"	movups %xmm3, -32(%rdi,%rdx)\n"
	"	movups %xmm1, -16(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"2:	cmp $1024, %rdx\n"
	"	jae 4f\n"
	"	movups -32(%rsi,%rdx), %xmm2\n" /* the last 64 bytes, stored after the loop */
	"	movups -48(%rsi,%rdx), %xmm3\n"
	"	movups -64(%rsi,%rdx), %xmm4\n"
	"	lea -64(%rdi,%rdx), %rcx\n"
	"3:	movups (%rsi), %xmm5\n"
	"	movups 16(%rsi), %xmm6\n"
	"	movups 32(%rsi), %xmm7\n"
	"	movups 48(%rsi), %xmm8\n"
	"	add $64, %rsi\n"
	"	movups %xmm5, (%rdi)\n"
	"	movups %xmm6, 16(%rdi)\n"
	"	movups %xmm7, 32(%rdi)\n"
	"	movups %xmm8, 48(%rdi)\n"
	"	add $64, %rdi\n"
	"	cmp %rcx, %rdi\n"
	"	jb 3b\n"
	"	movups %xmm4, (%rcx)\n"
	"	movups %xmm3, 16(%rcx)\n"
	"	movups %xmm2, 32(%rcx)\n"
	"	movups %xmm1, 48(%rcx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"4:	mov %rdx, %rcx\n"
	"	rep movsb\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"5:	cmp $8, %edx\n"
	"	jae 9f\n"
	"	cmp $4, %edx\n"
	"	jae 8f\n"
	"	cmp $1, %edx\n"
	"	ja 7f\n"
	"	jb 6f\n"
	"	movzbl (%rsi), %eax\n"
	"	mov %al, (%rdi)\n"
	"6:	xor %eax, %eax\n"
	"	ret\n"
	"7:	movzwl (%rsi), %eax\n"
	"	movzwl -2(%rsi,%rdx), %ecx\n"
	"	mov %ax, (%rdi)\n"
	"	mov %cx, -2(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"8:	mov (%rsi), %eax\n"
	"	mov -4(%rsi,%rdx), %ecx\n"
	"	mov %eax, (%rdi)\n"
	"	mov %ecx, -4(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"9:	mov (%rsi), %rax\n"
	"	mov -8(%rsi,%rdx), %rcx\n"
	"	mov %rax, (%rdi)\n"
	"	mov %rcx, -8(%rdi,%rdx)\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	".globl user_copy_end\n"
	".hidden user_copy_end\n"
	"user_copy_end:\n"
	".globl user_copy_fault\n"
	".hidden user_copy_fault\n"
	"user_copy_fault:\n"
	"	mov $-14, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size user_copy, . - user_copy\n"
	".popsection\n");

/* The table of the inline loads; absent where there are none. */
struct entry {
	int32_t insn, fixup; /* relative to themselves */
};
extern const struct entry __start_user_table[] __attribute__((weak, visibility("hidden")));
extern const struct entry __stop_user_table[] __attribute__((weak, visibility("hidden")));

uintptr_t user_fixup(uintptr_t pc)
{
	if (pc >= (uintptr_t)user_copy && pc < (uintptr_t)user_copy_end)
		return (uintptr_t)user_copy_fault;
	uintptr_t end = (uintptr_t)__stop_user_table;

	for (const struct entry *e = __start_user_table; (uintptr_t)e < end; e++)
		if (pc == (uintptr_t)&e->insn + (uintptr_t)(intptr_t)e->insn)
			return (uintptr_t)&e->fixup + (uintptr_t)(intptr_t)e->fixup;
	return 0;
}
