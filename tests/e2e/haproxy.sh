#!/bin/bash
# haproxy on the stack: it proxies for clients and as a client, and is reloaded under load: by -sf, by -sf
# with the listeners handed over through its socket (SCM_RIGHTS), and as master and worker (exec).
# usage: haproxy.sh [WIRE [sf|expose|master]...].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need haproxy wrk curl

# config [word...]: expose: the listeners can be asked for
config()
{
	local expose=
	[[ ${1-} != expose ]] ||
		expose="stats socket $FN_TMP/haproxy.sock level admin expose-fd listeners"
	cat >"$FN_TMP/haproxy.cfg" <<-CONF
		global
			$expose
			maxconn 2000
			nbthread 2
		defaults
			mode http
			timeout connect 5s
			timeout client 20s
			timeout server 20s
			backlog 1024
		frontend web
			bind $(by_family :80 ":::80 v4v6")
			acl here path /here
			http-request return status 200 content-type text/plain string "$text" if here
			default_backend there
		backend there
			server one $(fn_url "$FN_CLI_ADDR"):8080
		listen raw
			mode tcp
			bind $(by_family :81 ":::81 v4v6")
			server one $(fn_url "$FN_CLI_ADDR"):8080
	CONF
}

text=$(printf 'x%.0s' {1..100})

# Clients that make a connection for each request, until they are told to end: "good bad" at the end.
clients_begin()
{
	local i
	for i in 1 2 3; do
		fn_client_bg "loop$i" python3 -u -c '
import signal, socket, sys
good = bad = 0
going = True
def stop(*a):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
print("begun")
while going:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as s:
            s.sendall(b"GET /here HTTP/1.0\r\n\r\n")
            got = b""
            while True:
                data = s.recv(65536)
                if not data:
                    break
                got += data
        if got.startswith(b"HTTP/1.") and b" 200 " in got[:20]:
            good += 1
        else:
            bad += 1
            print("answer", got[:60])
    except OSError as e:
        bad += 1
        print(e)
print(good, bad)' "$FN_SRV_ADDR" 80
		fn_wait_for 10 grep -q begun "$FN_TMP/loop$i.log" || fn_die "no clients"
	done
}

# clients_end WHAT PERMILLE: how many may fail
clients_end()
{
	local i good bad g=0 b=0
	for i in 1 2 3; do
		kill -TERM "${fn_pid[loop$i]}" || true # ends with its request, which may hang
	done
	for i in 1 2 3; do
		fn_wait_for 25 gone "loop$i" || fn_die "$1: a client does not end"
		fn_stop "loop$i"
		read -r good bad <<<"$(tail -n 1 "$FN_TMP/loop$i.log")"
		g=$((g + good)) b=$((b + bad))
	done
	((g >= 100)) || fn_die "$1: only $g requests"
	if ((b * 1000 > $2 * (g + b))); then
		sort "$FN_TMP"/loop?.log | uniq -c | sort -rn | head -n 5 >&2
		fn_die "$1: $b of $((g + b)) requests failed"
	fi
	ok "$1: $g requests, $b failed"
}

proxying()
{
	local file
	for file in "$FN_TMP"/www/*; do
		fn_client curl -gsS -o "$FN_TMP/got" "$url/${file##*/}"
		same "${file##*/} bytes through it" "$(sha "$FN_TMP/got")" "$(sha "$file")"
		fn_client curl -gsS -o "$FN_TMP/got" "$url:81/${file##*/}"
		same "${file##*/} bytes through it, by tcp" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	done
	fn_client wrk --timeout 20s -t 1 -c 100 -d "$(full_or 10 2)" \
		"$url/here" >"$FN_TMP/wrk" 2>&1
	if grep -qE 'Socket errors|Non-2xx' "$FN_TMP/wrk"; then
		cat "$FN_TMP/wrk" >&2
		fn_die "wrk -c 100: errors"
	fi
	ok "wrk -c 100: $(grep Requests/sec "$FN_TMP/wrk")"
}

gone() { ! fn_alive "$1"; }

# by_sf WHAT PERMILLE option...: a new process that tells the old one to finish
by_sf()
{
	local what=$1 may=$2 i old=haproxy0 new
	shift 2
	fn_app haproxy0 haproxy -db -f "$FN_TMP/haproxy.cfg"
	fn_wait_port 80 haproxy0
	[[ $may == 0 ]] || proxying
	clients_begin
	for ((i = 1; i <= reloads; i++)); do
		new=haproxy$i
		sleep 0.3
		fn_app "$new" haproxy -db -f "$FN_TMP/haproxy.cfg" "$@" -sf "${fn_pid[$old]}"
		check "$what, reload $i: the old process ends" fn_wait_for 30 gone "$old"
		fn_alive "$new" || fn_die "$what: the new process has ended"
		unset "fn_pid[$old]"
		old=$new
	done
	clients_end "$what" "$may"
	fn_stop "$old"
	drained
	proved "$what"
}

children() { pgrep -P "${fn_pid[master]}" || true; }
replaced() { [[ $(children | wc -l) == 1 && $(children) != "$1" ]]; }

master_worker()
{
	local i worker
	fn_app master haproxy -W -f "$FN_TMP/haproxy.cfg"
	fn_wait_port 80 master
	clients_begin
	for ((i = 1; i <= reloads; i++)); do
		worker=$(children)
		sleep 0.3
		kill -USR2 "${fn_pid[master]}"
		check "master, reload $i: a new worker" fn_wait_for 30 replaced "$worker"
	done
	clients_end "master and worker" 0
	kill -KILL "$(children)"
	check "a killed worker ends the master" fn_wait_for 20 gone master
	fn_stop master
	drained
	proved "master and worker"
}

e2e_start "${1:-auto}"
reloads=$(full_or 10 "$(by_family 3 2)")
url=http://$(fn_url "$FN_SRV_ADDR")
mkdir "$FN_TMP/www"
printf x >"$FN_TMP/www/1"
head -c "$(full_or 100000001 10000001)" /dev/urandom >"$FN_TMP/www/big"
fn_client_bg backend python3 -m http.server 8080 --bind "$FN_CLI_ADDR" \
	--directory "$FN_TMP/www"
check "the backend" fn_wait_for 10 fn_client curl -gsf "http://$(fn_url "$FN_CLI_ADDR"):8080/1"
parts=("${@:2}")
((${#parts[@]})) || parts=(sf expose master)
for part in "${parts[@]}"; do
	case $part in
	sf) config; by_sf "-sf" 2 ;;
	expose) config expose; by_sf "-sf -x" 0 -x "$FN_TMP/haproxy.sock" ;;
	master) config expose; master_worker ;;
	esac
done
