#!/bin/bash
# redis on engines whose memory is in huge pages, which the test reserves and gives back.
# usage: hugepages.sh WIRE.  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli redis-benchmark

reserved=/proc/sys/vm/nr_hugepages
free=/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
wanted=$((2 * 64 / 2)) # two engines of 64 MB
FN_ENGINE_ARGS='--memory 64M --hugepages on'

reserve()
{
	[[ -r $free ]] || fn_skip "this kernel has no huge pages of 2 MB"
	before=$(<$reserved)
	# What is in use comes back when its user ends; our own engines end later than this.
	trap 'status=$?; echo "$before" >$reserved || true; fn_exit $status' EXIT
	echo $((before + wanted)) 2>/dev/null >$reserved || fn_skip "may not write $reserved"
	(($(<$free) >= wanted)) ||
		fn_skip "the kernel found $(<$free) of $wanted huge pages, memory is in pieces"
}

redis() { fn_client redis-cli -h "$FN_SRV_ADDR" "$@"; }

e2e_start "${1:-auto}" nowire
reserve
fn_up
for log in "$FN_TMP"/engine*.log; do
	check "${log##*/}: memory in huge pages" grep -q '64 MB in 2 MB pages' "$log"
done
fn_app redis redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP"
fn_wait_port 6379 redis
value=$(head -c 60000 /dev/zero | tr '\0' v)
same "a long value goes there" "$(redis set long "$value")" OK
same "and comes back" "$(redis get long | md5sum)" "$(echo "$value" | md5sum)"
check "redis-benchmark" fn_client redis-benchmark -h "$FN_SRV_ADDR" -c 20 -n 20000 -t set,get -P 4 --csv
proved
