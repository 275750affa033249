#!/bin/bash
# curl on the stack as a client of a kernel server in the other namespace.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need curl python3

e2e_start "${1:-auto}"
mkdir "$FN_TMP/www"
for size in 0 1 1024 1048576 20000003; do
	head -c "$size" /dev/urandom >"$FN_TMP/www/$size"
done
fn_client_bg peer python3 -u "$e2e_dir/http_peer.py" 8000 "$FN_TMP/www"
check "a server in the client's namespace" fn_wait_for 10 fn_port_open "$FN_CLI_ADDR" 8000
for file in "$FN_TMP"/www/*; do
	fn_on_stack curl -sS -o "$FN_TMP/got" "http://$FN_CLI_ADDR:8000/${file##*/}"
	same "GET of ${file##*/} bytes" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	same "PUT of ${file##*/} bytes" \
		"$(fn_on_stack curl -sS -T "$file" "http://$FN_CLI_ADDR:8000/put")" "$(sha "$file")"
done
urls=()
for ((i = 0; i < 20; i++)); do
	urls+=(-o "$FN_TMP/par.$i" "http://$FN_CLI_ADDR:8000/1048576")
done
check "twenty transfers at once" fn_on_stack curl -sS -Z --no-progress-meter "${urls[@]}"
for ((i = 0; i < 20; i++)); do
	[[ $(sha "$FN_TMP/par.$i") == "$(sha "$FN_TMP/www/1048576")" ]] ||
		fn_die "parallel transfer $i differs"
done
status=0
fn_on_stack curl -sS "http://$FN_CLI_ADDR:8009/" 2>/dev/null || status=$?
same "a refused connection is curl's status 7" "$status" 7
status=0
fn_on_stack curl -sS --connect-timeout 1 http://10.77.1.99/ 2>/dev/null || status=$?
check "an absent host is an error" test "$status" -eq 7 -o "$status" -eq 28
proved
