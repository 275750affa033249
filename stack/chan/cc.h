/* The default congestion controller, told in a byte of chan_engine.flags: 1 + its index in stack/base/cc.def,
 * 0 = the first. */
// SPDX-License-Identifier: MIT
#pragma once
#include <stdint.h>

enum { CHAN_ENGINE_CC_SHIFT = 24 };

static inline uint32_t chan_engine_cc(uint32_t cc) { return cc << CHAN_ENGINE_CC_SHIFT; }
static inline uint32_t chan_engine_cc_of(uint32_t flags) { return flags >> CHAN_ENGINE_CC_SHIFT; }

/* arg[0] of CHAN_OP_INFO: union tcp_cc_info instead of struct tcp_info. */
enum { CHAN_ARG_CC_INFO = 1 };
