/* A fuzz input as a program: fields are read off its front, and what is not there any more is 0. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

struct input {
	const uint8_t *p, *end;
};

static inline uint8_t u8(struct input *in) { return in->p < in->end ? *in->p++ : 0; }
static inline uint32_t u16(struct input *in)
{
	uint32_t hi = u8(in);

	return hi << 8 | u8(in);
}
