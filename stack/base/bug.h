/* CHECK for our own bugs: stays in release builds, says what and where, then aborts.
 * Bad input of a peer or an application is never a CHECK (it is a counted drop). */
// SPDX-License-Identifier: MIT
#pragma once

_Noreturn void bug_abort(const char *what, const char *file, int line);
#define CHECK(cond) \
	(__builtin_expect(!!(cond), 1) ? (void)0 : bug_abort(#cond, __FILE__, __LINE__))
