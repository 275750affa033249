#!/bin/bash
# python3: http.server on the stack, urllib on the stack against a kernel server.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need python3 curl

e2e_start "${1:-auto}"
mkdir "$FN_TMP/www"
head -c 3000000 /dev/urandom >"$FN_TMP/www/file"
want=$(sha "$FN_TMP/www/file")

fn_app httpd python3 -u -m http.server 8000 --directory "$FN_TMP/www"
fn_wait_port 8000 httpd
for i in 1 2 3; do
	fn_client curl -sS -o "$FN_TMP/got" "http://$FN_SRV_ADDR:8000/file"
	same "http.server, request $i" "$(sha "$FN_TMP/got")" "$want"
done
same "http.server logs the client's address" \
	"$(grep -m1 'GET /file' "$FN_TMP/httpd.log" | cut -d' ' -f1 | sed 's,^::ffff:,,')" "$FN_CLI_ADDR"
same "an unknown path" "$(fn_client curl -s -o /dev/null -w '%{http_code}' \
	"http://$FN_SRV_ADDR:8000/none")" 404
fn_stop httpd

fn_client_bg peer python3 -u -m http.server 8001 --directory "$FN_TMP/www"
check "a server in the client's namespace" fn_wait_for 10 fn_port_open "$FN_CLI_ADDR" 8001
same "urllib on the stack" "$(fn_on_stack python3 -c "
import hashlib, urllib.request
body = urllib.request.urlopen('http://$FN_CLI_ADDR:8001/file', timeout=20).read()
print(hashlib.sha256(body).hexdigest())")" "$want"
same "a refused connection" "$(fn_on_stack python3 -c "
import socket
try:
    socket.create_connection(('$FN_CLI_ADDR', 8002), timeout=10)
except OSError as error:
    print(type(error).__name__)")" ConnectionRefusedError
proved
