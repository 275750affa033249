#!/bin/bash
# Handshakes with a Linux peer: Fast Open as server and client (RFC 7413), SYN cookies with their options,
# connections that both sides open at once.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need python3 nft

peer=$e2e_dir/handshake_peer.py
n=$(full_or 200 20)
stat_of() { fn_tool stat -a | awk -v n="$1" '$1 == n { print $2 }'; }
at_least()
{
	awk -v a="$2" -v b="$3" 'BEGIN { exit !(a >= b) }' || fn_die "$1: $2, wanted is at least $3"
	ok "$1: $2 (at least $3)"
}

FN_ENGINE_ARGS="--fastopen 3 --workers 2"
e2e_start "${1:-auto}"
for ns in "$FN_CLI" "$FN_SRV"; do
	fn_in "$ns" sh -c 'echo 3 >/proc/sys/net/ipv4/tcp_fastopen'
done

# ---- Fast Open: the first connection fetches the cookie, all others use it ----
fn_app server python3 "$peer" serve 9000 64 16
fn_wait_port 9000 server
at_least "Linux as client: SYNs whose data was taken" \
	"$(fn_client python3 "$peer" fast "$FN_SRV_ADDR" 9000 "$n")" $((n - 1))
[[ $FN_STACK == kernel ]] || at_least "... and as the engine counts" \
	"$(stat_of tcp_fastopen_passive)" $((n - 1))
fn_stop server

fn_client_bg server python3 "$peer" serve 9001 64 16
check "the Linux server listens" fn_wait_for 10 \
	fn_in "$FN_CLI" bash -c 'ss -Hltn sport = :9001 | grep -q .'
at_least "Linux as server: SYNs whose data was taken" \
	"$(fn_on_stack python3 "$peer" fast "$FN_CLI_ADDR" 9001 "$n")" $((n - 2)) # a cookie for each thread
fn_stop server

# ---- a listener with a backlog of 0 has a queue that is always full: every handshake is a cookie ----
fn_app server python3 "$peer" serve 9002 0 0
fn_wait_port 9002 server
before=$([[ $FN_STACK == kernel ]] || stat_of tcp_cookie_taken)
check "$n connections by cookies, 400 kB there and back" \
	fn_client python3 "$peer" load "$FN_SRV_ADDR" 9002 "$n" 400000
if [[ $FN_STACK != kernel ]]; then
	at_least "cookies that came back" $(($(stat_of tcp_cookie_taken) - before)) "$n"
	same "cookies that did not hold" "$(stat_of tcp_cookie_failed)" 0
fi
fn_stop server

proved
drained 20

# The far end's segments have to come to the data thread that has the bound socket: one for all.
if [[ $FN_STACK != kernel ]]; then
	fn_stop engine
	FN_ENGINE_ARGS="--workers 1"
	fn_engines_start
fi

# ---- 24 connections that both sides open: a SYN that comes too early must not draw a reset ----
fn_in "$FN_CLI" nft -f - <<'RULES'
table ip fn_noreset {
	chain in { type filter hook input priority 0; tcp flags rst drop; }
	chain out { type filter hook output priority 0; tcp flags rst drop; }
}
RULES
fn_client_bg crossing python3 "$peer" cross "$FN_CLI_ADDR" 7000 "$FN_SRV_ADDR" 7100 24
same "connections that both sides opened" \
	"$(fn_on_stack python3 "$peer" cross "$FN_SRV_ADDR" 7100 "$FN_CLI_ADDR" 7000 24)" 24
check "the other side ends well" fn_wait_for 30 eval '! fn_alive crossing'
fn_in "$FN_CLI" nft delete table ip fn_noreset
proved
drained 20
