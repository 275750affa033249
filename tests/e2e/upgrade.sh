#!/bin/bash
# `fastnet engine upgrade` under load: another engine takes over, established connections go on, and no
# client sees a connection fail or a listener refuse. Over IPv6 with clients of both families; what has no
# addresses in it is left to IPv4.  usage: upgrade.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need nginx curl wrk redis-server redis-cli

upgrades=0
# upgrade WHAT [OPTION...]: does it, and remembers the process ids of both.
upgrade()
{
	local what=$1 out
	shift
	old=${fn_pid[engine]}
	out=$(fn_tool engine upgrade "$@") || fn_die "$what: no upgrade"
	fn_pid[engine]=$(awk '$1 == "serving" { print $2 }' <<<"$out")
	fn_pid[engine_before$((++upgrades))]=$old
	check "$what: another process serves" test "${fn_pid[engine]}" != "$old"
	fn_note "$what: the engines stood still for $(awk '$1 == "pause_ms" { print $2 }' <<<"$out") ms"
}

is_gone() { [[ ! -d /proc/$1 || $(fn_proc_state "$1") == [ZX]* ]]; }
draining() { fn_tool engine status | grep -q '^draining'; }
not_draining() { ! draining; }

# The engine before this one ends by itself when nothing is left to it.
old_ends()
{
	if ! fn_wait_for "${2:-15}" is_gone "$old"; then
		fn_tool engine status >&2
		fn_die "$1: the old engine does not end"
	fi
	ok "$1: the old engine has ended by itself"
	check "$1: the new one knows" fn_wait_for 2 not_draining
}

# The client's lines: nothing bad, and the longest pause that any of them saw.
clients_are_content()
{
	local status=0
	wait "${fn_pid[clients]}" || status=$?
	unset 'fn_pid[clients]'
	if ((status)); then
		cat "$FN_TMP/clients.log" >&2
		fn_die "$1: a client failed"
	fi
	ok "$1: none failed of $(awk '{ sub("ok=", "", $3); n += $3 } END { print n }' \
		"$FN_TMP/clients.log") echoes"
	awk '{ print "#   " $0 }' "$FN_TMP/clients.log" >&2
	soon "$1: longest pause in ms" \
		"$(sed 's/.*pause_ms=//' "$FN_TMP/clients.log" | sort -n | tail -1)" 5000
}

clients()
{
	local a=$FN_SRV_ADDR mapped=()
	[[ $FN_FAMILY == 4 ]] || mapped=("long:$FN_SRV_ADDR4:7001" "short:$FN_SRV_ADDR4:7001" \
		"udp:$FN_SRV_ADDR4:7003")
	fn_client_bg clients python3 "$e2e_dir/upgrade_client.py" "$1" long:$a:7001 long:$a:7002 \
		short:$a:7001 short:$a:7002 udp:$a:7003 ${mapped[@]+"${mapped[@]}"}
}

echo_servers()
{
	local kind addr
	for kind in epoll:7001 block:7002 udp:7003 epoll:7004; do
		addr=$FN_SRV_ADDR
		[[ $FN_FAMILY == 4 || $kind == block* ]] || addr=:: # both families
		fn_app "echo${kind#*:}" python3 "$e2e_dir/upgrade_server.py" "${kind%:*}" \
			"$addr" "${kind#*:}"
	done
	fn_wait_port 7001 echo7001
	fn_wait_port 7002 echo7002
	fn_wait_port 7004 echo7004
}

# New engines that do not come up: nothing has happened.
failures()
{
	local i pid=${fn_pid[engine]}
	# shellcheck disable=SC2016	# the script's own
	printf '#!/bin/sh\nkill -9 $$\n' >"$FN_TMP/killed"
	chmod +x "$FN_TMP/killed"
	clients 2
	for i in /bin/false "$FN_TMP/killed" /nowhere; do
		! fn_tool engine upgrade --engine "$i" 2>>"$FN_TMP/complaints" ||
			fn_die "$i became an engine"
	done
	same "the complaints are a line each" "$(wc -l <"$FN_TMP/complaints")" 3
	printf '#!/bin/sh\nexec %q "$@" --addr 10.77.1.99/24\n' "$FN_FASTNETD" >"$FN_TMP/other"
	chmod +x "$FN_TMP/other"
	! fn_tool engine upgrade --engine "$FN_TMP/other" 2>"$FN_TMP/complaint" ||
		fn_die "an engine with another address took over"
	check "another address: said so" grep -q 'option addr is not what it was' "$FN_TMP/complaint"
	printf '#!/bin/sh\nexec python3 %q %d "$@"\n' "$e2e_dir/upgrade_quitter.py" \
		"$(awk '/CHAN_VERSION =/ { print $3 + 0 }' "$e2e_dir/../../stack/chan/layout.h")" \
		>"$FN_TMP/quitter"
	chmod +x "$FN_TMP/quitter"
	! fn_tool engine upgrade --engine "$FN_TMP/quitter" 2>"$FN_TMP/complaint" ||
		fn_die "an engine that had ended took over"
	check "one that ends at the last moment: said so" grep -q 'new engine has ended' "$FN_TMP/complaint"
	clients_are_content "engines that fail to start"
	same "the old one serves" "$(fn_tool engine status | awk '$1 == "pid" { print $2 }')" "$pid"
	not_draining || fn_die "something drains"
}

# Long connections, a storm of short ones and datagrams, over several upgrades one after the other.
echoes()
{
	local i
	for ((i = 1; i <= $(full_or 10 "$(by_family 2 1)"); i++)); do
		clients "$(full_or 6 3)"
		sleep 1
		upgrade "upgrade $i"
		clients_are_content "upgrade $i"
		old_ends "upgrade $i"
	done
}

# A program that stands still has its listener where it was, until it goes on.
stopped_listener()
{
	kill -STOP "${fn_pid[echo7004]}"
	upgrade "a stopped program"
	fn_client_bg late python3 "$e2e_dir/upgrade_client.py" 1 "short:$FN_SRV_ADDR:7004"
	sleep 1
	draining || fn_die "the old engine has left its listener alone"
	! fn_tool engine upgrade 2>"$FN_TMP/complaint" || fn_die "a second one while one drains"
	check "a second one while one drains: said so" grep -q 'still draining' "$FN_TMP/complaint"
	kill -CONT "${fn_pid[echo7004]}"
	wait "${fn_pid[late]}" || fn_die "a stopped program: its client failed: $(cat "$FN_TMP/late.log")"
	unset 'fn_pid[late]'
	ok "a stopped program: its client was served when it went on"
	old_ends "a stopped program"
}

# A connection of the old engine is in a unix socket's queue, and who takes it out has not been with any
# engine.
passed_on()
{
	fn_app take python3 "$e2e_dir/upgrade_pass.py" take "$FN_TMP/queue" "$FN_TMP/now"
	fn_app give python3 "$e2e_dir/upgrade_pass.py" give "$FN_SRV_ADDR" 7005 "$FN_TMP/queue"
	check "in a queue: listens" fn_wait_for 5 eval "fn_tool ss | grep -q ':7005'"
	fn_client_bg queued python3 "$e2e_dir/upgrade_client.py" 2 "long:$FN_SRV_ADDR:7005"
	check "in a queue: it is" fn_wait_for 5 grep -q given "$FN_TMP/give.log"
	upgrade "in a queue"
	touch "$FN_TMP/now"
	wait "${fn_pid[queued]}" ||
		fn_die "in a queue: $(cat "$FN_TMP/queued.log" "$FN_TMP/take.log")"
	unset 'fn_pid[queued]'
	same "in a queue: it was taken as what it is" "$(cat "$FN_TMP/take.log")" \
		"('$FN_SRV_ADDR', 7005)"
	fn_stop take
	old_ends "in a queue"
	fn_stop give
}

# Its master sleeps through everything; redis has one connection that blocks all the time.
nginx_and_redis()
{
	local seconds
	seconds=$(full_or 10 3)
	mkdir -p "$FN_TMP/www"
	chmod 755 "$FN_TMP" "$FN_TMP/www"
	head -c 3000 /dev/urandom >"$FN_TMP/www/f"
	nginx_conf 80 "access_log off;"
	check "nginx: starts" fn_on_stack nginx -p "$FN_TMP" -c "$FN_TMP/nginx.conf"
	check "nginx: wrote its pid" fn_wait_for 5 test -s "$FN_TMP/nginx.pid"
	fn_pid[nginx]=$(cat "$FN_TMP/nginx.pid")
	fn_app redis redis-server --port 6379 --bind "$FN_SRV_ADDR" --save '' --protected-mode no
	fn_wait_port 6379 redis
	fn_client_bg waiter redis-cli -h "$FN_SRV_ADDR" blpop list 60
	fn_client_bg wrk wrk --timeout 20s -t 1 -c 32 -d "$seconds" -H 'Connection: close' \
		"http://$FN_SRV_ADDR/f"
	sleep 1
	# wrk's connections are closed by nginx: what waits out its time is left to it.
	# shellcheck disable=SC2046	# words
	upgrade "nginx and redis" $(full_or '' '--drain 8')
	fn_client redis-cli -h "$FN_SRV_ADDR" rpush list hello >/dev/null
	wait "${fn_pid[waiter]}" || fn_die "redis: the client that waited got nothing"
	unset 'fn_pid[waiter]'
	same "redis: who waited on the old engine heard it" "$(tail -1 "$FN_TMP/waiter.log")" hello
	wait "${fn_pid[wrk]}" || fn_die "wrk failed"
	unset 'fn_pid[wrk]'
	! grep -E 'Socket errors|Non-2xx' "$FN_TMP/wrk.log" || fn_die "nginx: a request failed"
	ok "nginx: a storm of connections, none failed: $(grep Requests/sec "$FN_TMP/wrk.log")"
	old_ends "nginx and redis" 75
	check "nginx: answers" fn_client curl -sf --max-time 5 -o /dev/null "http://$FN_SRV_ADDR/f"
	kill -QUIT "${fn_pid[nginx]}"
	check "nginx: ends" fn_wait_for 10 is_gone "${fn_pid[nginx]}"
	unset 'fn_pid[nginx]'
	fn_stop redis
}

# The new one dies while the old one still drains: without a port the old one has to end, too.
new_one_dies()
{
	clients 30
	sleep 1
	upgrade "the new engine is killed"
	draining || fn_die "nothing drains"
	fn_stop engine KILL
	check "the new engine is killed: the old one ends" fn_wait_for 5 is_gone "$old"
	fn_stop clients KILL
}

e2e_start "${1:-auto}"
echo_servers
[[ $FN_FAMILY == 6 ]] || failures
echoes
[[ $FN_FAMILY == 6 ]] || stopped_listener
passed_on
[[ $FN_FAMILY == 6 ]] || nginx_and_redis
proved "upgrades"
[[ $FN_FAMILY == 6 ]] || new_one_dies
