#!/bin/bash
# IPv6 groups over a wire, against the kernel: both as member and as sender, what routers are told (MLDv2),
# and members that stay when another engine takes over.  usage: group6.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need python3

us=fd77::2 peer=fd77::1 second=fd77::11
FN_ENGINE_ARGS="--addr 10.77.0.2/24,$us/64"
e2e_start "${1:-auto}"
[[ $FN_STACK == fastnet ]] || fn_skip "only fastnet's own groups"
fn_in "$FN_CLI" sysctl -qw net.ipv6.conf.fn1.accept_dad=0 net.ipv6.conf.fn1.disable_ipv6=0
fn_ip "$FN_CLI" addr add $peer/64 dev fn1 nodad
fn_ip "$FN_CLI" addr add $second/64 dev fn1 nodad

# expected SERVER: what its client prints.
expected()
{
	local same="the same from $1"
	echo "a query: told"
	echo "of one source: told"
	echo "a group: $same"
	echo "a large one: $same"
	echo "a group of the link: the same from its link address"
	echo "wanted of us: $same"
	echo "not of others: TimeoutError"
	echo "not joined: TimeoutError"
	echo "leaving: $same told"
	echo "a group that was left: TimeoutError"
	echo "the end: $same told"
}

serve() { fn_app "$1" python3 -u "$e2e_dir/group6.py" serve fn0 5000 $peer; }
ready() { fn_wait_for 20 grep -q ready "$FN_TMP/$1.log"; }

serve server
check "a member on the stack" ready server
same "what the kernel sees of it" "$(fn_client python3 "$e2e_dir/group6.py" ask fn1 5000 $peer $us $second)" \
	"$(expected $us)"

# The kernel as the member.
fn_client_bg peer python3 -u "$e2e_dir/group6.py" serve fn1 5000 $us
check "a member in the client's namespace" ready peer
answer=$(fn_on_stack python3 "$e2e_dir/group6.py" once fn0 5000 $us)
# by whichever of its addresses
same "what the stack sees of it" "${answer/%$second/$peer}" "the same from $peer"
fn_stop peer

# Another engine takes over: its groups come along.
serve again
check "another member on the stack" ready again
old=${fn_pid[engine]}
out=$(fn_tool engine upgrade) || fn_die "no upgrade"
fn_pid[engine]=$(awk '$1 == "serving" { print $2 }' <<<"$out")
fn_pid[engine_before]=$old
answered() { [[ $(fn_client python3 "$e2e_dir/group6.py" once fn1 5000 $peer) == "the same from $us" ]]; }
check "a member that another engine has taken over" fn_wait_for 20 answered
not_draining() { ! fn_tool engine status | grep -q '^draining'; }
check "the engine before it has nothing left" fn_wait_for 30 not_draining
same "and all that the kernel sees of it" \
	"$(fn_client python3 "$e2e_dir/group6.py" ask fn1 5000 $peer $us $second)" "$(expected $us)"
proved
