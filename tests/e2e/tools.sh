#!/bin/bash
# What `fastnet` shows and what options take, of both families: each command on the same few sockets, and a
# capture as tcpdump reads it.  usage: tools.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need jq python3 tcpdump

us4=$FN_SRV_ADDR4 us6=$FN_SRV_ADDR6 peer4=$FN_CLI_ADDR4 peer6=$FN_CLI_ADDR6
[[ $FN_STACK == fastnet ]] || fn_skip "only fastnet has this tool"
e2e_start "${1:-auto}6" nowire
# The gateway's zone is the kernel's name of the port; nothing is sent there.
FN_ENGINE_ARGS="--gateway 10.77.1.9,fe80::9%fn0 --pcap $FN_TMP/capture"
fn_up

cat >"$FN_TMP/hold.py" <<'PY'
import socket, struct, time
def listener(family, host, port, v6only=0):
    s = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    s.bind((host, port))
    s.listen(9)
    return s
def member(family, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind(("", port))
    index = socket.if_nametoindex("fn0")
    if family == socket.AF_INET:
        group = struct.pack("=4s4si", socket.inet_aton("239.1.2.3"), bytes(4), index)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    else:
        group = socket.inet_pton(family, "ff05::1:2:3") + struct.pack("=I", index)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    return s
members = [member(socket.AF_INET, 7004), member(socket.AF_INET6, 7005)]
one = listener(socket.AF_INET, "0.0.0.0", 7001)
both = listener(socket.AF_INET6, "::", 7002)
six = listener(socket.AF_INET6, "::", 7003, 1)
print("ready", flush=True)
held = [s.accept() for s in (one, both, both, both, six)]
print("accepted", flush=True)
time.sleep(60)
PY
cat >"$FN_TMP/call.py" <<'PY'
import socket, sys, time
held = [socket.create_connection((host, int(port))) for host, port in zip(sys.argv[1::2], sys.argv[2::2])]
print("connected", flush=True)
time.sleep(60)
PY
has_word() { grep -q "$1" "$FN_TMP/$2.log"; }
checked() { ! fn_tool ip addr | grep -q tentative; }
check "the addresses are ours" fn_wait_for 10 checked
link=$(fn_tool ip addr -6 | awk '$1 ~ /^fe80/ { sub("/.*", "", $1); print $1 }')

fn_app hold python3 -u "$FN_TMP/hold.py"
check "a program with sockets of both families" fn_wait_for 10 has_word ready hold
fn_client_bg call python3 -u "$FN_TMP/call.py" "$us4" 7001 "$us4" 7002 "$us6" 7002 "$link%fn1" 7002 \
	"$us6" 7003
check "and clients of both" fn_wait_for 10 has_word accepted hold

# table NAME COLUMNS EXPECTED WORDS...: these columns of what `fastnet WORDS` prints, sorted
table()
{
	local name=$1 columns=$2 expected=$3
	shift 3
	same "$name" "$(fn_tool "$@" | awk -v columns="$columns" '
		BEGIN { n = split(columns, c, " ") }
		NR > 1 { for (i = 1; i <= n; i++) printf "%s%s", $c[i], i < n ? " " : "\n" }' |
		LC_ALL=C sort)" "$(LC_ALL=C sort <<<"$expected")"
}

# ---- ss ----
listeners4="tcp LISTEN 0.0.0.0:7001 0.0.0.0:*"
listeners6="tcp LISTEN *:7002 *:*
tcp LISTEN [::]:7003 [::]:*"
datagram4="udp UNCONN 0.0.0.0:7004 0.0.0.0:*"
datagram6="udp UNCONN *:7005 *:*"
open4="tcp ESTAB $us4:7001"
open6="tcp ESTAB [$us6]:7002
tcp ESTAB [$us6]:7003
tcp ESTAB [::ffff:$us4]:7002
tcp ESTAB [$link]%fn0:7002"
table "ss -lt -4" "1 2 5 6" "$listeners4" ss -lt -4
table "ss -lt -6" "1 2 5 6" "$listeners6" ss -lt -6
table "ss -lt" "1 2 5 6" "$listeners4
$listeners6" ss -l -t
table "ss -u -4" "1 2 5 6" "$datagram4" ss -u -4
table "ss -u -6" "1 2 5 6" "$datagram6" ss -u6
estab() { fn_tool ss -t "$1" | awk '$2 == "ESTAB" { print $1, $2, $5 }' | LC_ALL=C sort; }
same "ss -t -4: connections" "$(estab -4)" "$open4"
same "ss -t -6: connections" "$(estab -6)" "$(LC_ALL=C sort <<<"$open6")"
peers() { fn_tool ss -t "$1" | awk '$2 == "ESTAB" { sub(":[0-9]*$", "", $6); print $6 }' | sort -u; }
same "ss -t -4: peers" "$(peers -4)" "$peer4"
peers6=$(peers -6)
[[ $peers6 == *"[::ffff:$peer4]"* && $peers6 == *"[$peer6]"* && $peers6 == *"[fe80::"*"]%fn0"* ]] ||
	fn_die "ss -t -6: peers: $peers6"
ok "ss -t -6: peers"
table "ss -g -4" "1 2 3 4 5 7" "239.1.2.3 fn0 exclude 0 0.0.0.0:7004 python3" ss -g -4
table "ss -g -6" "1 2 3 4 5 7" "ff05::1:2:3 fn0 exclude 0 *:7005 python3" ss -g -6
same "ss --json" "$(fn_tool ss --json |
	jq -c '[length, ([.[].local | select(startswith("[") or startswith("*"))] | length)]')" "[10,7]"

# ---- ip ----
port=$(fn_tool engine status | awk '$1 == "port" { print $2 }')
table "ip addr -4" "1 2 3 4 5 6" "$us4/24 $port preferred static forever forever" ip addr -4
table "ip addr -6" "1 2 3 4 5 6" "$us6/64 $port preferred static forever forever
$link/64 $port preferred link forever forever" ip addr -6
table "ip route -4" "1 2 3 5" "$us4/32 - $port local
${us4%.*}.255/32 - $port broadcast
${us4%.*}.0/24 - $port link
0.0.0.0/0 10.77.1.9 $port gateway" ip route -4
table "ip route -6" "1 2 3 5" "$us6/128 - $port local
$link/128 - $port local
${us6%2}/64 - $port link
fe80::/64 - $port link
::/0 fe80::9 $port gateway" ip route -6
known()
{
	fn_tool ip neigh "$1" | awk -v a="$2" '$1 == a && $4 ~ /^(REACHABLE|STALE|DELAY|PROBE)$/ { print $3 }'
}
mac=$(fn_ip "$FN_CLI" -br link show fn1 | awk '{ print $3 }')
same "ip neigh -4" "$(known -4 "$peer4")" "$mac"
same "ip neigh -6" "$(known -6 "$peer6")" "$mac"
IFS=: read -ra part <<<"$link"
solicited=$(printf 'ff02::1:ff%02x:%x' $((0x${part[-2]} & 0xff)) $((0x${part[-1]})))
table "ip maddr -4" "1 2 3 4" "224.0.0.1 $port exclude 0
239.1.2.3 $port exclude 0" ip maddr -4
table "ip maddr -6" "1 2 3 4" "ff02::1 $port exclude 0
ff05::1:2:3 $port exclude 0
ff02::1:ff00:2 $port exclude 0
$solicited $port exclude 0" ip maddr -6
same "ip router: none" "$(fn_tool ip router | wc -l)" 1

# ---- trace, stat, explain, engine ----
for at in "$us4:7001" "[$us6]:7003" "[::ffff:$us4]:7002" "[$link]%fn0:7002"; do
	fn_tool trace "$at" | grep -q 'TCP_RX rx seq=' || fn_die "trace $at: nothing was received"
	ok "trace $at"
done
same "trace of nobody's address" "$(fn_tool trace "[$us6]:9" | wc -l)" 1
explained() { fn_tool explain | awk '$2 == "python3" && $3 == "stack" { n = $4 } END { exit !(n >= 10) }'; }
check "explain: all are on the stack" explained
status=$(fn_tool engine status)
[[ $status == *" addr $us4/24 addr $us6/64 addr $link/64"* &&
	$status == *"gateway"*"fe80::9 port $port"* ]] || fn_die "engine status: $status"
ok "engine status"

# ---- the capture ----
tcpdump -nr "$FN_TMP/capture" >"$FN_TMP/shown" 2>"$FN_TMP/tcpdump.log" || fn_die "tcpdump can't read it"
for what in "IP $peer4\.[0-9]* > $us4\.7001: Flags \[S\]" \
	"IP6 $peer6\.[0-9]* > $us6\.7003: Flags \[S\]" \
	"IP6 $us6\.7003 > $peer6\.[0-9]*: Flags \[S\.\]" "IP6 fe80::.* > $link\.7002: Flags \[S\]" \
	"ARP, Request who-has" "ICMP6, neighbor solicitation, who has" "ICMP6, neighbor advertisement" \
	"HBH ICMP6, multicast listener report v2" "igmp v3 report"; do
	grep -q "$what" "$FN_TMP/shown" || { cat "$FN_TMP/shown" >&2; fn_die "tcpdump: no $what"; }
done
grep -E 'bad|incorrect|wrong' "$FN_TMP/shown" >&2 && fn_die "tcpdump sees damage"
ok "the capture, as tcpdump reads it"

# ---- options that are wrong: one line ----
refused()
{
	local says=$1 out
	shift
	! out=$(timeout 20 nsenter --net="/run/netns/$FN_CLI" -- "$FN_FASTNETD" --socket "$FN_TMP/no.sock" \
		--config /dev/null --port none "$@" 2>&1) || fn_die "an engine with $* has started"
	[[ $out == *"$says"* && $out != *$'\n'* ]] || fn_die "$*: '$out', expected '$says' in one line"
	ok "refused: $*"
}
refused "gateway fe80::1%eth7: no port has this name" --addr 10.9.0.2/24,fd09::2/64 --gateway fe80::1%eth7
refused "it must be on the network" --addr 10.9.0.2/24,fd09::2/64 --gateway fd0a::1
refused "'fd09::2' is not" --addr fd09::2
refused "'[fd09::2]:80/64' is not" --addr "[fd09::2]:80/64"
refused "is not a list of addresses such as" --gateway "10.9.0.1,[fd09::1]:80"
fn_stop call
fn_stop hold
proved
drained
