#!/bin/bash
# Replication between two redis servers on the stack: full resynchronization through a fork, over the socket
# and by a file, while clients write; either side is killed and comes back.
# usage: redis_replica.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli redis-benchmark

master=6379 replica=6380

ask() { local port=$1; shift; fn_client redis-cli -h "$FN_SRV_ADDR" -p "$port" "$@"; }
replication() { ask "$1" info replication | tr -d '\r' | awk -F: -v n="$2" '$1 == n { print $2 }'; }

# server PORT option...: its log and folder are named after the port and live longer than it
server()
{
	local port=$1
	shift
	mkdir -p "$FN_TMP/$port"
	fn_app "redis$port" redis-server --port "$port" --protected-mode no --save '' \
		--dir "$FN_TMP/$port" --enable-debug-command yes --repl-diskless-sync-delay 0 \
		--repl-timeout 10 --repl-backlog-size 64kb "$@"
	fn_wait_port "$port" "redis$port"
}

start_master() { server $master --repl-diskless-sync "$diskless" --appendonly yes \
	--appendfsync no; }
start_replica() { server $replica --replicaof "$FN_SRV_ADDR" $master; }

linked() { [[ $(replication $replica master_link_status) == up ]]; }
unlinked() { [[ $(replication $replica master_link_status) == down ]]; }
no_replica() { [[ $(replication $master connected_slaves) == 0 ]]; }

# The replica has seen all of it when its digest is the master's.
equal() { [[ $(ask $master debug digest) == "$(ask $replica debug digest)" ]]; }
in_step() { [[ $(replication $master master_repl_offset) == $(replication $replica slave_repl_offset) ]]; }
# The long form loads 250 MB first.
up() { check "$1: the link is up" fn_wait_for "$(full_or 120 30)" linked; }
agree()
{
	up "$1"
	check "$1: nothing is under way" fn_wait_for "$(full_or 60 20)" in_step
	check "$1: both have the same" fn_wait_for "$(full_or 60 20)" equal
}

# writers under load, in the background and awaited
load_begins()
{
	fn_client_bg load timeout "$(full_or 240 60)" \
		redis-benchmark -h "$FN_SRV_ADDR" -c 20 -d 100 -r 100000 \
		-n "$(full_or 400000 30000)" -t set,incr,lpush -q
}

load_ends()
{
	local status=0
	wait "${fn_pid[load]}" || status=$?
	unset 'fn_pid[load]'
	same "$1: the writers end well" "$status" 0
	if grep -qiE 'error|closed|reset' "$FN_TMP/load.log"; then
		fn_die "$1: the writers saw errors"
	fi
}

full_syncs() { ask $master info stats | tr -d '\r' | awk -F: '$1 == "sync_full" { print $2 }'; }

resynchronize()
{
	local way=$1
	start_master
	ask $master debug populate "$(full_or 500000 30000)" key 200 >/dev/null	# not in its log
	load_begins
	start_replica
	up "$way: first synchronization under load"
	load_ends "$way"
	agree "$way: after the load"
	same "$way: full synchronizations" "$(full_syncs)" 1
	same "$way: the replica's address" \
		"$(replication $master slave0 | sed 's/ip=\([0-9.]*\),.*/\1/')" "$FN_SRV_ADDR"

	fn_stop redis$replica KILL
	check "$way: the master notices the killed replica" fn_wait_for 10 no_replica
	ask $master set alone "$way" >/dev/null
	load_begins
	start_replica
	up "$way: the replica is back"
	load_ends "$way"
	agree "$way: after the load"

	fn_stop redis$master KILL
	check "$way: the replica notices the killed master" fn_wait_for 10 unlinked
	start_master
	agree "$way: the master is back"
	same "$way: what was written meanwhile is there" "$(ask $replica get alone)" "$way"

	ask $master debug populate "$(full_or 500000 30000)" key 200 >/dev/null
	# killed while a child of the master feeds the replica
	ask $master config set rdb-key-save-delay 200 >/dev/null
	ask $replica replicaof no one >/dev/null
	ask $replica replicaof "$FN_SRV_ADDR" $master >/dev/null
	ask $replica debug change-repl-id >/dev/null
	ask $master debug change-repl-id >/dev/null
	check "$way: a synchronization that takes long" fn_wait_for 20 saving
	fn_stop redis$replica KILL
	check "$way: its child ends" fn_wait_for 20 not_saving
	ask $master config set rdb-key-save-delay 0 >/dev/null
	start_replica
	agree "$way: and again"
	fn_stop redis$replica
	fn_stop redis$master
}

saving() { [[ $(ask $master info persistence | tr -d '\r' | grep -c rdb_bgsave_in_progress:1) == 1 ]]; }
not_saving() { ! saving; }

e2e_start "${1:-auto}"
for diskless in $(full_or "yes no" yes); do
	rm -rf "${FN_TMP:?}/$master" "${FN_TMP:?}/$replica"
	resynchronize "diskless $diskless"
	drained
	proved "diskless $diskless"
done
