#!/bin/bash
# Chaos: 8 servers with workers and 8 clients; killed, stopped, forked and
# replaced (exec) at random, by a seed. Every
# stream that no kill excuses arrives whole, and at the end the engine holds nothing.
# chaos.sh [local|WIRE] [seed]     local: both sides on one engine; else clients of the kernel's stack
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

stat_of() { fn_tool stat -a | awk -v n="$1" '$1 == n { print $2 }'; }

is_at()
{
	local v
	v=$(stat_of "$1")
	[[ -n $v && $v -le $2 ]]
}

[[ ${1:-local} != local ]] || FN_ENGINE_ARGS="--workers 2"
e2e_start "${1:-local}"
seed=${2:-$((RANDOM * 32768 + RANDOM))}
seconds=${CHAOS_SECONDS:-$(full_or 300 8)}
program=$FN_BUILD/tests/chaos/chaos
[[ -x $program ]] || fn_die "$program is not built"
floor=0
[[ $FN_STACK == kernel ]] || floor=$(stat_of host_packets)
preload=
[[ $FN_STACK == kernel ]] || preload=$FN_SHIM
fn_say "seed $seed"
# What the engine has counted explains a failure.
chaos() { timeout "$@" || { [[ $FN_STACK == kernel ]] || fn_tool stat >&2; return 1; }; }
check "$seconds seconds of chaos" chaos $((seconds + 120)) env \
	CHAOS_SERVER_PRELOAD="$preload" CHAOS_SERVER_NETNS="/run/netns/$FN_SRV" \
	CHAOS_CLIENT_PRELOAD="${FN_CLI_SOCKET:+$preload}" CHAOS_CLIENT_NETNS="/run/netns/$FN_CLI" \
	FASTNET_SOCKET="${FN_SRV_SOCKET-}" FASTNET_AUTOSTART=0 \
	unshare --pid --fork "$program" boss "$seed" "$seconds" "$FN_SRV_ADDR"
[[ $FN_STACK == kernel ]] && exit 0
check "no program is attached" fn_wait_for 10 is_at host_clients 0
check "no socket is left" fn_wait_for 10 is_at host_sockets 0
check "no ring is left" is_at host_ring_bytes 0
same "sockets that ss shows" "$(fn_tool ss | tail -n +2 | grep -vc TIME-WAIT || true)" 0
# What a data thread keeps in its cache stays with it.
check "packet buffers are back: $floor before, $(stat_of host_packets) after" \
	fn_wait_for 10 is_at host_packets $((floor + 512))
proved
