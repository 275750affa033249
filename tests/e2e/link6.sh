#!/bin/bash
# Link-local addresses over two wires: on each there is a station fe80::1, and the scope id tells them apart -
# of who connects, of who is connected to, of datagrams (RFC 4007, ipv6(7)).
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

e2e_start af_packet nowire
[[ $FN_STACK == fastnet ]] || fn_skip "only fastnet has two ports here"
second=$FN_TAG-two
fn_netns_add "$FN_SRV"
wire() # wire NAMESPACE OURS THEIRS
{
	fn_netns_add "$1"
	fn_ip "$FN_SRV" link add "$2" type veth peer name "$3" netns "$1"
	fn_ip "$FN_SRV" link set "$2" up
	fn_in "$1" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$3/addr_gen_mode
		echo 0 >/proc/sys/net/ipv6/conf/$3/disable_ipv6"
	fn_ip "$1" link set "$3" up
	fn_ip "$1" addr add fe80::1/64 dev "$3" nodad
	fn_offloads_off "$FN_SRV" "$2"
	fn_offloads_off "$1" "$3"
}
wire "$FN_CLI" fn0 fn1
wire "$second" fn2 fn3
for port in fn0 fn2; do
	fn_in "$FN_SRV" nft -f - <<-RULES
		table netdev deaf_$port {
			chain ingress { type filter hook ingress device $port priority 0; policy drop; }
		}
	RULES
done
FN_ENGINE_ARGS="--autoconf on"
fn_engine_start engine "$FN_SRV" "10.77.1.2/24;10.78.1.2" \
	"net_af_packet0,iface=fn0;net_af_packet1,iface=fn2" || fn_die "the engine did not start"
FN_SRV_SOCKET=$FN_TMP/engine.sock FN_CLI_SOCKET=
checked() { ! fn_tool engine status | grep -q 'being checked'; }
check "our addresses are ours" fn_wait_for 10 checked

addr_of() { fn_tool engine status | grep "^port.*net_af_packet$1" | grep -oE 'fe80:[0-9a-f:]+'; }
first_ll=$(addr_of 0) second_ll=$(addr_of 1)
[[ $first_ll != "$second_ll" ]] || fn_die "both links have $first_ll"

cat >"$FN_TMP/serve.py" <<'PY'
import select, socket, sys
who = sys.argv[1]
l = socket.create_server(("::", 7000), family=socket.AF_INET6)
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.bind(("::", 7000))
print("ready", flush=True)
def name(a):
    return f"{who} {a[0].split('%')[0]} {socket.if_indextoname(a[3]) if a[3] else '-'}"
while True:
    for s in select.select([l, u], [], [])[0]:
        if s is u:
            data, a = u.recvfrom(100)
            u.sendto(name(a).encode(), a)
            continue
        c, a = l.accept()
        assert a == c.getpeername()
        c.sendall((name(a) + " at " + name(c.getsockname())).encode())
        c.close()
PY
cat >"$FN_TMP/ask.py" <<'PY'
import socket, sys
a = (sys.argv[1], 7000, 0, socket.if_nametoindex(sys.argv[2]))
c = socket.socket(socket.AF_INET6)
c.settimeout(10)
c.connect(a)
assert c.getpeername()[3] == a[3] == c.getsockname()[3], (c.getpeername(), c.getsockname())
got = b""
while True:
    data = c.recv(100)
    if not data:
        break
    got += data
print(got.decode())
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.settimeout(10)
u.sendto(b"x", a)
data, b = u.recvfrom(100)
assert b[1:] == a[1:] and b[0].split("%")[0] == a[0], b
u.connect(a)
assert u.getsockname()[3] == a[3], u.getsockname()
u.send(b"y")
assert u.recv(100) == data
print(data.decode())
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
        socket.socket(socket.AF_INET6, kind).connect((a[0], 7000))
        print("connected without a scope id")
    except OSError as e:
        assert e.errno == 22, e
PY
has_word() { grep -q "$1" "$FN_TMP/$2.log"; }

fn_app server python3 -u "$FN_TMP/serve.py" stack
check "a server on :: of the stack" fn_wait_for 10 has_word ready server
same "a client of the first link" "$(fn_client python3 "$FN_TMP/ask.py" "$first_ll" fn1)" \
	"stack fe80::1 fn0 at stack $first_ll fn0
stack fe80::1 fn0"
same "a client of the second link with the same address" \
	"$(timeout 30 nsenter --net="/run/netns/$second" -- python3 "$FN_TMP/ask.py" "$second_ll" fn3)" \
	"stack fe80::1 fn2 at stack $second_ll fn2
stack fe80::1 fn2"
fn_stop server

fn_client_bg one python3 -u "$FN_TMP/serve.py" one
fn_bg two nsenter --net="/run/netns/$second" -- python3 -u "$FN_TMP/serve.py" two
check "a server on each link" fn_wait_for 10 eval "has_word ready one && has_word ready two"
same "a client of the stack on the first link" \
	"$(fn_on_stack python3 "$FN_TMP/ask.py" fe80::1 fn0)" \
	"one $first_ll fn1 at one fe80::1 fn1
one $first_ll fn1"
same "and on the second" "$(fn_on_stack python3 "$FN_TMP/ask.py" fe80::1 fn2)" \
	"two $second_ll fn3 at two fe80::1 fn3
two $second_ll fn3"
fn_stop one
fn_stop two
proved
drained
