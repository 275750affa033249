#!/bin/bash
# curl on the stack as a client of a kernel server in the other namespace; over IPv6 also of one that has
# addresses of both families.  usage: curl.sh [WIRE].
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need curl python3

# asked WHAT ADDRESSES WANTED: a name with these addresses, in this order; which one has served
asked()
{
	same "$1" "$(fn_on_stack curl -gsS -m 20 -o /dev/null -w '%{remote_ip}' \
		--resolve "name.test:8000:$2" "http://name.test:8000/1024")" "$3"
}

# order NAME [FLAG]: what getaddrinfo() makes of it, in this order (RFC 6724 6)
order()
{
	# shellcheck disable=SC2016	# expanded by the inner shell
	fn_on_stack unshare -m sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$FN_TMP/hosts" \
		python3 -c 'if True:
			import socket, sys
			a = socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM,
					       flags=getattr(socket, sys.argv[2]))
			print(*(i[4][0] for i in a))' "$1" "${2-AI_CANONNAME}"
}

# RFC 8305: an address of the other family is tried soon after the first, and what answers is taken.
both_families()
{
	local good4=$FN_CLI_ADDR4 good6="[$FN_CLI_ADDR6]" dead4=10.77.1.99 dead6="[fd77:1::99]"
	asked "both families: the first is taken" "$good6,$good4" "$FN_CLI_ADDR6"
	asked "IPv6 does not answer: IPv4 is taken" "$dead6,$good4" "$FN_CLI_ADDR4"
	asked "IPv4 does not answer: IPv6 is taken" "$dead4,$good6" "$FN_CLI_ADDR6"
	asked "IPv6 has no route: IPv4 is taken" "[2001:db8::1],$good4" "$FN_CLI_ADDR4"
	printf '%s name.test\n' $FN_CLI_ADDR4 $FN_CLI_ADDR6 >"$FN_TMP/hosts"
	printf '%s far.test\n' 2001:db8::1 $FN_CLI_ADDR4 >>"$FN_TMP/hosts"
	printf '%s two.test\n' 2001:db8::1 $FN_CLI_ADDR6 >>"$FN_TMP/hosts"
	same "a name's addresses: IPv6 first" "$(order name.test)" "$FN_CLI_ADDR6 $FN_CLI_ADDR4"
	same "but not one that has no route" "$(order far.test)" "$FN_CLI_ADDR4 2001:db8::1"
	same "nor before another of its family" "$(order two.test)" "$FN_CLI_ADDR6 2001:db8::1"
	same "AI_ADDRCONFIG knows both families" "$(order name.test AI_ADDRCONFIG)" \
		"$FN_CLI_ADDR6 $FN_CLI_ADDR4"
}

e2e_start "${1:-auto}"
url=http://$(fn_url "$FN_CLI_ADDR")
mkdir "$FN_TMP/www"
for size in 0 1 1024 1048576 20000003; do
	head -c "$size" /dev/urandom >"$FN_TMP/www/$size"
done
fn_client_bg peer python3 -u "$e2e_dir/http_peer.py" 8000 "$FN_TMP/www" "$(by_family "" ::)"
check "a server in the client's namespace" fn_wait_for 10 fn_port_open "$FN_CLI_ADDR" 8000
for file in "$FN_TMP"/www/*; do
	fn_on_stack curl -gsS -o "$FN_TMP/got" "$url:8000/${file##*/}"
	same "GET of ${file##*/} bytes" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	same "PUT of ${file##*/} bytes" \
		"$(fn_on_stack curl -gsS -T "$file" "$url:8000/put")" "$(sha "$file")"
done
urls=()
for ((i = 0; i < 20; i++)); do
	urls+=(-o "$FN_TMP/par.$i" "$url:8000/1048576")
done
check "twenty transfers at once" fn_on_stack curl -gsS -Z --no-progress-meter "${urls[@]}"
for ((i = 0; i < 20; i++)); do
	[[ $(sha "$FN_TMP/par.$i") == "$(sha "$FN_TMP/www/1048576")" ]] ||
		fn_die "parallel transfer $i differs"
done
status=0
fn_on_stack curl -gsS "$url:8009/" 2>/dev/null || status=$?
same "a refused connection is curl's status 7" "$status" 7
status=0
absent=$(by_family 10.77.1.99 "[fd77:1::99]")
fn_on_stack curl -gsS --connect-timeout 1 "http://$absent/" 2>/dev/null || status=$?
check "an absent host is an error" test "$status" -eq 7 -o "$status" -eq 28
[[ $FN_FAMILY == 4 ]] || both_families
proved
