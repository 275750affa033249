#!/bin/bash
# An engine with a hundred idle connections sleeps, and wakes at once. FASTNET_E2E_FULL=1: with 10 000.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server

e2e_start "${1:-auto}"
idlers=$(full_or 10000 100)
ulimit -n 20000
fn_app redis redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP" --maxclients 12000
fn_wait_port 6379 redis
mkfifo "$FN_TMP/go"
fn_client_bg idlers python3 -u "$e2e_dir/idle_client.py" "$FN_SRV_ADDR" 6379 "$idlers" "$FN_TMP/go"
check "$idlers connections are open" fn_wait_for "$(full_or 120 20)" grep -q open "$FN_TMP/idlers.log"
sleep 1
engine=${fn_pid[engine]-${fn_pid[redis]}}
# How often its threads have slept and been woken.
wake_ups() { cat "/proc/$1"/task/*/status | awk '/^voluntary_ctxt/ { n += $2 } END { print n }'; }

before=$(fn_cpu_ms "$engine")
woken=$(wake_ups "$engine")
app_before=$(fn_cpu_ms "${fn_pid[redis]}")
sleep 10
after=$(fn_cpu_ms "$engine")
woken=$(($(wake_ups "$engine") - woken))
fn_note "redis-server itself: $(($(fn_cpu_ms "${fn_pid[redis]}") - app_before)) ms in the 10 s"
at_most "engine's CPU time in 10 idle seconds, ms" $((after - before)) 50
at_most "engine's wake-ups in 10 idle seconds" "$woken" 20
echo go >"$FN_TMP/go"
check "the first requests after idle are answered" \
	fn_wait_for 30 grep -q '^median' "$FN_TMP/idlers.log"
cat "$FN_TMP/idlers.log"
# Four wake-ups; those of two processes and a socketpair, at the same times, say what one costs now.
at_most "first request after idle, us" "$(awk '$1 == "median" { print $2 }' "$FN_TMP/idlers.log")" \
	"$(awk '$1 == "median" { print 1000 + 4 * $4 }' "$FN_TMP/idlers.log")"
proved
