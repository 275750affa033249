#!/bin/bash
# The engine that starts by itself: exactly one, unseen by the program, one per namespace, ended
# after its last program.  Only ever inside namespaces of this test's own.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need curl setpriv

# Programs that run in a namespace under the engine's name.
engines()
{
	local pid
	for pid in $(ip netns pids "$1"); do
		[[ $(cat "/proc/$pid/comm" 2>/dev/null) != fastnetd ]] || echo "$pid"
	done
}

auto() { local ns=$1; shift; timeout 30 nsenter --net="/run/netns/$ns" -- "$@"; }
run_auto() { local ns=$1; shift; auto "$ns" "$FN_FASTNET" run "${socket[@]}" -- "$@"; }
present() { [[ -n $(engines "$1") ]]; }
gone() { [[ -z $(engines "$1") ]]; }

ten_at_once()
{
	local i
	for ((i = 0; i < 10; i++)); do
		fn_bg "prog$i" nsenter --net="/run/netns/$FN_SRV" -- \
			env LD_PRELOAD="$FN_SHIM" FASTNET_SOCKET="$FN_TMP/auto.sock" python3 -u -c "
import socket, time
s = socket.socket()
s.bind(('', 7000 + $i))
s.listen()
print('listening', flush=True)
time.sleep(30)"
	done
	for ((i = 0; i < 10; i++)); do
		check "program $i runs" fn_wait_for 20 grep -q listening "$FN_TMP/prog$i.log"
	done
	same "engines of ten programs started at once" "$(engines "$FN_SRV" | wc -l)" 1
	# the automatic port: a veth pair whose host end is in the same namespace
	same "all ten are on it" "$(FASTNET_SOCKET=$FN_TMP/auto.sock auto "$FN_SRV" \
		"$FN_FASTNET" ss | grep -cE ':70[0-9]{2}\b')" 10
	for ((i = 0; i < 10; i++)); do fn_stop "prog$i"; done
	check "the engine ends after its last program" fn_wait_for 20 gone "$FN_SRV"
}

not_noticed()
{
	local before x
	fn_bg httpd nsenter --net="/run/netns/$FN_SRV" -- \
		python3 -u "$e2e_dir/http_peer.py" 8000 "$FN_TMP/www"
	check "a kernel server on 127.0.0.1" \
		fn_wait_for 10 auto "$FN_SRV" curl -sf http://127.0.0.1:8000/hello
	before=$SECONDS
	x=$(run_auto "$FN_SRV" curl -sS http://127.0.0.1:8000/hello)
	same "x=\$(fastnet run curl ...)" "$x" hello
	at_most "and it ends, seconds" $((SECONDS - before)) 10
	before=$SECONDS
	x=$(auto "$FN_SRV" env LD_PRELOAD="$FN_SHIM" FASTNET_SOCKET="$FN_TMP/auto2.sock" \
		curl -sS http://127.0.0.1:8000/hello)
	same "x=\$(LD_PRELOAD=... curl ...) that starts the engine itself" "$x" hello
	at_most "and it ends, seconds" $((SECONDS - before)) 10
	fn_stop httpd
	# the first socket starts an engine; neither wait() nor a child's signal may show it
	same "wait(-1) and SIGCHLD never see the engine" "$(auto "$FN_SRV" env \
		LD_PRELOAD="$FN_SHIM" FASTNET_SOCKET="$FN_TMP/auto3.sock" python3 -c "
import os, signal, socket, time
seen = []
signal.signal(signal.SIGCHLD, lambda *a: seen.append(1))
s = socket.socket(); s.bind(('', 7100)); s.listen()
time.sleep(0.2)
try:
    os.waitpid(-1, os.WNOHANG)
    print('a child')
except ChildProcessError:
    print('none', seen)")" "none []"
	same "no descriptor of the program is held by the engine" "$(auto "$FN_SRV" env \
		LD_PRELOAD="$FN_SHIM" FASTNET_SOCKET="$FN_TMP/auto4.sock" python3 -c "
import os, socket
r, w = os.pipe(); os.set_inheritable(w, True)
s = socket.socket(); s.bind(('', 7101)); s.listen()
os.close(w)
print(os.read(r, 1))")" "b''"
	check "those engines end by themselves" fn_wait_for 20 gone "$FN_SRV"
}

two_namespaces()
{
	local ns a b
	for ns in "$FN_SRV" "$FN_CLI"; do
		fn_bg "default-$ns" nsenter --net="/run/netns/$ns" -- \
			env LD_PRELOAD="$FN_SHIM" python3 -u -c "
import socket, time
s = socket.socket(); s.bind(('', 7200)); s.listen()
print('listening', flush=True)
time.sleep(30)"
		check "default settings in $ns" \
			fn_wait_for 20 grep -q listening "$FN_TMP/default-$ns.log"
	done
	a=$(engines "$FN_SRV") b=$(engines "$FN_CLI")
	same "an engine in the one" "$(wc -w <<<"$a")" 1
	same "an engine in the other" "$(wc -w <<<"$b")" 1
	[[ $a != "$b" ]] || fn_die "two namespaces share engine $a"
	fn_stop "default-$FN_SRV"
	fn_stop "default-$FN_CLI"
	check "both engines end" fn_wait_for 20 gone "$FN_SRV"
	check "both engines end" fn_wait_for 20 gone "$FN_CLI"
}

# The automatic port carries traffic: its host end is in the same namespace.
automatic_port()
{
	local addr
	fn_bg served nsenter --net="/run/netns/$FN_SRV" -- env LD_PRELOAD="$FN_SHIM" \
		python3 -u -m http.server 8100 --directory "$FN_TMP/www"
	check "a server with default settings" fn_wait_for 20 present "$FN_SRV"
	addr=$(fn_ip "$FN_SRV" -4 -o addr show | awk '$4 ~ /^10\.77\./ { print $4; exit }')
	addr=${addr%.*}.2
	check "reached through the automatic port at $addr" \
		fn_wait_for 10 auto "$FN_SRV" curl -sf --max-time 2 "http://$addr:8100/hello"
	fn_stop served
	check "its engine ends" fn_wait_for 20 gone "$FN_SRV"
}

# A root engine serves a program of another uid.
other_uid()
{
	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$(fn_port_of srv)" || fn_die "no engine"
	FN_SRV_SOCKET=$FN_TMP/engine.sock
	cp "$FN_SHIM" "$FN_TMP/shim.so"	# a checkout under /root is not for everybody to read
	FN_SHIM=$FN_TMP/shim.so
	# shellcheck disable=SC2046	# words
	fn_bg nobody nsenter --net="/run/netns/$FN_SRV" -- \
		setpriv --reuid 65534 --regid 65534 --clear-groups $(fn_preload_words srv) \
		python3 -u -m http.server 8000 --directory "$FN_TMP/www"
	fn_wait_port 8000 nobody
	same "a program of uid $(awk '/^Uid/ { print $2 }' "/proc/${fn_pid[nobody]}/status")" \
		"$(fn_client curl -sS "http://$FN_SRV_ADDR:8000/hello")" hello
	fn_stop nobody
	proved
}

[[ $FN_STACK == kernel ]] && fn_skip "this test is about the engine"
e2e_start auto nowire
socket=(--socket "$FN_TMP/auto1.sock")
mkdir "$FN_TMP/www"
echo hello >"$FN_TMP/www/hello"
# shellcheck disable=SC2153	# set by scripts/lib.sh
fn_netns_add "$FN_SRV"
fn_netns_add "$FN_CLI"
fn_ip "$FN_SRV" link set lo up
ten_at_once
not_noticed
two_namespaces
automatic_port

# a fresh namespace, whose kernel counters are still zero
fn_netns_del "$FN_SRV"
fn_netns_add "$FN_SRV"
fn_up_veth
other_uid
