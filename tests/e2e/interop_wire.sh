#!/bin/bash
# Streams between the stack and Linux over a wire that loses, delays, reorders and duplicates frames in both
# directions, both ways at once, every byte compared; with all that SYNs can agree on about loss.
# FASTNET_E2E_FULL=1: a grid of wires, and each pair of congestion controls.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/interop_lib.sh
. "$e2e_dir/interop_lib.sh"

seed=${1:-$((RANDOM * 32768 + RANDOM))}

# at_once WHAT: what was begun by begin_*() has to end well
at_once()
{
	local name
	for name in "${begun[@]}"; do
		wait "${fn_pid[$name]}" || fn_die "$1: $name failed (seed $seed)" # and its log is shown
		[[ -z ${INTEROP_TELL-} ]] || fn_say "$name: $(cat "$FN_TMP/$name.log")"
		unset "fn_pid[$name]"
	done
	ok "$1: ${#begun[@]} streams at once, seed $seed"
	begun=()
}

begin()	# LINUX' OURS key=value...: a pair of congestion controls, as client and as server
{
	local theirs=$1 ours=$2 n=${#begun[@]}
	shift 2
	FN_TIMEOUT=200
	fn_bg "from_$n" fn_client "$streams" to "$FN_SRV_ADDR" 7000 cc="$theirs" peer-cc="$ours" \
		seed=$((seed + n)) "$@"
	fn_bg "to_$n" fn_on_stack "$streams" to "$FN_CLI_ADDR" 7000 cc="$ours" peer-cc="$theirs" \
		seed=$((seed + n + 1)) "$@"
	begun+=("from_$n" "to_$n")
}

short_form()
{
	local bits
	for bits in 3 2 1 0; do
		linux_tcp timestamps=$((bits & 1)) sack=$((bits >> 1))
		wire_set 10 200 "$((seed + bits))" 10000 20000 10000 both
		begin cubic cubic up=2000000 down=1000000
		begin reno reno up=500000 down=1500000
		begin bbr bbr up=1000000 down=1000000
		at_once "1 % lost, 2 % late, 1 % twice; timestamps $((bits & 1)), SACK $((bits >> 1))"
	done
}

full_form()
{
	local rtt rate loss ours theirs
	for rtt in 1 20 100; do
		for rate in 10 100 1000; do
			for loss in 1000 10000 30000 50000; do
				wire_set $rtt $rate "$seed" $loss $((loss * 2)) 10000 both
				for theirs in cubic reno bbr; do
					for ours in cubic reno bbr; do
						begin $theirs $ours up=500000 down=500000
					done
				done
				at_once "$rtt ms, $rate Mbit/s, lost $loss ppm"
			done
		done
	done
}

begun=()
e2e_start af_packet nowire
wire_up
servers_start
short_form
if ((E2E_FULL)); then
	full_form
fi
servers_stop
wire_set 1 1000 1
proved
drained 60
