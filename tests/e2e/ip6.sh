#!/bin/bash
# IPv6 below the transports, against the kernel: ping both ways and in fragments, neighbours that come and go,
# addresses that are taken, and a router that advertises a prefix until it ends.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need ping radvd

us=fd77::2 peer=fd77::1
FN_ENGINE_ARGS="--addr 10.77.0.2/24,$us/64 --autoconf on"
e2e_start "${1:-auto}"
[[ $FN_STACK == fastnet ]] || fn_skip "only fastnet's own answers"
fn_in "$FN_CLI" sysctl -qw net.ipv6.conf.fn1.disable_ipv6=0
fn_ip "$FN_CLI" addr add $peer/64 dev fn1 nodad

addrs() { fn_tool engine status | grep -oE 'addr [0-9a-f:.]+/' | sed 's/addr //; s,/,,'; }
count() { fn_tool stat | awk -v n="$1" '$1 == n { print $2; f = 1 } END { if (!f) print 0 }'; }
ping_to()
{
	fn_client ping -6 -n -q -i 0.01 -W 5 "$@" >"$FN_TMP/ping" 2>&1 && return
	cat "$FN_TMP/ping"
	return 1
}

link=$(addrs | grep '^fe80')
check "ping of $us" ping_to -c 5 $us
check "ping of the address of the link, $link" ping_to -c 3 "$link%fn1"
check "ping of all nodes" ping_to -c 2 ff02::1%fn1
check "ping in fragments both ways" ping_to -c 3 -s 4000 $us
check "ping of the largest size" ping_to -c 1 -s 65000 $us
check "packets were put together" test "$(count ip6_frag_ok)" -ge 4
check "and cut" test "$(count ip6_frag_tx)" -ge 50

# Neighbours: the kernel forgets us and asks again, by multicast and by unicast.
fn_ip "$FN_CLI" neigh flush dev fn1
check "ping after the peer has forgotten us" ping_to -c 2 $us
fn_ip "$FN_CLI" link set fn1 address 02:00:00:00:77:01
fn_ip "$FN_CLI" neigh flush dev fn1
check "ping after the peer has got another link address" ping_to -c 3 $us

# Duplicate addresses, seen from both sides. While ours is being checked, both give it up (RFC 4862 5.4.3).
checked() { ! fn_tool engine status | grep -q 'being checked'; }
check "our addresses are ours" fn_wait_for 10 checked
fn_ip "$FN_CLI" addr add $us/64 dev fn1
refused() { fn_ip "$FN_CLI" -6 addr show dev fn1 to $us | grep -q dadfailed; }
check "the peer learns that our address is taken" fn_wait_for 5 refused
fn_ip "$FN_CLI" addr del $us/64 dev fn1
# An AF_XDP socket takes what a second engine on the same interface would have to hear.
if [[ $FN_WIRE == af_packet ]]; then
	if timeout 20 nsenter --net="/run/netns/$FN_SRV" -- "$FN_FASTNETD" --socket "$FN_TMP/second.sock" \
		--port net_af_packet0,iface=fn0 --addr 10.77.0.3/24,$peer/64 >"$FN_TMP/second.log" 2>&1; then
		fn_die "an engine has started with the address of a neighbour"
	fi
	check "an engine does not start with the address of a neighbour" \
		grep -q "$peer is in use" "$FN_TMP/second.log"
fi

# A router (RFC 4861 6.3, RFC 4862 5.5): prefix, default route, parameters; then it goes. One that says so is
# no gateway any more at once, one that is killed when its lifetime is over.
lifetime=60 farewell=TERM
[[ $FN_WIRE != af_packet ]] || lifetime=5 farewell=KILL
cat >"$FN_TMP/radvd.conf" <<-CONF
	interface fn1 {
		AdvSendAdvert on;
		MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
		AdvDefaultLifetime $lifetime; AdvCurHopLimit 77; AdvLinkMTU 1400;
		prefix 2001:db8:77::/64 { AdvValidLifetime 8; AdvPreferredLifetime 6; };
	};
CONF
chmod 644 "$FN_TMP/radvd.conf"
fn_in "$FN_CLI" sysctl -qw net.ipv6.conf.all.forwarding=1
fn_ip "$FN_CLI" addr add 2001:db8:77::1/64 dev fn1 nodad
fn_client_bg radvd radvd -n -d 0 -m stderr -u root -C "$FN_TMP/radvd.conf" -p "$FN_TMP/radvd.pid"
auto() { addrs | grep -q '^2001:db8:77:'; }
check "the prefix gives an address" fn_wait_for 15 auto
address=$(addrs | grep '^2001:db8:77:')
check "which answers" ping_to -c 3 "$address"
# Valid for 8 seconds, preferred for 6 of them, as the router said last.
same "its state and lifetimes" "$(fn_tool ip addr -6 | awk -v a="$address/64" '$1 == a {
	print $4, ($3 ~ /^(tentative|preferred)$/), ($5 >= 1 && $5 <= 8), $5 - $6 }')" "router 1 1 2"
gone_default() { ! default; }
default() { fn_tool engine status | grep -q '^gateway.*fe80:'; }
check "the router is the default gateway" fn_wait_for 5 default
before=$(count ip6_frag_tx)
check "ping of a size between the two MTUs" ping_to -c 2 -s 1380 "$address"
same "its answers were cut to the router's MTU" "$(count ip6_frag_tx)" $((before + 4))
before=$(addrs | wc -l)
fn_stop radvd "$farewell"
check "a router that goes ($farewell) is no gateway any more" fn_wait_for $((lifetime % 60 + 5)) gone_default
gone() { ! auto; }
check "the address ends with its lifetime" fn_wait_for 20 gone
same "the others stay" "$(addrs | wc -l)" $((before - 1))
check "they answer" ping_to -c 2 $us
proved
