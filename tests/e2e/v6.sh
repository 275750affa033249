#!/bin/bash
# Programs that listen on :: and clients of both families, over a wire: what they know of IPv6 is what the
# kernel would have told them.  usage: v6.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need curl python3 nginx redis-server redis-cli wrk

srv6=$FN_SRV_ADDR6 cli6=$FN_CLI_ADDR6
e2e_start "${1:-auto}6"

mkdir "$FN_TMP/www"
for size in 0 1 1024 1048576 20000003; do
	head -c "$size" /dev/urandom >"$FN_TMP/www/$size"
done
chmod -R a+rX "$FN_TMP"

# get WHAT URL-HOST: every file, as it is
get()
{
	local what=$1 host=$2 file
	for file in "$FN_TMP"/www/*; do
		fn_client curl -gsS -o "$FN_TMP/got" "http://$host/${file##*/}"
		[[ $(sha "$FN_TMP/got") == "$(sha "$file")" ]] || fn_die "$what: ${file##*/} differs"
	done
	ok "$what"
}

# ---- a server on ::, both families -----------------------------------------------------------
python_server()
{
	cat >"$FN_TMP/server.py" <<-'PY'
	import http.server, os, socket, sys
	class Server(http.server.ThreadingHTTPServer):
	    address_family = socket.AF_INET6
	    def server_bind(self):
	        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
	        super().server_bind()
	class Handler(http.server.SimpleHTTPRequestHandler):
	    def log_message(self, *args):
	        print(self.client_address, flush=True)
	os.chdir(sys.argv[2])
	Server(("::", int(sys.argv[1])), Handler).serve_forever()
	PY
	fn_app python python3 -u "$FN_TMP/server.py" 8000 "$FN_TMP/www"
	fn_wait_port 8000 python
	get "python's server by IPv4" "$FN_SRV_ADDR4:8000"
	get "python's server by IPv6" "[$srv6]:8000"
	check "it knows IPv4 clients as mapped" grep -q "'::ffff:$FN_CLI_ADDR4'" "$FN_TMP/python.log"
	check "it knows IPv6 clients" grep -q "'$cli6'" "$FN_TMP/python.log"
	fn_stop python
}

nginx_server()
{
	nginx_conf "[::]:80 ipv6only=off" "access_log off;"
	fn_app nginx nginx -p "$FN_TMP" -c "$FN_TMP/nginx.conf" -g "daemon off;"
	fn_wait_port 80 nginx
	get "nginx by IPv4" "$FN_SRV_ADDR4"
	get "nginx by IPv6" "[$srv6]"
	wrk_clean "nginx and wrk by IPv6" -t2 -c50 -d"$(full_or 10 2)s" "http://[$srv6]/1024"
	fn_stop nginx
}

redis_server()
{
	fn_app redis redis-server --bind 0.0.0.0 '::' --protected-mode no --save '' --port 6379
	fn_wait_port 6379 redis
	same "redis by IPv6" "$(fn_client redis-cli -h "$srv6" set k six)" OK
	same "redis by IPv4" "$(fn_client redis-cli -h "$FN_SRV_ADDR4" get k)" six
	check "benchmark by IPv6" fn_client redis-benchmark -h "$srv6" -c 20 -n "$(full_or 100000 5000)" \
		-t set,get -P 8 -q
	fn_stop redis
}

# ---- a client on the stack -------------------------------------------------------------------
curl_client()
{
	local file status=0
	fn_client_bg peer python3 -u "$FN_TMP/server.py" 8001 "$FN_TMP/www"
	check "a server in the client's namespace" fn_wait_for 10 fn_port_open "$FN_CLI_ADDR4" 8001
	for file in "$FN_TMP"/www/*; do
		fn_on_stack curl -gsS -o "$FN_TMP/got" "http://[$cli6]:8001/${file##*/}"
		same "curl by IPv6, ${file##*/} bytes" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	done
	check "the server knows the stack's address" grep -q "'$srv6'" "$FN_TMP/peer.log"
	fn_on_stack curl -gsS "http://[$cli6]:8009/" 2>/dev/null || status=$?
	same "a refused connection is curl's status 7" "$status" 7
	fn_stop peer
}

# ---- datagrams -------------------------------------------------------------------------------
datagrams()
{
	cat >"$FN_TMP/echo.py" <<-'PY'
	import socket, sys
	s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
	s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
	s.bind(("::", 7))
	print("ready", flush=True)
	while True:
	    data, _, _, who = s.recvmsg(70000, 100)
	    s.sendto(data, who)
	PY
	cat >"$FN_TMP/ask.py" <<-'PY'
	import os, socket, sys
	family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
	s = socket.socket(family, socket.SOCK_DGRAM)
	s.settimeout(5)
	s.connect((sys.argv[1], int(sys.argv[2])))
	for n in (0, 1, 1400, 1452, 1453, 5000, 40000, 65507):
	    data = os.urandom(n)
	    s.send(data)
	    assert s.recv(70000) == data, n
	s.connect((sys.argv[1], 9))
	s.send(b"x")
	try:
	    s.recv(1)
	except ConnectionRefusedError:
	    print("all came back, and one was refused")
	PY
	fn_app echo python3 -u "$FN_TMP/echo.py"
	check "an echo server on ::" fn_wait_for 10 grep -q ready "$FN_TMP/echo.log"
	local host
	for host in "$srv6" "$FN_SRV_ADDR4"; do
		same "datagrams to $host" "$(fn_client python3 "$FN_TMP/ask.py" "$host" 7)" \
			"all came back, and one was refused"
	done
	fn_stop echo
	fn_client_bg echo2 python3 -u "$FN_TMP/echo.py"
	check "an echo server in the client's namespace" fn_wait_for 10 grep -q ready "$FN_TMP/echo2.log"
	same "datagrams from the stack" "$(fn_on_stack python3 "$FN_TMP/ask.py" "$cli6" 7)" \
		"all came back, and one was refused"
	fn_stop echo2
}

python_server
nginx_server
redis_server
curl_client
datagrams
proved
drained
