#!/bin/bash
# iperf3 in both directions and with eight streams, server and client on the stack.
# usage: iperf3.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need iperf3 jq

# moved WHAT FILE: the JSON report has no error and bytes arrived.
moved()
{
	local error gbit
	error=$(jq -r '.error // ""' "$2")
	[[ -z $error ]] || fn_die "$1: $error"
	gbit=$(jq -r '.end.sum_received.bits_per_second / 1e9 * 100 | round / 100' "$2")
	[[ $gbit != 0 ]] || fn_die "$1: nothing arrived"
	ok "$1: $gbit Gbit/s"
}

e2e_start "${1:-auto}"
seconds=$(full_or 10 1)
each=("" "-R" "-P 8" "-P 8 -R")
[[ $FN_FAMILY == 4 || $E2E_FULL == 1 ]] || each=("" "-P 8 -R")
fn_app server iperf3 -s -p 5201
fn_wait_port 5201 server
for options in "${each[@]}"; do
	# shellcheck disable=SC2086	# words
	fn_client iperf3 -c "$FN_SRV_ADDR" -p 5201 -t "$seconds" -J $options >"$FN_TMP/report" ||
		{ jq -r '.error // .' "$FN_TMP/report" >&2; fn_die "iperf3 $options failed"; }
	moved "server on the stack, iperf3${options:+ $options}" "$FN_TMP/report"
done
# positions of a stream wrap at 4 GB, and comparing them by sign holds for 2 GB
if [[ $FN_WIRE == local ]]; then
	for options in "" "-R"; do
		# shellcheck disable=SC2086	# words
		fn_client iperf3 -c "$FN_SRV_ADDR" -p 5201 -n 5G -J $options >"$FN_TMP/report" ||
			fn_die "5 GB, iperf3 $options failed"
		moved "5 GB in one stream${options:+, $options}" "$FN_TMP/report"
		at_most "bytes under way when it counted" "$(jq '5 * 1024 * 1024 * 1024
			- .end.sum_received.bytes' "$FN_TMP/report")" 16000000
	done
fi
fn_stop server

fn_client_bg peer iperf3 -s -p 5202
check "a server in the client's namespace" fn_wait_for 10 fn_port_open "$FN_CLI_ADDR" 5202
for options in "${each[@]}"; do
	# shellcheck disable=SC2086	# words
	fn_on_stack iperf3 -c "$FN_CLI_ADDR" -p 5202 -t "$seconds" -J $options >"$FN_TMP/report" ||
		{ jq -r '.error // .' "$FN_TMP/report" >&2; fn_die "iperf3 $options failed"; }
	moved "client on the stack, iperf3${options:+ $options}" "$FN_TMP/report"
done
proved
