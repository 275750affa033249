#!/bin/bash
# What every end-to-end test starts with.  Real programs, two namespaces, and at the end of each
# part the proof that the kernel of the server's namespace has not carried one TCP segment.
# Sourced, never run.  E2E_STACK=kernel runs a script against the plain kernel instead, to test the
# script itself.
# SPDX-License-Identifier: MIT

FN_STACK=${E2E_STACK:-fastnet}
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

E2E_FULL=${FASTNET_E2E_FULL:-0}		# 1: the full amounts instead of the short ones
# shellcheck disable=SC2034		# used by the tests
e2e_dir=$fn_root/tests/e2e

# e2e_start [wire] [nowire]: namespaces, wire, engine. Without a wire: af_xdp, or af_packet where
# the machine's kernel has no AF_XDP. A 6 behind the wire's name: over IPv6, with IPv4 beside it.
e2e_start()
{
	local wire=${1:-auto}
	if [[ $wire == *6 ]]; then
		fn_family 6
		wire=${wire%6}
	fi
	[[ $wire != auto ]] || wire=$(e2e_have_xdp && echo af_xdp || echo af_packet)
	if [[ $wire == af_xdp ]] && ! e2e_have_xdp; then
		fn_skip "this machine's kernel has no AF_XDP sockets"
	fi
	if [[ $wire == tap && ! -c /dev/net/tun ]]; then
		fn_skip "this machine has no /dev/net/tun"
	fi
	FN_WIRE=$wire
	fn_need ip nsenter nft ethtool timeout python3
	fn_products
	fn_init
	[[ ${2-} == nowire ]] || fn_up
}

e2e_have_xdp() { python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW, 0)' 2>/dev/null; }

ok() { printf 'ok - %s\n' "$*"; }

# check WHAT command...: the command has to succeed.
check()
{
	local what=$1
	shift
	"$@" || fn_die "$what: failed: $*"
	ok "$what"
}

same()
{
	[[ $2 == "$3" ]] || fn_die "$1: expected '$3', got '$2'"
	ok "$1"
}

at_most()
{
	awk -v a="$2" -v b="$3" 'BEGIN { exit !(a <= b) }' || fn_die "$1: $2, allowed is $3"
	ok "$1: $2 (at most $3)"
}

# soon WHAT VALUE LIMIT: at_most() for times, which a machine that others keep busy makes longer
soon()
{
	at_most "$1" "$2" "$(awk -v cpus="$(nproc)" -v limit="$3" \
		'{ printf "%d", limit * (1 + $1 / cpus) }' /proc/loadavg)"
}

# at the end of a part: nothing may have gone through the kernel, and the stack knows why it is used
proved()
{
	fn_assert_kernel_untouched
	[[ $FN_STACK == kernel ]] || ok "the kernel carried none of it${1:+ ($1)}"
}

full_or() { if ((E2E_FULL)); then echo "$1"; else echo "$2"; fi; }

# by_family OVER_IPV4 OVER_IPV6
by_family() { if [[ $FN_FAMILY == 4 ]]; then echo "$1"; else echo "$2"; fi; }

sha() { sha256sum "$1" | cut -d' ' -f1; }

# wrk_clean WHAT wrk options...: requests, no socket errors, no other status than 200
wrk_clean()
{
	local what=$1 out=$FN_TMP/wrk
	shift
	fn_client wrk --timeout 20s "$@" >"$out" 2>&1 || { cat "$out" >&2; fn_die "$what: wrk failed"; }
	if grep -qE 'Socket errors|Non-2xx' "$out" || ! grep -qE 'Requests/sec: +[0-9]*[1-9]' "$out"
	then
		cat "$out" >&2
		fn_die "$what: errors"
	fi
	ok "$what: $(grep Requests/sec "$out")"
}

# after the programs have ended: the stack has no socket left but what waits out its time
e2e_left() { fn_tool ss | awk 'NR > 1 && $2 != "TIME-WAIT" && $2 != "TIME_WAIT"'; }
e2e_empty() { [[ -z $(e2e_left) ]]; }
drained()
{
	[[ $FN_STACK == kernel ]] && return 0
	fn_wait_for "${1:-10}" e2e_empty || fn_die "sockets are left: $(e2e_left)"
	ok "no socket is left"
}

# nginx_conf PORT DIRECTIVES: $FN_TMP/nginx.conf of 4 workers that serve $FN_TMP/www; the directives are the
# access log's.
nginx_conf()
{
	cat >"$FN_TMP/nginx.conf" <<-CONF
		user www-data;
		worker_processes 4;
		worker_rlimit_nofile 8192;
		pid $FN_TMP/nginx.pid;
		error_log $FN_TMP/nginx.err warn;
		events { worker_connections 4096; }
		http {
			$2
			client_body_temp_path $FN_TMP/tmp1;
			proxy_temp_path $FN_TMP/tmp2;
			fastcgi_temp_path $FN_TMP/tmp3;
			uwsgi_temp_path $FN_TMP/tmp4;
			scgi_temp_path $FN_TMP/tmp5;
			server { listen $1; root $FN_TMP/www; }
		}
	CONF
}
