/* What a fuzz target provides to driver.c; libFuzzer needs the first function only:
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. \
 *		tests/fuzz/fuzz_frame.c stack/wire/[a-z]*.c stack/base/[a-z]*.c -o fuzz_frame */
// SPDX-License-Identifier: MIT
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { FUZZ_MAX = 2048 };

/* Handles n hostile bytes; returns 0, fails by CHECK or by what a sanitizer finds. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
/* Writes well-formed input number i to buf (FUZZ_MAX bytes) and returns its length, 0 after the
 * last one: where mutations start. */
size_t fuzz_example(unsigned i, uint8_t *buf);
