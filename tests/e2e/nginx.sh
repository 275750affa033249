#!/bin/bash
# nginx on the stack: files of all sizes compare equal, wrk has no errors, the log has the client.
# Both with one worker and with master_process off.  usage: nginx.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need nginx curl wrk

# nginx_start NAME SENDFILE MASTER: a server with its own log.
nginx_start()
{
	local name=$1 user=
	log=$FN_TMP/$name.access
	[[ $3 == on ]] && user="user www-data;"
	cat >"$FN_TMP/$name.conf" <<-CONF
		$user
		daemon off;
		master_process $3;
		worker_processes 1;
		worker_rlimit_nofile 8192;
		pid $FN_TMP/$name.pid;
		error_log stderr error;
		events { worker_connections 4096; }
		http {
			access_log $log;
			client_body_temp_path $FN_TMP/tmp1;
			proxy_temp_path $FN_TMP/tmp2;
			fastcgi_temp_path $FN_TMP/tmp3;
			uwsgi_temp_path $FN_TMP/tmp4;
			scgi_temp_path $FN_TMP/tmp5;
			sendfile $2;
			keepalive_requests 1000000;
			server { listen $(by_family "" "[::]:")80 backlog=4096; root $FN_TMP/www; }
		}
	CONF
	fn_app "$name" nginx -p "$FN_TMP" -c "$FN_TMP/$name.conf"
	fn_wait_port 80 "$name"
}

files()
{
	local name=$1 file
	for file in "$FN_TMP"/www/*; do
		fn_client curl -gsS -o "$FN_TMP/got" "$url/${file##*/}"
		same "$name: ${file##*/} bytes" "$(sha "$FN_TMP/got")" "$(sha "$file")"
	done
	rm -f "$FN_TMP/got"
}

log_is_honest()
{
	local foreign
	foreign=$(awk -v a="$FN_CLI_ADDR" '$1 != a' "$log" | head -n 3)
	same "$1: the access log shows the client's address" "$foreign" ""
	[[ -s $log ]] || fn_die "$1: the access log is empty"
}

e2e_start "${1:-auto}"
FN_TIMEOUT=$(full_or 300 60)
url=http://$(fn_url "$FN_SRV_ADDR")
mkdir "$FN_TMP/www"
: >"$FN_TMP/www/0"
printf x >"$FN_TMP/www/1"
head -c 1024 /dev/urandom >"$FN_TMP/www/1024"
head -c 1048576 /dev/urandom >"$FN_TMP/www/1048576"
if ((E2E_FULL)); then
	head -c 1073741824 /dev/urandom >"$FN_TMP/www/1073741824"
else
	head -c 50000001 /dev/urandom >"$FN_TMP/www/50000001"
fi
seconds=$(full_or 10 "$(by_family 2 1)")
for master in $(full_or "on off" "$(by_family "on off" on)"); do
	for sendfile in on off; do
		name=master-$master-sendfile-$sendfile
		nginx_start "$name" "$sendfile" "$master"
		files "$name"
		if [[ $sendfile == on ]]; then
			wrk_clean "$name: wrk -c 400" -t 1 -c 400 -d "$seconds" \
				"$url/1024"
			wrk_clean "$name: a connection per request" -t 1 -c 50 -d "$seconds" \
				-H 'Connection: close' "$url/1024"
		fi
		log_is_honest "$name"
		fn_stop "$name"
		proved "$name"
	done
done
