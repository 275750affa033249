#!/bin/bash
# The engine is killed under servers of several processes: when a new one serves, they are back by
# themselves, sharing what they shared; programs that reconnect go on.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need nginx curl wrk redis-server redis-benchmark haproxy

engine_again()
{
	fn_stop engine KILL
	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$(fn_port_of srv)" ||
		fn_die "no new engine starts"
}

workers() { cat "/proc/$master/task/$master/children" 2>/dev/null; }

# attached NAME N: so many processes of that name are with the engine.
attached()
{
	(($(fn_tool explain | awk -v n="$1" '$2 == n { p[$1] } END { print length(p) }') >= $2))
}

all_new()
{
	local pid now
	now=$(workers)
	for pid in $old; do
		[[ " $now " != *" $pid "* ]] || return 1
	done
	(($(wc -w <<<"$now") == 4))
}

answers() { fn_client curl -sf --max-time 2 -o /dev/null "http://$FN_SRV_ADDR:$port/f"; }

load()
{
	: >"$FN_TMP/access"
	fn_client wrk --timeout 20s -t 1 -c 64 -d 1 -H 'Connection: close' "http://$FN_SRV_ADDR:$port/f" \
		>"$FN_TMP/wrk" 2>&1
	if grep -qE 'Socket errors|Non-2xx' "$FN_TMP/wrk"; then
		cat "$FN_TMP/wrk" >&2
		fn_die "$1: failed requests"
	fi
	same "$1: no failed request; workers that share the listener" \
		"$(awk '{ n[$1] } END { print length(n) }' "$FN_TMP/access")" 4
}

# The listener is the master's, on a port below 1024, and its workers are another user.
nginx_comes_back()
{
	local what=$1 start i old
	port=$3
	nginx_conf "$2" "log_format w '\$pid \$status'; access_log $FN_TMP/access w;"
	check "$what: starts" fn_on_stack nginx -p "$FN_TMP" -c "$FN_TMP/nginx.conf"
	check "$what: wrote its pid" fn_wait_for 5 test -s "$FN_TMP/nginx.pid"
	master=$(cat "$FN_TMP/nginx.pid")
	fn_pid[nginx]=$master
	load "$what"
	for i in 1 2; do
		engine_again
		start=$(fn_now_ms)
		check "$what: answers after engine $i was killed" fn_wait_for 10 answers
		soon "$what: ms until it did" $(($(fn_now_ms) - start)) 2000
		check "$what: all workers are back" fn_wait_for 5 attached nginx 4
		load "$what, engine $((i + 1))"
	done
	# The master has slept through both engines; its new workers get the listener from it.
	old=$(workers)
	kill -HUP "$master"
	check "$what: reloads" fn_wait_for 10 all_new
	load "$what, reloaded"
	kill -QUIT "$master"
	check "$what: ends" fn_wait_for 10 eval "! kill -0 $master"
	unset 'fn_pid[nginx]'
	check "$what: no listener is left" fn_wait_for 2 no_listener
	proved "$what"
}

no_listener() { ! fn_tool ss | grep -q LISTEN; }

# Blocking calls, on the stack only: nothing but the engine's end wakes them.
prefork_comes_back()
{
	local i
	fn_app prefork python3 -u "$e2e_dir/prefork.py" serve "$FN_SRV_ADDR" 7000 3
	fn_wait_port 7000 prefork
	# More engines than a process can be attached to at once.
	for ((i = 0; i < $(full_or 20 3); i++)); do
		((i == 0)) || engine_again
		check "three processes are with engine $i" fn_wait_for 10 attached python3 3
		check "a shared listener and a shared datagram socket under engine $i" \
			fn_wait_for 10 all_three
		cat "$FN_TMP/asked"
	done
	fn_stop prefork
	proved prefork
}

all_three()
{
	fn_client python3 "$e2e_dir/prefork.py" ask "$FN_SRV_ADDR" 7000 60 >"$FN_TMP/asked" &&
		grep -q "^3 by stream, [123] by datagram" "$FN_TMP/asked"
}

more_rounds() { (($(wc -l <"$FN_TMP/bench.log") > rounds + 1)); }

redis_benchmark_retries()
{
	fn_app redis redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP"
	fn_wait_port 6379 redis
	# One that meets a refusal at its very start waits for ever: a limit, then the next one.
	fn_client_bg bench bash -c "while :; do timeout 5 redis-benchmark -h $FN_SRV_ADDR \
		-t set,get -n 20000 -c 20 -q >/dev/null 2>&1 </dev/null && echo round; done"
	check "redis-benchmark runs" fn_wait_for 20 grep -q round "$FN_TMP/bench.log"
	engine_again
	rounds=$(wc -l <"$FN_TMP/bench.log")
	check "redis-benchmark is back" fn_wait_for 20 more_rounds
	check "redis lives" fn_alive redis
	fn_stop bench
	fn_stop redis
	proved redis
}

haproxy_comes_back()
{
	cat >"$FN_TMP/haproxy.cfg" <<-CONF
		global
		    nbthread 2
		    maxconn 1000
		defaults
		    mode http
		    timeout connect 2s
		    timeout client 5s
		    timeout server 5s
		    retries 3
		frontend in
		    bind $FN_SRV_ADDR:8080
		    default_backend out
		backend out
		    server s $FN_CLI_ADDR:9000 check inter 500ms rise 1
	CONF
	fn_client_bg backend python3 -u "$e2e_dir/http_peer.py" 9000 "$FN_TMP/www"
	fn_app haproxy haproxy -W -f "$FN_TMP/haproxy.cfg"
	port=8080
	check "haproxy serves through its backend" fn_wait_for 10 answers
	engine_again
	check "haproxy is back" fn_wait_for 10 answers
	fn_stop haproxy
	fn_stop backend
	proved haproxy
}

[[ $FN_STACK == kernel ]] && fn_skip "this test is about the engine"
e2e_start "${1:-auto}"
mkdir "$FN_TMP/www"
head -c 1000 /dev/urandom >"$FN_TMP/www/f"
chmod -R a+rX "$FN_TMP/www"
nginx_comes_back "nginx on any address" 80 80
nginx_comes_back "nginx on the stack's address" "$FN_SRV_ADDR:81" 81
prefork_comes_back
redis_benchmark_retries
haproxy_comes_back
