#!/bin/bash
# Programs that get their sockets from another program: inetd style (the connection is 0 and 1), socket
# activation (the listener is 3), a child of python, and one that is linked statically (the relay).
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need socat python3

e2e_start "${1:-auto}"
size=$(full_or 200000000 20000000)
head -c "$size" /dev/urandom >"$FN_TMP/data"
want=$(sha "$FN_TMP/data")

# rounds WHAT PORT: echoes by the server at PORT
rounds()
{
	local i
	for i in 1 2 3; do
		fn_client socat -t 20 "TCP:$FN_SRV_ADDR:$2,retry=50,interval=0.1" - \
			<"$FN_TMP/data" >"$FN_TMP/echoed"
		same "$1, round $i" "$(sha "$FN_TMP/echoed")" "$want"
	done
}

fn_app nofork socat TCP-LISTEN:9001,reuseaddr,fork EXEC:cat,nofork
fn_wait_port 9001 nofork
rounds "socat: cat on the connection itself" 9001
fn_stop nofork

cat >"$FN_TMP/inetd.py" <<'EOF'
import signal, socket, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind((sys.argv[1], int(sys.argv[2])))
l.listen(8)
while True:
    c, _ = l.accept()
    subprocess.Popen(["cat"], stdin=c, stdout=c)
    c.close()
EOF
fn_app inetd python3 "$FN_TMP/inetd.py" "$FN_SRV_ADDR" 9002
fn_wait_port 9002 inetd
rounds "a child of python" 9002
fn_stop inetd

if command -v systemd-socket-activate >/dev/null; then
	fn_app accept systemd-socket-activate -l "$FN_SRV_ADDR:9003" --accept --inetd cat
	rounds "socket activation, a program for each connection" 9003
	fn_stop accept

	cat >"$FN_TMP/activated.py" <<'EOF'
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    if os.fork() == 0:
        while data := c.recv(65536):
            c.sendall(data)
        os._exit(0)
    c.close()
EOF
	fn_app listen systemd-socket-activate -l "$FN_SRV_ADDR:9004" python3 "$FN_TMP/activated.py"
	rounds "socket activation, the listener is inherited" 9004
	fn_stop listen
fi

static=$FN_BUILD/tests/shim/static_echo
if [[ -x $static ]]; then
	fn_app static socat TCP-LISTEN:9005,reuseaddr,fork "EXEC:$static 0,nofork"
	fn_wait_port 9005 static
	rounds "a static program, by the relay" 9005
	fn_stop static
fi
proved
drained
