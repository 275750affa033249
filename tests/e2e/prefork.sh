#!/bin/bash
# Servers that fork before they serve: apache2 with its prefork module and gunicorn. Their children share one
# listener; they are started, ended, killed and replaced under load.
# usage: prefork.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need setsid apache2 ab wrk curl gunicorn

seconds=$(full_or 10 2)

files()
{
	local file
	for file in "$FN_TMP"/www/*; do
		fn_client curl -sS -o "$FN_TMP/got" "http://$FN_SRV_ADDR:$1/${file##*/}"
		same "$2: ${file##*/} bytes" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	done
}

# ab_clean WHAT ab options...: all requests complete, none failed
ab_clean()
{
	local what=$1 out=$FN_TMP/ab
	shift
	fn_client ab -q "$@" >"$out" 2>&1 || { cat "$out" >&2; fn_die "$what: ab failed"; }
	if ! grep -qE '^Failed requests: +0$' "$out" || grep -q 'Non-2xx' "$out"; then
		cat "$out" >&2
		fn_die "$what: errors"
	fi
	ok "$what: $(grep -E 'Requests per second' "$out")"
}

# requests one after the other, each on a connection of its own: "good bad" in the log at the end
one_by_one()
{
	fn_client_bg one python3 -u -c '
import signal, sys, urllib.request
good = bad = 0
going = True
def stop(*a):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
print("begun")
while going:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=10) as r:
            good += len(r.read()) == 1024
    except Exception as e:
        bad += 1
        print(e)
print(good, bad)' "http://$FN_SRV_ADDR:$1/1024"
	fn_wait_for 10 grep -q begun "$FN_TMP/one.log" || fn_die "no requests"
}

# none_bad WHAT LEAST: of the requests one by one
none_bad()
{
	sleep 0.3		# some more, of the new ones
	fn_stop one
	local good bad
	read -r good bad <<<"$(tail -n 1 "$FN_TMP/one.log")"
	((bad == 0)) || { cat "$FN_TMP/one.log" >&2; fn_die "$1: $bad requests failed"; }
	((good >= $2)) || fn_die "$1: only $good requests"
	ok "$1: $good requests, none failed"
}

children() { pgrep -P "$1" || true; }
children_are() { [[ $(children "$1" | wc -l) -ge $2 ]]; }
replaced() { [[ -z $(comm -12 <(children "$1" | sort) <(sort <<<"$2")) ]]; }

apache_config()
{
	local dir
	dir=$(find /usr/lib/apache2 -maxdepth 1 -name modules)
	cat >"$FN_TMP/apache.conf" <<-CONF
		ServerRoot "$FN_TMP"
		ServerName test
		LoadModule mpm_prefork_module $dir/mod_mpm_prefork.so
		LoadModule authz_core_module $dir/mod_authz_core.so
		LoadModule mime_module $dir/mod_mime.so
		TypesConfig /dev/null
		Listen 80
		User www-data
		Group www-data
		PidFile "$FN_TMP/apache.pid"
		Mutex file:$FN_TMP default
		ErrorLog "$FN_TMP/apache.errors.log"
		LogFormat "%h %>s" short
		CustomLog "$FN_TMP/apache.access" short
		DocumentRoot "$FN_TMP/www"
		<Directory "$FN_TMP/www">
			Require all granted
		</Directory>
		EnableSendfile $1
		EnableMMAP $1
		StartServers 32
		MinSpareServers 4
		MaxSpareServers 64
		ServerLimit 64
		MaxRequestWorkers 64
		MaxConnectionsPerChild $2
		KeepAliveTimeout 2
		MaxKeepAliveRequests 0
		ListenBacklog 511
		GracefulShutdownTimeout 5
	CONF
}

apache()
{
	local before
	apache_config "$1" "$2"
	# in a group of its own: it ends by a signal to its group
	fn_app apache setsid apache2 -D FOREGROUND -f "$FN_TMP/apache.conf"
	fn_wait_port 80 apache
	files 80 "apache, sendfile $1"
	ab_clean "ab -c 20" -c 20 -n "$(full_or 20000 1500)" "http://$FN_SRV_ADDR/1024"
	ab_clean "ab -k -c 20" -k -c 20 -n "$(full_or 100000 10000)" "http://$FN_SRV_ADDR/1024"
	wrk_clean "apache: wrk -c 24" -t 1 -c 24 -d "$seconds" "http://$FN_SRV_ADDR/1024"
	same "apache: the log shows the client's address" \
		"$(awk -v a="$FN_CLI_ADDR" '$1 != a' "$FN_TMP/apache.access" | head -n 3)" ""

	# new children, again and again, and each request is served
	before=$(children "${fn_pid[apache]}")
	one_by_one 80
	kill -USR1 "${fn_pid[apache]}"
	check "graceful restart: all children are new" \
		fn_wait_for 20 replaced "${fn_pid[apache]}" "$before"
	check "graceful restart: it has children" fn_wait_for 20 children_are "${fn_pid[apache]}" 32
	none_bad "during the graceful restart" 10

	before=$(children "${fn_pid[apache]}")
	# shellcheck disable=SC2086	# numbers
	kill -KILL $before
	check "killed children are replaced" fn_wait_for 20 children_are "${fn_pid[apache]}" 32
	ab_clean "after that" -c 20 -n 1000 "http://$FN_SRV_ADDR/1024"
	fn_stop apache
	same "apache ends" "$FN_STATUS" 0
	drained
	proved "apache, sendfile $1"
}

unicorn()
{
	local before
	cat >"$FN_TMP/app.py" <<-'PY'
	import os


	def app(environ, start_response):
	    name = environ["PATH_INFO"][1:]
	    if name == "pid":
	        body = str(os.getpid()).encode()
	    else:
	        with open(os.path.join("www", name), "rb") as f:
	            body = f.read()
	    start_response("200 OK", [("Content-Length", str(len(body)))])
	    return [body]
	PY
	# A worker that is told to end before it has installed its handlers does not hear it: the master
	# waits for so long, on every system.
	fn_app gunicorn gunicorn --chdir "$FN_TMP" -b 0.0.0.0:8000 -w 4 --max-requests 400 \
		--worker-tmp-dir "$FN_TMP" --graceful-timeout 2 app:app
	fn_wait_port 8000 gunicorn
	files 8000 gunicorn
	ab_clean "gunicorn: ab -c 20" -c 20 -n "$(full_or 20000 2000)" "http://$FN_SRV_ADDR:8000/1024"
	same "gunicorn: all its workers are at work" \
		"$(for _ in {1..200}; do fn_client curl -sS "http://$FN_SRV_ADDR:8000/pid"; echo; done |
			sort -u | head -n 4 | wc -l)" 4

	before=$(children "${fn_pid[gunicorn]}")
	one_by_one 8000
	kill -HUP "${fn_pid[gunicorn]}"
	check "reload: all workers are new" fn_wait_for 20 replaced "${fn_pid[gunicorn]}" "$before"
	kill -TTIN "${fn_pid[gunicorn]}"
	check "one more worker" fn_wait_for 20 children_are "${fn_pid[gunicorn]}" 5
	none_bad "during the reload" 10

	kill -KILL "$(children "${fn_pid[gunicorn]}" | head -n 1)"
	check "a killed worker is replaced" fn_wait_for 20 children_are "${fn_pid[gunicorn]}" 5
	ab_clean "after that" -c 20 -n 1000 "http://$FN_SRV_ADDR:8000/1024"
	fn_stop gunicorn
	same "gunicorn ends" "$FN_STATUS" 0
	drained
	proved gunicorn
}

e2e_start "${1:-auto}"
cp "$FN_SHIM" "$FN_TMP/shim.so"		# a checkout under /root is not for everybody to read
FN_SHIM=$FN_TMP/shim.so
mkdir "$FN_TMP/www"
: >"$FN_TMP/www/0"
head -c 1024 /dev/urandom >"$FN_TMP/www/1024"
head -c "$(full_or 100000001 10000001)" /dev/urandom >"$FN_TMP/www/big"
apache on 0
((!E2E_FULL)) || apache off 50
unicorn
