#!/bin/bash
# Sudden death of the program, and of the engine.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli

redis_start()
{
	fn_app "$1" redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP"
	fn_wait_port 6379 "$1"
}

redis() { fn_client redis-cli -h "$FN_SRV_ADDR" "$@"; }

no_peer_left() { ! fn_tool ss | grep -q "$FN_CLI_ADDR"; }

# kill -9 of the program: peers are reset and the port is free, both within a second.
program_dies()
{
	redis_start first
	fn_client_bg peers python3 -u "$e2e_dir/peer_watch.py" "$FN_SRV_ADDR" 6379 50
	check "fifty peers are connected" fn_wait_for 10 grep -q connected "$FN_TMP/peers.log"
	local start end
	start=$(fn_now_ms)
	fn_stop first KILL
	check "every peer was reset" fn_wait_for 5 grep -q '^reset 50$' "$FN_TMP/peers.log"
	end=$(fn_now_ms)
	soon "ms until the last peer knew" $((end - start)) 1000
	fn_stop peers
	start=$(fn_now_ms)
	redis_start second
	soon "ms until a new server answers on the port" $(($(fn_now_ms) - start)) 1000
	same "the new server" "$(redis ping)" PONG
	# The connection of the ping just now may be closing still: within a second, as all the others.
	[[ $FN_STACK == kernel ]] ||
		check "no socket of the dead program is left" fn_wait_for 1 no_peer_left
	proved
}

# kill -9 of the engine: its programs see errors, do not hang and do not die.
engine_dies()
{
	fn_client_bg peer socat -u TCP-LISTEN:9000,reuseaddr,fork OPEN:/dev/null
	sleep 0.3
	fn_app victim python3 -u "$e2e_dir/engine_watch.py" "$FN_CLI_ADDR" 9000
	check "a program waits in recv, epoll and accept" \
		fn_wait_for 10 grep -q waiting "$FN_TMP/victim.log"
	local start name
	local -A port=([epoll]=7000 [blocked]=7001)
	fn_app epoll python3 "$e2e_dir/udp_peer.py" echo 7000
	fn_app blocked python3 "$e2e_dir/udp_peer.py" serve 7001
	for name in epoll blocked; do
		check "a datagram server: $name" fn_wait_for 10 grep -q ready "$FN_TMP/$name.log"
	done
	start=$(fn_now_ms)
	fn_stop engine KILL
	check "all its calls came back" fn_wait_for 5 grep -q '^all back' "$FN_TMP/victim.log"
	soon "ms until they did" $(($(fn_now_ms) - start)) 2000
	cat "$FN_TMP/victim.log"
	check "the program lives" fn_alive victim
	check "redis lives" fn_alive second
	check "datagram servers live" fn_alive epoll
	fn_stop victim
	fn_stop second

	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$(fn_port_of srv)" ||
		fn_die "no new engine starts on the same socket and port"
	ok "a new engine starts on the same socket and port"
	redis_start third
	same "and serves" "$(redis ping)" PONG
	for name in epoll blocked; do
		check "and the datagram server of before: $name" fn_wait_for 10 eval "[[ \$(fn_client \
			python3 $e2e_dir/udp_peer.py ask $FN_SRV_ADDR ${port[$name]}) == 'all lengths' ]]"
		fn_stop "$name"
	done
	proved
}

# An engine that is told to end twice does so at once, whatever its programs still have.
told_twice()
{
	redis_start fourth
	fn_client_bg peers python3 -u "$e2e_dir/peer_watch.py" "$FN_SRV_ADDR" 6379 50
	check "fifty peers are connected" fn_wait_for 10 grep -q connected "$FN_TMP/peers.log"
	kill -TERM "${fn_pid[engine]}"
	kill -INT "${fn_pid[engine]}"
	fn_stop engine
	same "an engine told twice ends well" "$FN_STATUS" 0
	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$(fn_port_of srv)" ||
		fn_die "no new engine starts on the same socket and port"
	ok "a new engine starts on the same socket and port"
	fn_stop peers
	fn_stop fourth
	redis_start fifth
	same "and serves" "$(redis ping)" PONG
	proved
}

e2e_start "${1:-auto}"
program_dies
[[ $FN_STACK == kernel ]] && exit 0
engine_dies
fn_stop third
told_twice
