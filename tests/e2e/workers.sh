#!/bin/bash
# nginx as it is installed: daemon, master, four workers that share one listener (or have one each):
# every worker gets its part, and not one request fails while it is told ten times to reload.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need nginx curl wrk

# nginx_start NAME LISTEN-OPTIONS EVENTS-OPTIONS: returns when it serves; master in $master.
nginx_start()
{
	local name=$1
	log=$FN_TMP/$name.access
	cat >"$FN_TMP/$name.conf" <<-CONF
		worker_processes 4;
		worker_rlimit_nofile 8192;
		worker_shutdown_timeout $((seconds * 3 + 20))s;
		pid $FN_TMP/$name.pid;
		error_log $FN_TMP/$name.log warn;
		events { worker_connections 4096; $3 }
		http {
			log_format w '\$pid \$status \$connection_requests';
			access_log $log w;
			client_body_temp_path $FN_TMP/tmp1;
			proxy_temp_path $FN_TMP/tmp2;
			fastcgi_temp_path $FN_TMP/tmp3;
			uwsgi_temp_path $FN_TMP/tmp4;
			scgi_temp_path $FN_TMP/tmp5;
			keepalive_requests 1000000;
			server { listen 80 backlog=4096 $2; root $FN_TMP/www; }
		}
	CONF
	# The foreground process ends when the daemon serves.
	check "$1: starts as a daemon" fn_on_stack "$nginx" -p "$FN_TMP" -c "$FN_TMP/$name.conf"
	check "$1: wrote its pid" fn_wait_for 5 test -s "$FN_TMP/$name.pid"
	master=$(cat "$FN_TMP/$name.pid")
	fn_pid[$name]=$master
	check "$1: answers" fn_client curl -sSf -o /dev/null "http://$FN_SRV_ADDR/1024"
}

workers() { cat "/proc/$master/task/$master/children" 2>/dev/null; }

four_workers() { [[ $(workers | wc -w) == 4 ]]; }
replaced() { four_workers && [[ " $(workers) " != *" $1 "* ]]; }
no_listener() { ! fn_tool ss | grep -q LISTEN; }

nginx_stop()
{
	kill -QUIT "$master"
	check "$1: ends when told to" fn_wait_for 10 eval "! kill -0 $master"
	unset "fn_pid[$1]"
}

# Connections that each worker has taken, least first.
shares() { awk '$3 == 1 { n[$1]++ } END { for (p in n) print n[p] }' "$log" | sort -n; }

# Every worker has 2 % of them at least.
is_fair() { awk 'NR == 1 { a = $1 } { s += $1 } END { exit !(NR == 4 && a * 50 >= s) }' <<<"$n"; }

fair()
{
	local n i
	: >"$log"
	# On a busy machine a worker may not get a processor for as long as one run takes.
	for ((i = 0; i < 8; i++)); do
		wrk_clean "$1: a connection per request" -t 1 -c 64 -d "$seconds" \
			-H 'Connection: close' "http://$FN_SRV_ADDR/1024"
		n=$(shares)
		# With the mutex who has it takes them, on Linux too.
		[[ $1 != mutex ]] || return 0
		if is_fair; then
			break
		fi
	done
	same "$1: workers that took connections" "$(wc -l <<<"$n")" 4
	ok "$1: connections by worker: $(tr '\n' ' ' <<<"$n")"
	is_fair ||
		fn_die "$1: a worker has less than 2 % of the connections"
}

# Under load that makes a connection per request (a kept one may be closed by an old worker just as a
# request comes in, on every system), and with a download that spans all of them.
reloads()
{
	local i load download
	fn_client wrk --timeout 20s -t 1 -c 64 -d $((seconds * 3)) -H 'Connection: close' \
		"http://$FN_SRV_ADDR/1024" >"$FN_TMP/wrk" 2>&1 &
	load=$!
	fn_client curl -sSf --limit-rate $((6000000 / (seconds * 3))) -o "$FN_TMP/got" \
		"http://$FN_SRV_ADDR/6000000" &
	download=$!
	for ((i = 0; i < 10; i++)); do
		sleep "$(awk -v s="$seconds" 'BEGIN { print s * 3 / 12 }')"
		fn_on_stack "$nginx" -p "$FN_TMP" -c "$FN_TMP/$1.conf" -s reload 2>>"$FN_TMP/$1.log"
	done
	wait "$load" || fn_die "$1: wrk failed"
	if grep -qE 'Socket errors|Non-2xx' "$FN_TMP/wrk"; then
		cat "$FN_TMP/wrk" >&2
		fn_die "$1: failed requests during reloads"
	fi
	ok "$1: ten reloads, 0 failed requests of $(awk '/requests in/ { print $1 }' "$FN_TMP/wrk")"
	wait "$download" || fn_die "$1: a download that began before the reloads failed"
	same "$1: a download through an old worker" "$(sha "$FN_TMP/got")" \
		"$(sha "$FN_TMP/www/6000000")"
	check "$1: old workers have ended" fn_wait_for 25 four_workers
	check "$1: answers after them" fn_client curl -sSf -o /dev/null "http://$FN_SRV_ADDR/1024"
}

# A new binary takes the listeners over by exec, serves beside the old one, then alone.
upgrade()
{
	local load old=$master
	fn_client wrk --timeout 20s -t 1 -c 64 -d $((seconds * 3)) -H 'Connection: close' \
		"http://$FN_SRV_ADDR/1024" >"$FN_TMP/wrk" 2>&1 &
	load=$!
	kill -USR2 "$old"
	check "$1: a second master" fn_wait_for 10 another_master "$1" "$old"
	master=$(cat "$FN_TMP/$1.pid")
	fn_pid[new-$1]=$master
	check "$1: with its workers" fn_wait_for 10 four_workers
	kill -WINCH "$old"
	check "$1: the old workers end" fn_wait_for 25 no_workers "$old"
	kill -QUIT "$old"
	check "$1: the old master ends" fn_wait_for 10 eval "! kill -0 $old"
	wait "$load" || fn_die "$1: wrk failed"
	if grep -qE 'Socket errors|Non-2xx' "$FN_TMP/wrk"; then
		cat "$FN_TMP/wrk" >&2
		fn_die "$1: failed requests during the upgrade"
	fi
	ok "$1: binary upgrade, 0 failed requests of $(awk '/requests in/ { print $1 }' "$FN_TMP/wrk")"
	check "$1: the new binary answers" fn_client curl -sSf -o /dev/null "http://$FN_SRV_ADDR/1024"
	unset "fn_pid[new-$1]"
	fn_pid[$1]=$master
}

# The old master renames its file: for a while there is none.
another_master()
{
	local pid
	pid=$(cat "$FN_TMP/$1.pid" 2>/dev/null) && [[ -n $pid && $pid != "$2" ]]
}
# The new master is a child of the old one.
no_workers() { [[ $(xargs <"/proc/$1/task/$1/children") == "$master" ]]; }

# A worker killed: nobody but its own connections notices, and its place is taken.
killed_worker()
{
	local victim out
	read -r victim _ <<<"$(workers)"
	kill -KILL "$victim"
	check "$1: another worker in its place" fn_wait_for 20 replaced "$victim"
	wrk_clean "$1: after a worker was killed" -t 1 -c 64 -d 1 -H 'Connection: close' \
		"http://$FN_SRV_ADDR/1024"
}

nginx=$(command -v nginx)	# by its path, for the upgrade
e2e_start "${1:-auto}"
FN_TIMEOUT=$(full_or 300 60)
seconds=$(full_or 10 1)
mkdir "$FN_TMP/www"
head -c 1024 /dev/urandom >"$FN_TMP/www/1024"
head -c 6000000 /dev/urandom >"$FN_TMP/www/6000000"
while read -r name listen events; do
	nginx_start "$name" "${listen/-/}" "${events/-/}"
	fair "$name"
	reloads "$name"
	upgrade "$name"
	killed_worker "$name"
	nginx_stop "$name"
	proved "$name"
done <<-KINDS
	shared - -
	own reuseport -
	mutex - accept_mutex on;
KINDS
[[ $FN_STACK == kernel ]] ||
	check "the engine holds no socket" fn_wait_for 5 no_listener
