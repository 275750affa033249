#!/bin/bash
# postgresql on the stack, as its own user: a process for each connection. pgbench loses nothing, bulk data
# compares equal, a killed backend costs the connections that postgresql says it costs, and no more.
# usage: postgres.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need setpriv psql

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[[ -x $bin/postgres && -x $bin/pgbench ]] || fn_die "no postgresql: run scripts/packages.sh test"
id postgres >/dev/null || fn_die "no user postgres: run scripts/packages.sh test"
data=$FN_TMP

as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
# SQL over the stack, and by the unix socket
sql() { fn_client psql -h "$FN_SRV_ADDR" -U postgres -qtAXc "$1" "${2:-postgres}"; }
admin() { timeout 20 psql -h "$data" -U postgres -qtAXc "$1" "${2:-postgres}"; }

start()
{
	data=$FN_TMP/pg
	mkdir "$data"
	chown postgres "$data"
	as_postgres "$bin/initdb" -D "$data" -A trust -U postgres --no-sync -E UTF8 --no-locale \
		>"$FN_TMP/initdb.log" 2>&1 || fn_die "initdb failed"
	printf 'host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n' >>"$data/pg_hba.conf"
	fn_app postgres setpriv --reuid postgres --regid postgres --clear-groups \
		"$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories="$data" \
		-c fsync=off -c max_connections=60 -c log_checkpoints=off
	fn_wait_port 5432 postgres
	check "it is ready" fn_wait_for 20 sql "select 1"
	same "a backend's peer" "$(sql "select host(inet_client_addr())")" "$FN_CLI_ADDR"
}

# bench WHAT pgbench options...: no transaction failed, and some were made
bench()
{
	local what=$1 out=$FN_TMP/bench
	shift
	FN_TIMEOUT=120 fn_client "$bin/pgbench" -h "$FN_SRV_ADDR" -U postgres -n "$@" postgres \
		>"$out" 2>&1 || { cat "$out" >&2; fn_die "$what: pgbench failed"; }
	if grep -qiE 'error|aborted' "$out" || ! grep -q '^number of failed transactions: 0 ' "$out" ||
		! grep -qE '^tps = [0-9]*[1-9]' "$out"; then
		cat "$out" >&2
		fn_die "$what: errors"
	fi
	ok "$what: $(awk '/^tps/ { print int($3) " transactions/s" }' "$out")"
}

# What each transaction adds to three tables is the same, and what it writes to the fourth.
sums_agree()
{
	same "$1: the books balance" "$(admin "
		select (select sum(abalance) from pgbench_accounts) =
			(select sum(bbalance) from pgbench_branches) and
		(select sum(abalance) from pgbench_accounts) =
			(select sum(tbalance) from pgbench_tellers) and
		(select sum(abalance) from pgbench_accounts) =
			(select sum(delta) from pgbench_history)")" t
}

load()
{
	FN_TIMEOUT=120 fn_client "$bin/pgbench" -h "$FN_SRV_ADDR" -U postgres -i -s 2 -q postgres \
		>"$FN_TMP/init" 2>&1 || { cat "$FN_TMP/init" >&2; fn_die "pgbench -i failed"; }
	bench "pgbench -c 20" -c 20 -j 2 -T "$(full_or 20 3)"
	sums_agree "pgbench -c 20"
	bench "a connection, so a process, per transaction" -c 10 -j 2 -C -T "$(full_or 10 2)"
	bench "prepared, read only, pipelined by 20 clients" -c 20 -j 2 -S -M prepared \
		-T "$(full_or 10 2)"
	sums_agree "after all of them"
}

bulk()
{
	local rows
	rows=$(full_or 2000000 200000)
	sql "copy (select i, repeat(md5(i::text), 6) from generate_series(1, $rows) i) to stdout" \
		>"$FN_TMP/out"
	same "COPY TO: rows" "$(wc -l <"$FN_TMP/out")" "$rows"
	sql "create table big (i int, t text)"
	fn_client psql -h "$FN_SRV_ADDR" -U postgres -qX -c "\\copy big from '$FN_TMP/out'" postgres
	admin "copy (select * from big order by i) to stdout" >"$FN_TMP/back"
	same "COPY FROM and back: bytes" "$(sha "$FN_TMP/back")" "$(sha "$FN_TMP/out")"
	rm "$FN_TMP/out" "$FN_TMP/back"
}

backends() { admin "select count(*) from pg_stat_activity where client_addr is not null"; }
backends_are() { [[ $(backends) == "$1" ]]; }

# sleeper NAME: a connection whose backend sleeps
sleeper() { fn_client_bg "$1" psql -h "$FN_SRV_ADDR" -U postgres -X -c "select pg_sleep(60)" postgres; }
ended() { ! fn_alive "$1"; }
sleeping() { backends_are "$1"; }

ends()
{
	local victim
	sleeper terminated
	sleeper killed
	sleeper bystander
	check "three clients wait" fn_wait_for 20 sleeping 3
	admin "select pg_terminate_backend(pid) from pg_stat_activity
		where client_addr is not null order by pid limit 1" >/dev/null
	check "a terminated backend's client notices" fn_wait_for 5 backends_are 2
	same "a query is cancelled by another connection" "$(fn_client bash -c \
		"psql -h $FN_SRV_ADDR -U postgres -qtAX -c 'set statement_timeout = 300' \
		-c 'select pg_sleep(20)' postgres 2>&1 | grep -c 'statement timeout'")" 1
	# by SIGKILL: postgresql ends all backends and starts anew, and so every client notices
	victim=$(admin "select max(pid) from pg_stat_activity where client_addr is not null")
	kill -KILL "$victim"
	for name in terminated killed bystander; do
		check "$name: its connection ends" fn_wait_for 10 ended "$name"
	done
	check "it serves again" fn_wait_for 20 sql "select 1"
	sums_agree "after the crash"
}

e2e_start "${1:-auto}"
cp "$FN_SHIM" "$FN_TMP/shim.so"		# a checkout under /root is not for everybody to read
FN_SHIM=$FN_TMP/shim.so
start
load
proved "load"
bulk
ends
fn_stop postgres INT
same "it ends" "$FN_STATUS" 0
drained
proved "the rest"
