#!/bin/bash
# Servers that get their socket by exec: in inetd's way as 0 and 1 (socat EXEC: with and without a process
# between), and in systemd's as descriptor 3, an accepted connection or the listener itself.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need socat

echoed()
{
	fn_client socat -t 20 "TCP:$FN_SRV_ADDR:$2,retry=50,interval=0.1" - <"$FN_TMP/data" >"$FN_TMP/echoed"
	same "$1: comes back" "$(sha "$FN_TMP/echoed")" "$want"
}

# answers WHAT PORT INPUT OUTPUT
answers() { same "$1" "$(fn_client socat -t 20 "TCP:$FN_SRV_ADDR:$2,retry=50,interval=0.1" - <<<"$3")" "$4"; }

# socat_exec NAME PORT ADDRESS: a process per connection that becomes the program
socat_exec()
{
	fn_app "$1" socat "TCP-LISTEN:$2,reuseaddr,fork" "$3"
	fn_wait_port "$2" "$1"
}

inetd()
{
	local i
	cat >"$FN_TMP/server.py" <<-'PY'
	import socket, sys
	s = socket.socket(fileno=0)
	name = s.getpeername()[0]
	for line in sys.stdin:
	    print(name, line.strip(), flush=True)
	print("end", flush=True)
	PY
	socat_exec between 9100 "EXEC:cat"
	echoed "a program behind socat" 9100
	fn_stop between
	socat_exec direct 9101 "EXEC:cat,nofork"
	for i in 1 2 3; do
		echoed "cat with the connection as 0 and 1, $i" 9101
	done
	fn_stop direct
	socat_exec shell 9102 "SYSTEM:'while read -r x; do echo got \$x; done; echo end',nofork"
	answers "a shell" 9102 $'one\ntwo' $'got one\ngot two\nend'
	fn_stop shell
	socat_exec python 9103 "EXEC:python3 $FN_TMP/server.py,nofork"
	answers "python asks for its peer" 9103 line "$FN_CLI_ADDR line"$'\nend'
	fn_stop python
}

# activated NAME PORT option... -- program: by a launcher whose environment is its own
activated()
{
	local name=$1 port=$2
	shift 2
	fn_app "$name" systemd-socket-activate -l "0.0.0.0:$port" "$@"
	check "$name listens" fn_wait_for 10 listens "$port"
}

listens() { [[ $FN_STACK == kernel ]] || fn_tool ss | grep -qE ":$1\b"; }

activation()
{
	local i
	cat >"$FN_TMP/listener.py" <<-'PY'
	import os, socket
	if os.environ.get("LISTEN_FDS") != "1" or int(os.environ["LISTEN_PID"]) != os.getpid():
	    raise SystemExit("not activated")
	s = socket.socket(fileno=3)
	s.setblocking(True)
	for i in range(4):
	    c, peer = s.accept()
	    with c, c.makefile("rw") as f:
	        f.write(f"{i} {peer[0]} {f.readline().strip()}\n")
	PY
	cat >"$FN_TMP/accepted.py" <<-'PY'
	import socket
	s = socket.socket(fileno=3)
	with s, s.makefile("rw") as f:
	    f.write(f"{s.getpeername()[0]} {f.readline().strip()}\n")
	PY
	activated listener 9110 python3 "$FN_TMP/listener.py"
	for i in 0 1 2 3; do
		answers "the listener is handed over, request $i" 9110 hello "$i $FN_CLI_ADDR hello"
	done
	check "the server ends" fn_wait_for 10 eval '! fn_alive listener'
	fn_stop listener
	activated each 9111 --accept python3 "$FN_TMP/accepted.py"
	for i in 0 1 2; do
		answers "each connection is handed over, request $i" 9111 hello "$FN_CLI_ADDR hello"
	done
	fn_stop each
	activated inetd 9112 --accept --inetd cat
	echoed "inetd's way" 9112
	fn_stop inetd
}

e2e_start "${1:-auto}"
size=$(full_or 200000000 5000000)
head -c "$size" /dev/urandom >"$FN_TMP/data"
want=$(sha "$FN_TMP/data")
inetd
drained
proved "socat"
if command -v systemd-socket-activate >/dev/null; then
	activation
	drained
	proved "socket activation"
fi
