#!/bin/bash
# Datagrams: all sizes both ways, groups and what routers are told of them, broadcast, refusals.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need python3

# expected SERVER CLIENT: what the client prints.
expected()
{
	local n from="the same from $1:5000"
	for n in 0 1 100 1472 1473 5000 30000 65507; do
		echo "$n bytes: $from"
	done
	echo "a query: told"
	echo "a group: $from"
	echo "a large one: $from"
	echo "broadcast: $from"
	echo "leaving: $from told"
	echo "a group that was left: TimeoutError"
	echo "a port without a socket: ConnectionRefusedError"
	echo "the end: $from"
}

e2e_start "${1:-auto}"
fn_app server python3 -u "$e2e_dir/udp_server.py" "$FN_SRV_ADDR" 5000 239.7.7.7
check "a server on the stack" fn_wait_for 20 grep -q ready "$FN_TMP/server.log"
same "what its client sees" "$(fn_client python3 "$e2e_dir/udp_client.py" "$FN_CLI_ADDR" \
	"$FN_SRV_ADDR" 5000 239.7.7.7)" "$(expected "$FN_SRV_ADDR")"
fn_client_bg peer python3 -u "$e2e_dir/udp_server.py" "$FN_CLI_ADDR" 5000 239.7.7.8
check "a server in the client's namespace" fn_wait_for 20 grep -q ready "$FN_TMP/peer.log"
same "what a client on the stack sees of sizes" "$(fn_on_stack python3 -c "
import socket
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
c.settimeout(20)
c.connect(('$FN_CLI_ADDR', 5000))
for n in (0, 1472, 1473, 65507):
    c.send(bytes(n))
    print(len(c.recv(70000)))
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
d.settimeout(20)
d.connect(('$FN_CLI_ADDR', 5001))
d.send(b'nobody')
try:
    d.recv(10)
except OSError as error:
    print(type(error).__name__)" | xargs)" "0 1472 1473 65507 ConnectionRefusedError"
proved
