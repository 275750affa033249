#!/bin/bash
# mTCP's interface over a wire: the server and the load generator of tests/mtcp, two contexts each, against
# the kernel, against each other and against a preloaded program; then while the engine is replaced, and
# after it was killed.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# native NAME command...: on libmtcp.so, beside the server's engine, in the background
native()
{
	local name=$1
	shift
	fn_bg "$name" nsenter --net="/run/netns/$FN_SRV" -- env FASTNET_SOCKET="$FN_SRV_SOCKET" \
		FASTNET_AUTOSTART=0 "$@"
}

# load WHAT command...: 0 errors, all connections; the figures are printed
load()
{
	local what=$1 out=$FN_TMP/load.out
	shift
	"$@" >"$out" 2>"$FN_TMP/load.log" ||
		{ cat "$out" "$FN_TMP/load.log" >&2; fn_die "$what: failed"; }
	same "$what: errors" "$(jq .errors "$out")" 0
	ok "$what: $(jq -r '"\(.connections) connections, \(.requests) requests, \(.rate) a second"' "$out")"
}

on_native()
{
	timeout "$FN_TIMEOUT" nsenter --net="/run/netns/$FN_SRV" -- env FASTNET_SOCKET="$FN_SRV_SOCKET" \
		FASTNET_AUTOSTART=0 "$@"
}

# served NAME: ends the server; it has had no error, and both of its contexts had work
served()
{
	fn_stop "$1"
	same "$1: exit status" "$FN_STATUS" 0
	ok "$1: $(tail -n 1 "$FN_TMP/$1.log")"
	check "$1: both contexts accepted" eval "(( $(tail -n 1 "$FN_TMP/$1.log" | jq .least) > 0 ))"
}

# connections one after the other, for as long as it takes
stream_of_loads()
{
	local n=0
	while [[ ! -e $FN_TMP/enough ]]; do
		fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 -n 1 -c 200 -k 20 -r 2 -s 64 \
			>/dev/null 2>>"$FN_TMP/stream.log" || { echo failed >"$FN_TMP/stream"; return 1; }
		n=$((n + 200))
	done
	echo "$n" >"$FN_TMP/stream"
}

both_bound() { (($(grep -c bound "$FN_TMP/bound.log") == 2)); }

replaced_engine()
{
	local stream
	native bound "$bin/epserve" -a "$FN_SRV_ADDR" -p 7005 -n 2 -w "$FN_TMP/listen"
	check "sockets that are bound only" fn_wait_for 10 both_bound
	stream_of_loads &
	stream=$!
	sleep 0.3
	check "another engine takes over" fn_tool engine upgrade --drain 20
	sleep 0.5
	touch "$FN_TMP/enough"
	wait "$stream" || { cat "$FN_TMP/stream.log" >&2; fn_die "a connection failed meanwhile"; }
	ok "connections meanwhile, none failed: $(cat "$FN_TMP/stream")"
	touch "$FN_TMP/listen"
	fn_wait_port 7005 bound
	load "bound before the upgrade" fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7005 -n 2 -c 100
	served bound
	load "after the upgrade, kernel client" fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 \
		-n 2 -c 200 -r 5
}

all_connected() { (($(fn_tool ss | grep -c 'ESTAB.*:7004 .*epload') == 50)); }

# a client whose engine ends is told so at once, on every connection
ending_with_the_engine()
{
	local client
	on_native "$bin/epload" -a "$FN_CLI_ADDR" -p 7004 -n 2 -c 50 -r 1000000 >"$FN_TMP/ending.out" \
		2>"$FN_TMP/ending.log" &
	client=$!
	check "a client is at work" fn_wait_for 10 all_connected
	kill -KILL "$1"
	if wait "$client"; then
		fn_die "a client has not noticed that its engine has ended"
	fi
	same "connections that ended with the engine" "$(jq .errors "$FN_TMP/ending.out")" 50
	# who waits is told by the event, who is just reading or writing by the call
	same "why" "$(grep -cE 'event: Connection reset by peer|bytes: Transport endpoint is not connected' \
		"$FN_TMP/ending.log")" 10
}

answers() { FN_TIMEOUT=5 fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 -c 1; }

killed_engine()
{
	local pid
	pid=$(fn_tool engine status | awk '$1 == "pid" { print $2 }')
	fn_client_bg kernel "$bin/epserve_kernel" -a "$FN_CLI_ADDR" -p 7004 -n 2
	check "the kernel's server listens" fn_wait_for 10 on_native "$bin/epload" -a "$FN_CLI_ADDR" -p 7004
	ending_with_the_engine "$pid"
	fn_wait_for 10 eval "[[ ! -d /proc/$pid ]]"
	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$(fn_port_of srv)" ||
		fn_die "no engine after the kill"
	check "the server listens at the next engine" fn_wait_for 20 answers
	load "after the kill, kernel client" fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 \
		-n 2 -c 200 -r 5
}

e2e_start "${1:-auto}"
fn_need jq
bin=$FN_BUILD/tests/mtcp
conns=$(full_or 10000 1000)
FN_TIMEOUT=$(full_or 300 60)

native server "$bin/epserve" -a "$FN_SRV_ADDR" -p 7001 -n 2
fn_wait_port 7001 server
load "kernel client, native server" fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 -n 2 \
	-c "$conns" -r 10 -s 64
load "native client, native server" on_native "$bin/epload" -a "$FN_SRV_ADDR" -p 7001 -n 2 -c "$conns" \
	-r 10 -s 64
load "preloaded client, native server" fn_on_stack "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7001 -n 2 \
	-c 200 -r 10 -s 64
check "the tool knows the server" eval "fn_tool ss | grep -q 'LISTEN.*:7001 .*epserve'"
served server

native edge "$bin/epserve" -a "$FN_SRV_ADDR" -p 7002 -n 2 -e
fn_wait_port 7002 edge
load "kernel client, edges, 20000 bytes" fn_client "$bin/epload_kernel" -a "$FN_SRV_ADDR" -p 7002 -n 2 \
	-c 100 -r 20 -s 20000 -e
load "native client, edges, 20000 bytes" on_native "$bin/epload" -a "$FN_SRV_ADDR" -p 7002 -n 2 -c 100 \
	-r 20 -s 20000 -e
served edge

fn_client_bg kernel "$bin/epserve_kernel" -a "$FN_CLI_ADDR" -p 7003 -n 2
check "the kernel's server listens" fn_wait_for 10 on_native "$bin/epload" -a "$FN_CLI_ADDR" -p 7003
load "native client, kernel server" on_native "$bin/epload" -a "$FN_CLI_ADDR" -p 7003 -n 2 -c "$conns" \
	-r 10 -s 64
served kernel
proved
drained 20

native server "$bin/epserve" -a "$FN_SRV_ADDR" -p 7001 -n 2
fn_wait_port 7001 server
replaced_engine
killed_engine
served server
