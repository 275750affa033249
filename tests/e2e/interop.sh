#!/bin/bash
# Streams between the stack and Linux over a clean wire, both ways at once, every byte compared: all options
# that Linux can leave out, each congestion control on either side, numbers that wrap, other MTUs.
# interop.sh [WIRE]     FASTNET_E2E_FULL=1: 10 GB each way
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/interop_lib.sh
. "$e2e_dir/interop_lib.sh"

amount=$(full_or 50000000 4000000)

# ---- the options of Linux' SYN, and of its SYN-ACK ----
options()
{
	local bits
	for ((bits = 0; bits < 16; bits++)); do
		linux_tcp timestamps=$((bits & 1)) sack=$((bits >> 1 & 1)) \
			window_scaling=$((bits >> 2 & 1)) ecn=$((bits >> 3 & 1))
		both_roles "options $bits" up="$amount" down="$amount" seed="$bits"
		same "... and they are what was agreed on" "$(agreed_of "${said[@]}")" \
			"$bits $bits $bits $bits"
	done
	linux_tcp timestamps=1 sack=1 window_scaling=1 ecn=2
}

congestion()
{
	local theirs ours list
	list=$(fn_in "$FN_CLI" cat /proc/sys/net/ipv4/tcp_available_congestion_control)
	for theirs in $list; do
		for ours in $(full_or "cubic reno dctcp bbr" "$theirs"); do
			[[ $FN_STACK != kernel || " $list " == *" $ours "* ]] || continue
			from_linux "Linux' $theirs, our $ours" up="$amount" down="$amount" \
				cc="$theirs" peer-cc="$ours"
			to_linux "our $ours, Linux' $theirs" up="$amount" down="$amount" \
				cc="$ours" peer-cc="$theirs"
		done
	done
}

# ---- what wraps: sequence numbers in either direction at each place of a connection, timestamps ----
wraps()
{
	local k
	for k in 1 2 57 1500 2000000; do # the SYN, the first byte, the end of the order, the middle
		from_linux "Linux begins $k before the wrap" up="$amount" down=100000 seq=$((0x100000000 - k))
	done
	from_linux "both begin before the wrap" up=8000000 down=8000000 seq=0xfff00000 near=4000000
	for k in 0xffffff80 0x7fffff80; do
		from_linux "Linux' timestamps go over $k" up=200000 down=200000 clock=$k stall=300 \
			peer-stall=300
	done
}

# ---- the receiver's manners: silly windows, and writes of any size ----
manners()
{
	local sizes=(up=300000 down=0)
	both_roles "a reader of single bytes, small window" "${sizes[@]}" peer-read=1 peer-rcvbuf=5000
	at_most "segments of the sender" "$(segs_of "${said[@]}")" 500
	both_roles "the same as the client" up=0 down=300000 read=1 rcvbuf=5000
	[[ $FN_STACK == kernel ]] ||
		same "segments that we had no room for" "$(stat_of tcp_drop_nomem)" 0
	both_roles "writes of 100 bytes" "${sizes[@]}" write=100
	both_roles "no FIN for long" up=0 down="$amount" peer-write=1000
}

FN_ENGINE_ARGS="--ecn request"
e2e_start "${1:-auto}"
[[ $FN_STACK != kernel ]] || fn_in "$FN_SRV" sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_ecn'
servers_start
options
congestion
wraps
manners
if ((E2E_FULL)); then
	FN_TIMEOUT=600
	from_linux "10 GB each way" up=10000000000 down=10000000000
	to_linux "10 GB each way" up=10000000000 down=10000000000
fi
servers_stop
proved
drained 20

for mtu in $(by_family 576 1280) 9000; do
	[[ $FN_STACK == kernel ]] || fn_stop engine
	fn_ip "$FN_SRV" link set fn0 mtu "$mtu"
	fn_ip "$FN_CLI" link set fn1 mtu "$mtu"
	((mtu < 3000)) || FN_WIRE=af_packet	# a frame of AF_XDP has to fit into a page
	[[ $FN_STACK == kernel ]] || fn_engines_start
	servers_start
	both_roles "MTU $mtu" up="$amount" down="$amount"
	servers_stop
	proved "MTU $mtu"
done
