#!/bin/bash
# socat: select(), half-close, a forked child per connection, and as a client.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need socat

e2e_start "${1:-auto}"
size=$(full_or 200000000 20000000)
head -c "$size" /dev/urandom >"$FN_TMP/data"
want=$(sha "$FN_TMP/data")

fn_app sink socat -u TCP-LISTEN:9000,reuseaddr "CREATE:$FN_TMP/sunk"
sleep 0.3
fn_client socat -u "OPEN:$FN_TMP/data" "TCP:$FN_SRV_ADDR:9000,retry=50,interval=0.1"
check "the receiver ends with the stream" fn_wait_for 10 eval '! fn_alive sink'
same "$size bytes into socat" "$(sha "$FN_TMP/sunk")" "$want"
fn_stop sink

# the client half-closes; the echo has to come back whole after that
fn_app echo socat TCP-LISTEN:9001,reuseaddr,fork EXEC:cat
fn_wait_port 9001 echo
for i in 1 2 3; do
	fn_client socat -t 20 "TCP:$FN_SRV_ADDR:9001" - <"$FN_TMP/data" >"$FN_TMP/echoed"
	same "echo through a forked child, round $i" "$(sha "$FN_TMP/echoed")" "$want"
done
fn_stop echo

fn_client_bg peer socat -u "OPEN:$FN_TMP/data" TCP-LISTEN:9002,reuseaddr
sleep 0.3
fn_on_stack socat -u "TCP:$FN_CLI_ADDR:9002,retry=50,interval=0.1" "CREATE:$FN_TMP/back"
same "socat as a client" "$(sha "$FN_TMP/back")" "$want"
proved
