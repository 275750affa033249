#!/bin/bash
# Two routers on a link: the preferred one is used until it does not answer any more, then the other one, and
# it again when it is back (RFC 4861 6.3.6, 7.3.3, RFC 4191 3.2).
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

far=2001:db8:99::1
FN_ENGINE_ARGS="--addr $FN_SRV_ADDR/24,fd77::2/64 --autoconf on"
e2e_start "${1:-auto}"
[[ $FN_STACK == fastnet ]] || fn_skip "only fastnet's own choice"
# Both routers are this namespace: what they differ in is their address.
fn_in "$FN_CLI" sh -c 'cd /proc/sys/net/ipv6/conf; echo 1 >fn1/addr_gen_mode; echo 0 >all/disable_ipv6
	echo 0 >fn1/disable_ipv6; echo 0 >lo/disable_ipv6; echo 1 >all/forwarding'
for a in fe80::a fe80::b fd77::1; do
	fn_ip "$FN_CLI" addr add $a/64 dev fn1 nodad
done
fn_ip "$FN_CLI" addr add $far/128 dev lo nodad

# An advertisement from that address: short timers, so that the test is short; lifetime and preference.
cat >"$FN_TMP/advertise.py" <<'PY'
import socket, struct, sys
source, preference = sys.argv[1], {"high": 1, "medium": 0}[sys.argv[2]]
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
index = socket.if_nametoindex("fn1")
s.bind((source, 0, 0, index))
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, preference << 3, 1800, 1000, 200), ("ff02::1", 0, 0, index))
PY
advertise() { fn_in "$FN_CLI" python3 "$FN_TMP/advertise.py" "$@"; }
cat >"$FN_TMP/echo.py" <<'PY'
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("2001:db8:99::1", 7))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(100)
    s.sendto(data, who)
PY
# Ten questions a second; prints the number of each that was answered.
cat >"$FN_TMP/ask.py" <<'PY'
import socket, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect(("2001:db8:99::1", 7))
s.settimeout(0.1)
for i in range(1200):
    start = time.monotonic()
    try:
        s.send(b"%d" % i)
        print(s.recv(100).decode(), flush=True)
    except OSError:
        pass
    time.sleep(max(0, start + 0.1 - time.monotonic()))
PY
gateway_is() { fn_tool engine status | grep -q "^gateway.*$1"; }
answers() { wc -l <"$FN_TMP/ask.log"; }
answered_more() { (($(answers) > $1)); }

advertise fe80::a medium
check "a router is the gateway" fn_wait_for 10 gateway_is fe80::a
advertise fe80::b high
check "a preferred one takes its place" fn_wait_for 10 gateway_is fe80::b
routers() { fn_tool ip router | awk 'NR > 1 { l = $4; $4 = l > 1700 && l <= 1800; $2 = ""; print }' | sort; }
same "both of them, as the tool shows them" "$(routers)" "fe80::a  medium 1 spare
fe80::b  high 1 used"
fn_client_bg echo python3 -u "$FN_TMP/echo.py"
check "a server far away" fn_wait_for 10 grep -q ready "$FN_TMP/echo.log"
fn_app ask python3 -u "$FN_TMP/ask.py"
check "it answers" fn_wait_for 10 answered_more 2

fn_ip "$FN_CLI" addr del fe80::b/64 dev fn1
check "a router that does not answer is given up" fn_wait_for 30 gateway_is fe80::a
same "which the tool shows" "$(fn_tool ip router | awk '$1 == "fe80::b" { print $5, $6, $7, $8 }')" \
	"spare, does not answer"
before=$(answers)
check "the other one leads there, too" fn_wait_for 10 answered_more $((before + 3))
fn_ip "$FN_CLI" addr add fe80::b/64 dev fn1 nodad
back() { advertise fe80::b high; gateway_is fe80::b; }
check "it is the gateway again when it answers" fn_wait_for 20 back
before=$(answers)
check "and leads there" fn_wait_for 10 answered_more $((before + 3))
fn_stop ask
fn_stop echo
proved
drained
