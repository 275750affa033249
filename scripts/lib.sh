#!/bin/bash
# What lab, quickstart, bench and the e2e tests share: two network namespaces, a wire between
# them, engines on it, programs on the stack, the proof that the kernel served nothing, clean-up.
# Sourced, never run.  Everything it makes is named FN_TAG-*, so two users never meet.
# SPDX-License-Identifier: MIT
#
#     FN_TAG-cli namespace                     FN_TAG-srv namespace
#     client programs                          server programs, preloaded
#     kernel stack, 10.77.1.1                  engine, 10.77.1.2
#          [fn1] ------------- veth ------------- [fn0]  no kernel address, nft drops its ingress
#
# fn_family 6 before fn_up: both ends have IPv6 addresses as well, fd77:1::1 and ::2, which FN_SRV_ADDR and
# FN_CLI_ADDR are then.
# FN_WIRE   af_xdp, af_packet: the engine drives fn0.  tap: the engine makes fn1 and it is moved to
#           the client's namespace.  memif, vhost: an engine on each side, no veth.  local: one
#           engine, both programs on it.
# FN_STACK  fastnet, or kernel: the same topology served by the kernel (comparison, trying scripts).
# shellcheck disable=SC2034		# variables for the scripts that source this

fn_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

FN_TAG=${FN_TAG:-fn$$}
FN_WIRE=${FN_WIRE:-af_xdp}
FN_STACK=${FN_STACK:-fastnet}
FN_SRV=$FN_TAG-srv
FN_CLI=$FN_TAG-cli
FN_SRV_ADDR4=10.77.1.2 FN_SRV_ADDR6=fd77:1::2
FN_CLI_ADDR4=10.77.1.1 FN_CLI_ADDR6=fd77:1::1
FN_FAMILY=4
FN_SRV_ADDR=$FN_SRV_ADDR4
FN_CLI_ADDR=$FN_CLI_ADDR4
FN_TIMEOUT=${FN_TIMEOUT:-60}		# seconds that one foreground command may take
FN_TMP=${FN_TMP-}
declare -A fn_pid=()			# background processes by name

fn_say()  { printf '%s\n' "$*"; }
fn_note() { printf '%s\n' "# $*" >&2; }
fn_die()  { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }

# The one way to skip: what this machine lacks, loud, and ctest shows it as skipped.
fn_skip()
{
	printf '%s\n' "SKIP: $*" >&2
	exit 77
}

fn_need()
{
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null ||
			fn_die "$program is not installed; run scripts/packages.sh test"
	done
}

# fn_products [build folder]: sets FN_FASTNETD, FN_FASTNET and FN_SHIM to what was built there.
fn_products()
{
	FN_BUILD=${1:-${FASTNET_BUILD:-$fn_root/build/dev}}
	FN_FASTNETD=$FN_BUILD/stack/host/fastnetd
	FN_FASTNET=$FN_BUILD/stack/cli/fastnet
	FN_SHIM=$FN_BUILD/shim/libfastnet-plain.so	# a sanitized build's, for programs that are not
	[[ -e $FN_SHIM ]] || FN_SHIM=$FN_BUILD/shim/libfastnet.so
	[[ $FN_STACK == kernel ]] && return 0
	local file
	for file in "$FN_FASTNETD" "$FN_FASTNET" "$FN_SHIM"; do
		[[ -e $file ]] || fn_die "$file is not built; run scripts/test or cmake --build"
	done
}

# ---- start and clean-up ----------------------------------------------------------------------

fn_init()
{
	((EUID == 0)) || fn_die "run as root: network namespaces need it"
	local name
	while IFS= read -r name; do	# nothing of the caller's settings reaches a test
		unset "$name"
	done < <(compgen -e | grep '^FASTNET_' | grep -vE '^FASTNET_(BUILD|E2E_FULL)$' || true)
	unset LD_PRELOAD http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
	export FASTNET_LIB=$FN_SHIM	# which library `fastnet run` and `explain --` preload
	FN_TMP=$(mktemp -d "${TMPDIR:-/tmp}/$FN_TAG.XXXXXX")
	chmod 755 "$FN_TMP"		# other uids are tested too
	fn_reap_stale
	trap 'fn_exit $?' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# Namespaces of a script that was killed by SIGKILL: theirs are named after a pid that is gone.
fn_reap_stale()
{
	local ns pid
	for ns in $(ip netns list 2>/dev/null | awk '{ print $1 }' | grep -E '^fn[0-9]+-' || true); do
		pid=${ns#fn}
		pid=${pid%%-*}
		[[ -d /proc/$pid ]] || fn_netns_del "$ns"
	done
}

fn_exit()
{
	local status=$1
	trap - EXIT
	set +e
	if ((status != 0 && status != 77)); then
		fn_logs
	fi
	fn_down
	if [[ -n $FN_TMP && -z ${FN_KEEP-} ]]; then
		rm -rf "$FN_TMP"
	elif [[ -n $FN_TMP ]]; then
		fn_note "kept $FN_TMP"
	fi
	exit "$status"
}

# The tail of every log: what a failed test shows.
fn_logs()
{
	local log
	for log in "$FN_TMP"/*.log; do
		[[ -s $log ]] || continue
		printf -- '---- %s\n' "${log##*/}" >&2
		tail -n 25 "$log" >&2
	done
}

fn_down()
{
	local name ns
	for name in "${!fn_pid[@]}"; do
		[[ $name == engine* ]] || fn_stop "$name"
	done
	for name in "${!fn_pid[@]}"; do
		fn_stop "$name"
	done
	for ns in $(ip netns list 2>/dev/null | awk '{ print $1 }' | grep "^$FN_TAG-" || true); do
		fn_netns_del "$ns"
	done
}

# What still runs in a namespace of ours was started by us (daemons, auto-started engines).
fn_netns_del()
{
	local ns=$1 pids i
	for ((i = 0; i < 30; i++)); do
		pids=$(ip netns pids "$ns" 2>/dev/null) || break
		[[ -n $pids ]] || break
		# shellcheck disable=SC2086	# a list of numbers
		kill -"$( ((i < 10)) && echo TERM || echo KILL)" $pids 2>/dev/null || true
		sleep 0.1
	done
	ip netns del "$ns" 2>/dev/null || true
}

# ---- namespaces and processes ----------------------------------------------------------------

# fn_ip NAMESPACE ARGUMENTS: ip(8) in it. Not `ip -n`, which remounts / and so needs / to be a mount
# point: in a chroot it is not.
fn_ip()
{
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- ip "$@"
}

fn_netns_add()
{
	local ns=$1
	ip netns add "$ns"
	fn_in "$ns" sh -c '
		echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null || true
}

# Runs in a namespace and becomes the command (so $! of a background one is its pid). The mount
# namespace stays: libxdp finds bpffs, logs and sockets have one name everywhere.
fn_in()
{
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- "$@"
}

# fn_bg NAME command...: in the background, output in $FN_TMP/NAME.log, stopped at the end.
fn_bg()
{
	local name=$1
	shift
	"$@" >"$FN_TMP/$name.log" 2>&1 </dev/null &
	fn_pid[$name]=$!
}

fn_alive() { [[ -n ${fn_pid[$1]-} ]] && kill -0 "${fn_pid[$1]}" 2>/dev/null; }

# fn_stop NAME [signal]: returns the process' exit status in FN_STATUS. Bounded: KILL after 5 s.
fn_stop()
{
	local name=$1 pid=${fn_pid[$1]-} i
	FN_STATUS=0
	[[ -n $pid ]] || return 0
	kill -"${2:-TERM}" "$pid" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		[[ $(fn_proc_state "$pid") == [ZX]* || ! -d /proc/$pid ]] && break
		sleep 0.05
	done
	kill -KILL "$pid" 2>/dev/null || true
	{ wait "$pid" || FN_STATUS=$?; } 2>/dev/null	# the shell's own "Killed" line goes too
	unset "fn_pid[$name]"
}

fn_proc_state() { awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo X; }

# fn_wait_for SECONDS command...: polls until the command succeeds.
fn_wait_for()
{
	local -i end=$((SECONDS + $1 + 1)) # the present second may be over at once
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

fn_now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# ---- addresses -------------------------------------------------------------------------------

fn_family()
{
	FN_FAMILY=$1
	FN_SRV_ADDR=$FN_SRV_ADDR4 FN_CLI_ADDR=$FN_CLI_ADDR4
	[[ $FN_FAMILY == 4 ]] || FN_SRV_ADDR=$FN_SRV_ADDR6 FN_CLI_ADDR=$FN_CLI_ADDR6
}

# fn_url ADDRESS: as it stands in a URL, or before a port
fn_url() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }

# fn_addrs ADDRESS: what the interface of a side with that address has, as `--addr` says it
fn_addrs()
{
	case $1 in
	"$FN_SRV_ADDR6") echo "$FN_SRV_ADDR4/24,$1/64" ;;
	"$FN_CLI_ADDR6") echo "$FN_CLI_ADDR4/24,$1/64" ;;
	*) echo "$1/24" ;;
	esac
}

# fn_addr_add NAMESPACE INTERFACE ADDRESS: the same for a kernel's interface
fn_addr_add()
{
	local addr
	for addr in $(fn_addrs "$3" | tr , ' '); do
		if [[ $addr == *:* ]]; then
			fn_v6_on "$1" "$2"
			fn_ip "$1" addr add "$addr" dev "$2" nodad
		else
			fn_ip "$1" addr add "$addr" dev "$2"
		fi
	done
}

fn_v6_on()
{
	# shellcheck disable=SC2016	# expanded by the inner shell
	fn_in "$1" sh -c 'for i in all default "$0"; do
			echo 0 >"/proc/sys/net/ipv6/conf/$i/disable_ipv6"
		done' "$2"
}

# ---- the wire and the engines ----------------------------------------------------------------

fn_up()
{
	fn_netns_add "$FN_SRV"
	fn_netns_add "$FN_CLI"
	fn_ip "$FN_CLI" link set lo up
	local wire=$FN_WIRE
	[[ $FN_STACK == kernel ]] && wire=kernel
	[[ $FN_STACK == kernel && $FN_WIRE == local ]] && wire=kernel-local
	case $wire in
	af_xdp | af_packet) fn_up_veth ;;
	tap | memif | vhost | local) ;;
	kernel) fn_up_kernel ;;
	kernel-local)
		FN_CLI=$FN_SRV FN_SRV_ADDR=127.0.0.1
		fn_ip "$FN_SRV" link set lo up
		if [[ $FN_FAMILY == 6 ]]; then
			FN_SRV_ADDR=::1
			fn_v6_on "$FN_SRV" lo
		fi
		FN_CLI_ADDR=$FN_SRV_ADDR ;;
	*) fn_die "unknown wire $FN_WIRE: af_xdp, af_packet, tap, memif, vhost, local" ;;
	esac
	if [[ $FN_STACK == fastnet ]]; then
		fn_engines_start
	fi
}

fn_veth()
{
	fn_ip "$FN_SRV" link add fn0 type veth peer name fn1 netns "$FN_CLI"
	fn_ip "$FN_SRV" link set fn0 up
	fn_ip "$FN_CLI" link set fn1 up
	fn_addr_add "$FN_CLI" fn1 "$FN_CLI_ADDR"
}

# The kernel as the server, at its best: all offloads of the veth pair stay on, unless FN_OFFLOADS=off.
fn_up_kernel()
{
	fn_veth
	if [[ ${FN_OFFLOADS-} == off ]]; then
		fn_offloads_off "$FN_SRV" fn0
		fn_offloads_off "$FN_CLI" fn1
	fi
	fn_ip "$FN_SRV" link set lo up
	fn_addr_add "$FN_SRV" fn0 "$FN_SRV_ADDR"
}

# The driver hands on what the kernel peer left undone, so its offloads are off; and the server
# side's kernel is deaf: no address, and what still reaches its ingress hook is dropped there
# (packet sockets and XDP sit before that hook).
fn_up_veth()
{
	fn_veth
	fn_offloads_off "$FN_SRV" fn0
	fn_offloads_off "$FN_CLI" fn1
	fn_deafen "$FN_SRV" fn0
}

fn_offloads_off()
{
	local feature
	for feature in tx rx sg tso gso gro; do
		fn_in "$1" ethtool -K "$2" "$feature" off >/dev/null 2>&1 || true
	done
}

fn_deafen()
{
	fn_ip "$1" link set "$2" arp off
	fn_in "$1" nft -f - <<-RULES || fn_note "no nft: $1 is deaf by having no address only"
		table netdev fn_deaf {
			chain ingress {
				type filter hook ingress device $2 priority 0; policy drop;
				counter drop
			}
		}
	RULES
}

fn_port_of()
{
	case $FN_WIRE:$1 in
	af_xdp:*) echo "net_af_xdp0,iface=fn0" ;;
	af_packet:*) echo "net_af_packet0,iface=fn0" ;;
	tap:*) echo "net_tap0,iface=fn1" ;;
	memif:srv) echo "net_memif0,role=server,socket=$FN_TMP/memif.sock,socket-abstract=no" ;;
	memif:cli) echo "net_memif0,role=client,socket=$FN_TMP/memif.sock,socket-abstract=no" ;;
	vhost:srv) echo "net_vhost0,iface=$FN_TMP/vhost.sock,queues=1" ;;
	vhost:cli) echo "net_virtio_user0,path=$FN_TMP/vhost.sock,queues=1,queue_size=1024" ;;
	local:*) echo none ;;
	esac
}

# fn_engine_start NAME NAMESPACE ADDRESS PORT [option...]: returns when it serves, or 1. FN_ENGINE_PIN=C[,C2]
# holds it (the client's) on a CPU.
fn_engine_start()
{
	local name=$1 ns=$2 addr=$3 port=$4 fifo=$FN_TMP/$1.ready cpu=${FN_ENGINE_PIN-} words=
	shift 4
	if [[ -n $cpu ]]; then
		[[ $name == engine2 ]] && cpu=${cpu#*,} || cpu=${cpu%,*}
		words="taskset -c $cpu"
		set -- --cpus "$cpu" "$@"
	fi
	rm -f "$fifo"
	mkfifo "$fifo"
	# shellcheck disable=SC2016,SC2086	# for the inner shell; lists of words
	fn_bg "$name" nsenter --net="/run/netns/$ns" -- sh -c 'exec "$@" 9>"$0"' "$fifo" \
		$words "$FN_FASTNETD" --ready-fd 9 --socket "$FN_TMP/$name.sock" \
		--port "$port" --addr "$(fn_addrs "$addr")" ${FN_ENGINE_ARGS-} "$@"
	[[ $(timeout 30 head -n 1 "$fifo") == ok ]]	# otherwise "error: text"
}

fn_engines_start()
{
	local port
	port=$(fn_port_of srv)
	fn_engine_start engine "$FN_SRV" "$FN_SRV_ADDR" "$port" ||
		fn_die "the engine did not start on $port"
	FN_SRV_SOCKET=$FN_TMP/engine.sock FN_CLI_SOCKET=
	case $FN_WIRE in
	tap) fn_tap_move ;;
	memif | vhost)
		FN_CLI_SOCKET=$FN_TMP/engine2.sock
		fn_engine_start engine2 "$FN_CLI" "$FN_CLI_ADDR" "$(fn_port_of cli)" ||
			fn_die "the client's engine did not start" ;;
	local)
		FN_CLI=$FN_SRV FN_CLI_ADDR=$FN_SRV_ADDR
		FN_CLI_SOCKET=$FN_SRV_SOCKET ;;
	esac
}

# The tap's kernel end goes to the client's namespace; the server's is left without any interface.
fn_tap_move()
{
	fn_ip "$FN_SRV" link set fn1 netns "$FN_CLI"
	fn_ip "$FN_CLI" link set fn1 address 02:00:0a:4d:01:01	# the driver gave it the port's own
	fn_offloads_off "$FN_CLI" fn1
	fn_addr_add "$FN_CLI" fn1 "$FN_CLI_ADDR"
	fn_ip "$FN_CLI" link set fn1 up
}

# ---- programs --------------------------------------------------------------------------------

# The words that put a command on the stack of one side (srv, cli): an env line, or nothing.
fn_preload_words()
{
	local socket=${FN_SRV_SOCKET-}
	[[ $1 == cli ]] && socket=${FN_CLI_SOCKET-}
	[[ $FN_STACK == fastnet && -n $socket ]] || return 0
	echo "env LD_PRELOAD=$FN_SHIM FASTNET_SOCKET=$socket FASTNET_AUTOSTART=0 ${FN_APP_ENV-}"
}

# fn_app NAME command...: a server program on the stack, in the background.
fn_app()
{
	local name=$1
	shift
	# shellcheck disable=SC2046	# words
	fn_bg "$name" nsenter --net="/run/netns/$FN_SRV" -- $(fn_preload_words srv) "$@"
}

# A program on the stack in the foreground, bounded.
fn_on_stack()
{
	# shellcheck disable=SC2046	# words
	timeout "$FN_TIMEOUT" nsenter --net="/run/netns/$FN_SRV" -- $(fn_preload_words srv) "$@"
}

# A client program: on the kernel's stack in its own namespace, or on the second engine.
fn_client()
{
	# shellcheck disable=SC2046	# words
	timeout "$FN_TIMEOUT" nsenter --net="/run/netns/$FN_CLI" -- $(fn_preload_words cli) "$@"
}

fn_client_bg()
{
	local name=$1
	shift
	# shellcheck disable=SC2046	# words
	fn_bg "$name" nsenter --net="/run/netns/$FN_CLI" -- $(fn_preload_words cli) "$@"
}

# The `fastnet` tool, asking the server side's engine.
fn_tool()
{
	FASTNET_SOCKET=$FN_SRV_SOCKET timeout 20 nsenter --net="/run/netns/$FN_SRV" -- \
		"$FN_FASTNET" "$@"
}

fn_port_open() { fn_client bash -c "exec 3<>/dev/tcp/$1/$2"; }

# fn_wait_port PORT NAME: until the server answers on the stack's address from the client's side.
fn_wait_port()
{
	local -i i
	for ((i = 0; i < 200; i++)); do
		fn_alive "$2" || fn_die "$2 ended before it listened on port $1"
		FN_TIMEOUT=2 fn_port_open "$FN_SRV_ADDR" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	fn_die "$2 does not answer on port $1"
}

# ---- proof -----------------------------------------------------------------------------------

# fn_kernel_counters NAMESPACE: "ActiveOpens=0 ... InDatagrams=0 ..." of the kernel's TCP (which counts both
# families together) and UDP there.
fn_kernel_counters()
{
	# shellcheck disable=SC2016	# awk's
	fn_in "$1" awk '
		/^Udp6(InDatagrams|OutDatagrams|NoPorts) / { printf "%s=%s ", $1, $2 }
		$1 != "Tcp:" && $1 != "Udp:" { next }
		!n { n = split($0, name); next }
		{
			split($0, value)
			for (i = 2; i <= n; i++)
				if (name[i] ~ /^(ActiveOpens|PassiveOpens|InSegs|OutSegs|OutRsts)$/ ||
				    name[i] ~ /^(InDatagrams|OutDatagrams|NoPorts)$/)
					printf "%s=%s ", name[i], value[i]
			n = 0
		}' /proc/net/snmp /proc/net/snmp6
}

# The kernel of the server's namespace has neither sent nor received one TCP segment or datagram.
fn_assert_kernel_untouched()
{
	[[ $FN_STACK == kernel ]] && return 0
	local counters
	counters=$(fn_kernel_counters "$FN_SRV")
	[[ -n $counters ]] || fn_die "can't read the kernel's counters"
	if grep -qE '=[1-9]' <<<"$counters"; then
		fn_die "the kernel of the server's namespace served TCP or UDP: $counters"
	fi
}

# User and system CPU time of processes, in milliseconds.
fn_cpu_ms()
{
	local pid ticks=0 rest
	local -a f
	for pid in "$@"; do
		rest=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
		read -ra f <<<"${rest##*) }"
		ticks=$((ticks + f[11] + f[12]))
	done
	echo $((ticks * 1000 / $(getconf CLK_TCK)))
}
