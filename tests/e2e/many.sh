#!/bin/bash
# Many connections of several preloaded processes at once: all of them answer, also after a silence, and
# when they are closed the engine has given their memory back. FASTNET_E2E_FULL=1: 102 000 in six processes.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need gcc

servers=$(full_or 6 2)
each=$(full_or 17000 4000)
all=$((servers * each))
ulimit -n 20000

e2e_start "${1:-auto}"
gcc -O2 -D_GNU_SOURCE -o "$FN_TMP/netbench" "$fn_root/tests/bench/netbench.c"

memory_mb() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/${fn_pid[engine]}/status"; }
shared_mb() { awk '/^RssShmem/ { print int($2 / 1024) }' "/proc/${fn_pid[engine]}/status"; }
open_sockets() { fn_tool ss -t --json | grep -c '"ESTAB"' || true; }

before=$(memory_mb)
for ((i = 0; i < servers; i++)); do
	fn_app "server$i" "$FN_TMP/netbench" echo $((7000 + i))
	fn_wait_port $((7000 + i)) "server$i"
	mkfifo "$FN_TMP/go$i"
	fn_client_bg "client$i" python3 "$e2e_dir/many_client.py" "$FN_SRV_ADDR" \
		$((7000 + i)) "$each" "$FN_TMP/go$i"
done
for ((i = 0; i < servers; i++)); do
	check "$each connections to server $i" fn_wait_for "$(full_or 300 60)" \
		grep -q open "$FN_TMP/client$i.log"
done
same "the engine has them all" "$(open_sockets)" "$all"
full=$(memory_mb)
fn_note "engine: $before MB before, $full MB ($(shared_mb) shared) with $all connections"
for ((i = 0; i < servers; i++)); do
	echo go >"$FN_TMP/go$i"
	check "all of server $i answer again" fn_wait_for "$(full_or 120 30)" \
		grep -qx "again $each" "$FN_TMP/client$i.log"
done
none_open() { (($(open_sockets) == 0)); }
check "all are closed" fn_wait_for 60 none_open
# What stays: the packet pool as far as it was touched, private memory, and 8 MB of payload a way and server.
went_back() { (($(memory_mb) - before <= (full - before) * $(full_or 20 50) / 100)); }
check "their memory is back" fn_wait_for 10 went_back
fn_note "engine: $(memory_mb) MB ($(shared_mb) shared) after they were closed"
proved
