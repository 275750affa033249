#!/bin/bash
# Datagrams: a name server and its clients, fragments, groups, broadcasts, refusals, load. The other
# side is the kernel's in the client's namespace. Over IPv6 without groups and broadcasts.
# usage: udp_apps.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need dnsmasq dig host iperf3 memcached jq

peer=$e2e_dir/udp_peer.py
group=239.77.1.1
net=${FN_SRV_ADDR4%.*}.255

# said NAME TEXT: a background program's output has the line, soon.
said() { fn_wait_for 20 grep -qx "$2" "$FN_TMP/$1.log"; }

# serve_names fn_app|fn_client_bg NAME option...: dnsmasq with some names of its own
serve_names()
{
	local run=$1 name=$2
	shift 2
	"$run" "$name" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --log-facility=- --address=/one.test/192.0.2.1 --address=/two.test/192.0.2.2 \
		--address=/two.test/2001:db8::2 \
		--txt-record="big.test,$(printf 'x%.0s' {1..250}),$(printf 'y%.0s' {1..250})" \
		--mx-host=one.test,mail.test,10 "$@"
}

# asked WHAT fn_client|fn_on_stack SERVER: the usual questions
asked()
{
	local what=$1 run=$2 server=$3 i
	local -a dig=(dig "@$server" +tries=5 +time=2)
	check "$what: it answers" fn_wait_for 10 eval \
		"[[ \$($run dig @$server +tries=1 +time=1 +short one.test) == 192.0.2.1 ]]"
	for i in 1 2 3; do
		same "$what: an address, $i" "$("$run" "${dig[@]}" +short two.test)" 192.0.2.2
	done
	same "$what: an address of IPv6" "$("$run" "${dig[@]}" +short two.test AAAA)" 2001:db8::2
	same "$what: 500 bytes of text" \
		"$("$run" "${dig[@]}" +short +bufsize=4096 big.test TXT | tr -cd xy | wc -c)" 500
	same "$what: a name that is not there" \
		"$("$run" "${dig[@]}" none.test | awk '/status:/ { print $6 }')" REFUSED,
	same "$what: host" \
		"$("$run" host -W 5 one.test "$server" | awk '/has address/ { print $4 }')" 192.0.2.1
}

# long_answer WHAT fn_client|fn_on_stack SERVER: cut for want of room, and asked for again by TCP. Not
# from dnsmasq's wildcard address: there it wants the address to be a kernel interface's.
long_answer()
{
	same "$1: too long for 512, so by TCP" \
		"$("$2" dig "@$3" +tries=5 +time=2 +short +noedns big.test TXT | tr -cd xy | wc -c)" 500
}

names()
{
	# at any address dnsmasq asks the kernel for the name of the interface, which a tap has not got
	if [[ $FN_WIRE != tap || $FN_STACK == kernel ]]; then
		serve_names fn_app dns
		asked "dnsmasq on the stack, any address" fn_client "$FN_SRV_ADDR"
		fn_stop dns
	fi
	serve_names fn_app dns2 --bind-interfaces --listen-address="$FN_SRV_ADDR"
	asked "dnsmasq on the stack, its address" fn_client "$FN_SRV_ADDR"
	long_answer "dnsmasq on the stack" fn_client "$FN_SRV_ADDR"
	fn_stop dns2
	serve_names fn_client_bg dns3
	asked "dig on the stack" fn_on_stack "$FN_CLI_ADDR"
	long_answer "dig on the stack" fn_on_stack "$FN_CLI_ADDR"
	fn_stop dns3
}

lengths()
{
	fn_app echo python3 "$peer" echo 7000 "$any"
	said echo ready || fn_die "no echo server"
	same "kernel asks the stack, up to 65507 bytes" \
		"$(fn_client python3 "$peer" ask "$FN_SRV_ADDR" 7000)" "all lengths"
	fn_stop echo
	fn_client_bg echo2 python3 "$peer" echo 7001 "$any"
	said echo2 ready || fn_die "no echo server"
	same "the stack asks the kernel, up to 65507 bytes" \
		"$(fn_on_stack python3 "$peer" ask "$FN_CLI_ADDR" 7001)" "all lengths"
	fn_stop echo2
	same "the kernel refuses" "$(fn_on_stack python3 "$peer" refused "$FN_CLI_ADDR" 7009)" refused
	same "the stack refuses" "$(fn_client python3 "$peer" refused "$FN_SRV_ADDR" 7009)" refused
}

groups()
{
	fn_client_bg watch python3 "$peer" reports "$group" 20
	said watch ready || fn_die "no packet socket"
	fn_app member python3 "$peer" member "$group" 7100 "$FN_SRV_ADDR"
	said member ready || fn_die "the stack does not join"
	check "the stack reports that it joins" said watch joined
	fn_client_bg publish python3 "$peer" publish "$group" 7100 "$FN_CLI_ADDR"
	check "the stack hears the kernel's group" said member heard
	fn_stop publish
	fn_stop member

	fn_client_bg member2 python3 "$peer" member "$group" 7101 "$FN_CLI_ADDR"
	said member2 ready || fn_die "the kernel does not join"
	fn_app publish2 python3 "$peer" publish "$group" 7101 "$FN_SRV_ADDR"
	check "the kernel hears the stack's group" said member2 heard
	fn_stop publish2

	fn_client_bg hear python3 "$peer" hear 7102
	said hear ready || fn_die "no listener"
	fn_app call python3 "$peer" broadcast "$net" 7102
	check "the kernel hears the stack's broadcast" said hear heard
	fn_stop call
	fn_app hear2 python3 "$peer" hear 7103
	said hear2 ready || fn_die "no listener"
	fn_client_bg call2 python3 "$peer" broadcast "$net" 7103
	check "the stack hears the kernel's broadcast" said hear2 heard
	fn_stop call2
}

# moved WHAT FILE: iperf3's report has no error and datagrams arrived
moved()
{
	local error got
	error=$(jq -r '.error // ""' "$2")
	[[ -z $error ]] || fn_die "$1: $error"
	got=$(jq -r '.end.sum | .packets - .lost_packets' "$2")
	((got > 100)) || fn_die "$1: $got datagrams arrived"
	ok "$1: $got datagrams, $(jq -r '.end.sum.lost_percent | . * 100 | round / 100' "$2") % lost"
}

load()
{
	local options
	fn_app iperf iperf3 -s -p 5201
	fn_wait_port 5201 iperf
	for options in "" "-R" "-l 8000"; do
		# shellcheck disable=SC2086	# words
		fn_client iperf3 -u -c "$FN_SRV_ADDR" -p 5201 -b 200M \
			-t "$(full_or 10 "$(by_family 2 1)")" -J $options >"$FN_TMP/report" ||
			fn_die "iperf3 -u $options: $(jq -r .error "$FN_TMP/report")"
		moved "server on the stack, iperf3 -u${options:+ $options}" "$FN_TMP/report"
	done
	fn_stop iperf
	fn_app memcached memcached -l "$any" -u root -p 0 -U 11211 -t 2 -m 64
	same "memcached by datagrams" \
		"$(fn_client python3 "$peer" memcached "$FN_SRV_ADDR" 11211)" "all values"
	fn_stop memcached
}

e2e_start "${1:-auto}"
any=$(by_family 0.0.0.0 ::)
names
proved "names"
lengths
[[ $FN_FAMILY == 6 ]] || groups
proved "lengths and groups"
load
proved "load"
