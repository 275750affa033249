/* What the stack's world needs before the first script. */
// SPDX-License-Identifier: MIT
#pragma once
void stack_eal(void);
