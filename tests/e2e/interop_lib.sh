#!/bin/bash
# What the tests against Linux share: a server of streams on either side, and a client on the other.
# tests/interop/main.c tells what a stream can be ordered to be.
# Sourced, never run.
# SPDX-License-Identifier: MIT

said=()	# what the last clients printed

# linux_tcp NAME=VALUE...: net.ipv4.tcp_NAME of the kernel that is the peer
linux_tcp()
{
	local word
	for word in "$@"; do
		fn_in "$FN_CLI" sh -c "echo ${word#*=} >/proc/sys/net/ipv4/tcp_${word%%=*}"
	done
}

# The wire of tests/bench/lossywire.c between the two namespaces, good at first; instead of fn_up().
wire_up()
{
	fn_netns_add "$FN_SRV"
	fn_netns_add "$FN_CLI"
	fn_ip "$FN_CLI" link set lo up
	mkfifo "$FN_TMP/orders"
	"$FN_BUILD/tests/interop/lossywire" "/run/netns/$FN_SRV" "/run/netns/$FN_CLI" 3600 \
		<"$FN_TMP/orders" >"$FN_TMP/wire.out" 2>"$FN_TMP/wire.log" &
	# shellcheck disable=SC2034,SC2154	# an array of scripts/lib.sh
	fn_pid[wire]=$!
	exec 7>"$FN_TMP/orders"
	fn_wait_for 5 test -s "$FN_TMP/wire.out" || fn_die "the wire did not start"
	fn_addr_add "$FN_CLI" fn1 "$FN_CLI_ADDR"
	fn_ip "$FN_CLI" link set fn1 up
	fn_ip "$FN_SRV" link set fn0 up
	if [[ $FN_STACK == kernel ]]; then
		fn_ip "$FN_SRV" link set lo up
		fn_addr_add "$FN_SRV" fn0 "$FN_SRV_ADDR"
	else
		fn_deafen "$FN_SRV" fn0
		fn_engines_start
	fi
}

# wire_set RTT_MS RATE_MBIT SEED [LOSS_PPM REORDER_PPM DUP_PPM [both]]; in force when it returns
wire_set()
{
	local before queue=$(($1 * $2 * 125))
	before=$(wc -l <"$FN_TMP/wire.out")
	((queue > 100000)) || queue=100000
	echo "set $1 $2 $queue ${4:-0} ${5:-0} $3 ${6:-0} ${7-}" >&7
	fn_wait_for 5 eval "(( \$(wc -l <'$FN_TMP/wire.out') > $before ))" ||
		fn_die "the wire does not answer"
}

servers_start()
{
	streams=$FN_BUILD/tests/interop/streams
	[[ -x $streams ]] || fn_die "$streams is not built"
	fn_app server "$streams" serve 7000 "$(by_family 0.0.0.0 ::)"
	fn_wait_port 7000 server
	fn_client_bg linux_server "$streams" serve 7000 "$(by_family 0.0.0.0 ::)"
	fn_wait_for 10 fn_in "$FN_CLI" bash -c 'ss -Hltn sport = :7000 | grep -q .' ||
		fn_die "the server on Linux' side does not listen"
}

servers_stop()
{
	fn_stop server
	fn_stop linux_server
}

# one WHAT command...: the stream is whole, and its figures are kept
one()
{
	local what=$1 line
	shift
	line=$("$@") || fn_die "$what: failed: $*"
	said+=("$line")
	ok "$what${INTEROP_TELL:+: $line}"
}

from_linux() { said=() && one "$1, from Linux" fn_client "$streams" to "$FN_SRV_ADDR" 7000 "${@:2}"; }
to_linux() { said=() && one "$1, to Linux" fn_on_stack "$streams" to "$FN_CLI_ADDR" 7000 "${@:2}"; }

both_roles()
{
	local first
	from_linux "$@"
	first=${said[0]}
	to_linux "$@"
	said=("$first" "${said[0]}")
}

stat_of() { fn_tool stat -a | awk -v n="$1" '$1 == n { print $2 }'; }

# field N LINE...: the Nth word of each line
field()
{
	local n=$1 line
	shift
	for line in "$@"; do
		awk -v n="$n" '{ print $n }' <<<"$line"
	done
}

# "right UP DOWN options OWN PEER backoff OWN PEER segs OWN PEER retrans OWN PEER"
# agreed_of LINE...: what the SYNs have agreed on, as both ends say: 1 timestamps, 2 SACK, 4 scaling, 8 ECN
agreed_of() { { field 5 "$@"; field 6 "$@"; } | awk '{ printf("%s%d", (NR > 1 ? " " : ""), $1 % 16) }'; }
backoff_of() { { field 8 "$@"; field 9 "$@"; } | sort -n | tail -n 1; }
segs_of() { field 11 "$@" | sort -n | tail -n 1; }
