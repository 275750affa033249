#!/bin/bash
# Connections over IPv6 that live while what carries them changes: the MTU of a path behind a router, the link
# address of the peer, the peer itself.  usage: ip6_path.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need nft python3

far=$FN_TAG-far far_addr=fd77:2::2	# behind the peer, which is a router
talk=$e2e_dir/ip6_talk.py

far_up()
{
	fn_netns_add "$far"
	fn_ip "$FN_CLI" link add r0 type veth peer name r1 netns "$far"
	fn_v6_on "$FN_CLI" r0
	fn_v6_on "$far" r1
	fn_ip "$FN_CLI" link set r0 up
	fn_ip "$far" link set r1 up
	fn_offloads_off "$FN_CLI" r0
	fn_offloads_off "$far" r1
	fn_ip "$FN_CLI" addr add fd77:2::1/64 dev r0 nodad
	fn_ip "$far" addr add $far_addr/64 dev r1 nodad
	fn_ip "$far" route add default via fd77:2::1
	fn_in "$FN_CLI" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	[[ $FN_STACK != kernel ]] || fn_ip "$FN_SRV" route add default via "$FN_CLI_ADDR6"
}

# asker NAME ADDRESS: a program on the stack, its orders by order()
asker()
{
	local number
	mkfifo "$FN_TMP/$1.orders"
	# shellcheck disable=SC2016	# expanded by the inner shell
	fn_app "$1" sh -c 'exec python3 "$0" ask "$2" 7000 <"$1"' "$talk" "$FN_TMP/$1.orders" "$2"
	exec {number}<>"$FN_TMP/$1.orders"
	fd[$1]=$number
	check "a connection to $2" fn_wait_for 20 grep -q ready "$FN_TMP/$1.log"
}
declare -A fd=()

# order NAME ORDER: its answer
order()
{
	local lines
	lines=$(wc -l <"$FN_TMP/$1.log")
	echo "$2" >&"${fd[$1]}"
	fn_wait_for 40 eval "(( \$(wc -l <'$FN_TMP/$1.log') > $lines ))" || fn_die "$1: $2: no answer"
	tail -n 1 "$FN_TMP/$1.log"
}

ordered() { same "$1" "$(order "$2" "$3")" "$4"; }

# RFC 8201, RFC 4443 3.2: the router says what it can't pass on, and that is believed.
path_mtu()
{
	ordered "a path of 1500 bytes, a stream" far "tcp 1000000" same
	ordered "and datagrams" far "udp 1452" same
	same "its MTU" "$(order far mtu)" "1500 1500"
	fn_ip "$FN_CLI" link set r0 mtu 1400
	fn_ip "$far" link set r1 mtu 1400
	ordered "the path falls to 1400 bytes, the stream" far "tcp 1000000" same
	ordered "and datagrams, which are cut" far "udp 1452" same
	same "its MTU" "$(order far mtu)" "1400 1400"
	ordered "a new connection" far new same
	fn_ip "$FN_CLI" link set r0 mtu 1280
	fn_ip "$far" link set r1 mtu 1280
	ordered "to 1280 bytes, datagrams first" far "udp 5000" same
	ordered "and the stream" far "tcp 1000000" same
	same "its MTU" "$(order far mtu)" "1280 1280"
	fn_ip "$far" link set r1 mtu 1500
	fn_ip "$FN_CLI" link set r0 mtu 1500
	ordered "back to 1500 bytes, the stream" far "tcp 1000000" same
}

# RFC 4861 7.2.6: the peer says that it has another link address.
other_mac()
{
	fn_in "$FN_CLI" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/fn1/ndisc_notify'
	fn_ip "$FN_CLI" link set fn1 address 02:00:00:00:77:02
	ordered "the peer has another link address, a stream" near "tcp 100000" same
	ordered "and a datagram" near "udp 100" same
	ordered "and through it" far "tcp 100000" same
}

# It says nothing, and only its silence tells (RFC 4861 7.3, RFC 7048).
other_mac_silently()
{
	fn_in "$FN_CLI" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/fn1/ndisc_notify'
	fn_ip "$FN_CLI" link set fn1 address 02:00:00:00:77:03
	ordered "the peer has another link address and doesn't tell, a stream" near "tcp 100000" same
}

rto_fired() { fn_tool stat -a | awk '$1 == "tcp_rto_fired" { print $2 }'; }
retried() { (($(rto_fired) >= $1 + 2)); }

gone_and_back()
{
	local before
	fn_in "$FN_CLI" nft -f - <<-'RULES'
		table netdev fn_gone {
			chain in {
				type filter hook ingress device fn1 priority 0;
				drop
			}
		}
	RULES
	fn_ip "$FN_CLI" neigh flush dev fn1
	if [[ $FN_STACK == kernel ]]; then
		echo "tcp 10000" >&"${fd[near]}"
		sleep 1
	else
		before=$(rto_fired)
		echo "tcp 10000" >&"${fd[near]}"
		check "a peer that is gone: asked again" fn_wait_for 20 retried "$before"
	fi
	fn_in "$FN_CLI" nft delete table netdev fn_gone
	check "it is back: what was sent meanwhile is answered" \
		fn_wait_for 40 eval "[[ \$(wc -l <'$FN_TMP/near.log') -gt $1 ]]"
	same "and as it has to be" "$(tail -n 1 "$FN_TMP/near.log")" same
	ordered "a new connection" near new same
	ordered "the old one through it" far "tcp 100000" same
}

FN_ENGINE_ARGS="--gateway $FN_CLI_ADDR6"
e2e_start "${1:-auto}6"
far_up
fn_bg far_echo fn_in "$far" python3 "$talk" echo 7000
fn_client_bg near_echo python3 "$talk" echo 7000
check "a server behind the router" fn_wait_for 20 grep -q ready "$FN_TMP/far_echo.log"
check "and one on it" fn_wait_for 20 grep -q ready "$FN_TMP/near_echo.log"
asker far $far_addr
asker near "$FN_CLI_ADDR6"
path_mtu
other_mac
((!E2E_FULL)) || other_mac_silently
gone_and_back "$(wc -l <"$FN_TMP/near.log")"
for name in far near; do
	echo end >&"${fd[$name]}"
	fn_wait_for 10 eval "! fn_alive $name" || fn_die "$name does not end"
	fn_stop "$name"
done
drained
proved
