#!/bin/sh
# What users get wrong: each case is answered by exactly one line that says what to do, and by a
# status other than 0; nothing is left behind. In a namespace of its own, so it needs root.
# SPDX-License-Identifier: MIT
set -u
build=${FASTNET_BUILD:?the build folder}
fastnetd=$build/stack/host/fastnetd
fastnet=$build/stack/cli/fastnet
ns=fnbad$$
peer=fnbadp$$
tmp=$(mktemp -d) || exit 1
failed=0
unset LD_PRELOAD
for v in $(env | sed -n 's/^\(FASTNET_[A-Z_]*\)=.*/\1/p'); do
	[ "$v" = FASTNET_BUILD ] || unset "$v"
done

# shellcheck disable=SC2317	# called by the trap
cleanup()
{
	[ -z "${engine-}" ] || kill "$engine" 2>/dev/null
	ip netns del "$ns" 2>/dev/null
	ip netns del "$peer" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

[ "$(id -u)" = 0 ] || { echo "SKIP: root is needed for a network namespace" >&2; exit 77; }
ip netns add "$ns" || exit 1
chmod 755 "$tmp"

in_ns() { timeout 20 nsenter --net="/run/netns/$ns" -- "$@"; }

# bad WHAT STATUS WORDS command...: the status, one line on stderr that has the words, no output.
bad()
{
	what=$1 want=$2 words=$3
	shift 3
	in_ns "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	if [ "$got" != "$want" ]; then
		why="status $got instead of $want"
	elif [ "$(wc -l <"$tmp/err")" != 1 ]; then
		why="not one line"
	elif ! grep -q -e "$words" "$tmp/err"; then
		why="does not say '$words'"
	elif [ -s "$tmp/out" ]; then
		why="wrote to stdout"
	else
		echo "ok - $what: $(cat "$tmp/err")"
		return
	fi
	failed=1
	echo "not ok - $what: $why"
	sed 's/^/#   /' "$tmp/err" "$tmp/out"
}

sock="--socket $tmp/s.sock"
addr="--addr 10.77.5.2/24"
# shellcheck disable=SC2086	# options are words
{
	# options
	bad "unknown option" 2 "unknown option '--prot'" "$fastnetd" --prot net_tap0
	bad "unknown option of the tool" 2 "unknown option '--prot'" "$fastnet" run --prot x -- true
	bad "unknown command" 2 "unknown command" "$fastnet" frobnicate
	bad "no program" 2 "no program" "$fastnet" run
	bad "option without value" 2 "needs a value" "$fastnetd" --workers
	bad "a word too many" 2 "unexpected argument" "$fastnetd" 10.0.0.1
	bad "number out of range" 2 "from 1 to 16" "$fastnetd" --workers 99
	bad "bad word" 2 "adaptive|busy|sleep" "$fastnetd" --poll never
	bad "bad address" 2 "10.0.0.2/24" "$fastnetd" --addr 300.0.0.1/24
	bad "bad log level" 2 "warn,tcp=debug" "$fastnetd" --log loud
	bad "bad environment variable" 2 "FASTNET_WORKERS" \
		env FASTNET_WORKERS=many "$fastnetd"
	bad "bad ready descriptor" 2 "not an open descriptor" "$fastnetd" --ready-fd 77

	# configuration file
	bad "missing configuration" 2 "No such file" "$fastnetd" --config "$tmp/none.conf"
	bad "a directory as configuration" 2 "can't read" "$fastnetd" --config "$tmp"
	echo "workers = 1" >"$tmp/secret.conf"
	chmod 0 "$tmp/secret.conf"
	bad "unreadable configuration" 2 "Permission denied" \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$fastnetd" --config "$tmp/secret.conf"
	printf '[fastnet]\nworker = 1\n' >"$tmp/bad.conf"
	bad "unknown option in the file" 2 "bad.conf:2: unknown option 'worker'" \
		"$fastnetd" --config "$tmp/bad.conf"
	printf 'mtu = big\n' >"$tmp/bad.conf"
	bad "bad value in the file" 2 "bad.conf:1" "$fastnetd" --config "$tmp/bad.conf"

	# ports
	bad "port that is no device" 1 "devargs" "$fastnetd" $sock --port nonsense $addr
	bad "interface that is not there" 1 "iface=" \
		"$fastnetd" $sock --port net_af_packet0,iface=nope $addr
	bad "PCI device that is not there" 1 "vfio-pci" "$fastnetd" $sock --port 99:00.0 $addr
	bad "port without an address" 1 "has no address" "$fastnetd" $sock --port net_null0
	bad "port given twice" 1 "twice" "$fastnetd" $sock --port net_null0 --port net_null0 \
		--addr "10.77.5.2/24;10.77.6.2/24"
	bad "gateway that is not on-link" 1 "gateway" \
		"$fastnetd" $sock --port net_null0 $addr --gateway 10.99.0.1
	bad "bad fault" 1 "fault" "$fastnetd" $sock --port net_null0 $addr --fault lots
	bad "pcap file that can't be written" 1 "pcap" \
		"$fastnetd" $sock --port net_null0 $addr --pcap /nonexistent/x.pcap
	in_ns ip addr add 10.77.5.2/24 dev lo
	bad "occupied address" 1 "in use" "$fastnetd" $sock --port net_null0 $addr
	in_ns ip addr del 10.77.5.2/24 dev lo

	ip netns add "$peer"
	in_ns ip link add fnb1 type veth peer name fnb0 netns "$peer"
	in_ns ip link set fnb1 up
	nsenter --net="/run/netns/$peer" -- ip addr add 10.77.6.9/24 dev fnb0
	nsenter --net="/run/netns/$peer" -- ip link set fnb0 up
	bad "address occupied on the link" 1 "in use on the network" \
		"$fastnetd" $sock --port net_af_packet0,iface=fnb1 --addr 10.77.6.9/24
	ip netns del "$peer"

	# rights and resources
	bad "unprivileged user, port by devargs" 1 "CAP_NET" \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$fastnetd" --socket "/tmp/fnbad$$.sock" --port net_af_packet0,iface=lo $addr
	bad "unprivileged user, automatic port asked for" 1 "port auto" \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$fastnetd" --socket "/tmp/fnbad$$.sock" --port auto
	bad "20 open files" 1 "ulimit -n" prlimit --nofile=20:20 "$fastnetd" $sock --port none
	bad "too little memory" 2 "memory" "$fastnetd" $sock --port none --memory 1M
	[ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null)" != 0 ] ||
		bad "huge pages asked for, none there" 1 "nr_hugepages" \
			"$fastnetd" $sock --port none --hugepages on

	# the socket
	bad "socket in a folder that is not there" 1 "socket" \
		"$fastnetd" --socket "$tmp/no/s.sock" --port none
	bad "socket path too long" 1 "longer" "$fastnetd" --port none \
		--socket "$tmp/$(printf '%0200d' 0)"
	bad "no engine for the tool" 1 "no engine answers" "$fastnet" ss $sock
	mkfifo "$tmp/ready"
	nsenter --net="/run/netns/$ns" -- "$fastnetd" $sock --port none --ready-fd 9 \
		9>"$tmp/ready" 2>"$tmp/engine.log" &
	engine=$!
	[ "$(timeout 20 head -n 1 "$tmp/ready")" = ok ] || {
		echo "not ok - a good engine does not start"
		cat "$tmp/engine.log"
		failed=1
	}
	bad "second engine on the same socket" 3 "another engine serves" \
		"$fastnetd" $sock --port none
	bad "unknown word for the engine" 2 "unknown word" "$fastnet" engine dance $sock
	bad "program that is not there" 127 "No such file" "$fastnet" run $sock -- /no/such/program
}
kill "$engine"
wait "$engine"
status=$?
engine=
if [ "$status" = 0 ]; then
	echo "ok - the good engine ended with status 0"
else
	echo "not ok - the good engine ended with status $status"
	failed=1
fi
left=$(find "$tmp" /tmp -maxdepth 1 \( -path "$tmp/*sock*" -o -path "/tmp/fnbad$$*" \)
	in_ns ip -br link | grep -v '^lo')
if [ -z "$left" ]; then
	echo "ok - nothing is left behind"
else
	echo "not ok - left behind: $left"
	failed=1
fi
exit $failed
