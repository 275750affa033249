#!/bin/bash
# redis with 10000 connected clients: what forks and what blocks (SAVE, BGSAVE, BGREWRITEAOF) writes what is
# in memory and disturbs no client; and the fork costs at most a millisecond more than it does bare.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli

port=6379
clients=10000
[[ $(ulimit -Hn) == unlimited ]] || (($(ulimit -Hn) >= clients + 300)) || clients=3000

# ask SERVER command...: the server is an address
ask() { local to=$1; shift; fn_client redis-cli -h "$to" "$@"; }
persistence() { ask "$1" info persistence | tr -d '\r' | awk -F: -v n="$2" '$1 == n { print $2 }'; }
digest() { ask "$1" debug digest; }

# server fn_app|fn_client_bg NAME: started with what is in the folder NAME
server()
{
	mkdir -p "$FN_TMP/$2"
	"$1" "$2" redis-server --port $port --protected-mode no --save '' --dir "$FN_TMP/$2" \
		--maxclients $((clients + 50)) --enable-debug-command yes --appendonly "${3:-no}"
}

# connect NAME ADDRESS, all_answer: the clients, the proof that each of them is served
connect()
{
	mkfifo "$FN_TMP/$1.go"
	fn_bg "$1" nsenter --net="/run/netns/$FN_CLI" -- bash -c "exec python3 \
		'$e2e_dir/redis_clients.py' $2 $port $clients <'$FN_TMP/$1.go'"
	exec {go}>"$FN_TMP/$1.go"
	check "$clients clients connect to $2" fn_wait_for 60 grep -qx ready "$FN_TMP/$1.log"
	rounds=0
}

answers() { grep -cx '[0-9]*' "$FN_TMP/clients.log"; }
rounds_are() { [[ $(answers) -ge $1 ]]; }

all_answer()
{
	echo >&"$go"
	((++rounds))
	fn_wait_for 90 rounds_are "$rounds" || fn_die "$1: the clients are not answered"
	same "$1: clients answered" "$(tail -n 1 "$FN_TMP/clients.log")" "$clients"
}

disconnect()
{
	exec {go}>&-
	wait "${fn_pid[clients]}" || fn_die "the clients: status $?"
	unset 'fn_pid[clients]'
}

saved() { [[ $(persistence "$1" rdb_bgsave_in_progress) == 0 ]]; }
rewritten()
{
	[[ $(persistence "$1" aof_rewrite_in_progress) == 0 &&
		$(persistence "$1" aof_rewrite_scheduled) == 0 ]]
}

# quickest_fork ADDRESS FORKS: the least of so many, in microseconds
quickest_fork()
{
	local i usec least=
	for ((i = 0; i < $2; i++)); do
		ask "$1" bgsave >/dev/null
		fn_wait_for 30 saved "$1" || fn_die "BGSAVE does not end"
		usec=$(ask "$1" info stats | tr -d '\r' | awk -F: '$1 == "latest_fork_usec" { print $2 }')
		[[ -n $least ]] && ((least <= usec)) || least=$usec
	done
	echo "$least"
}

fill() { ask "$1" debug populate "$(full_or 200000 20000)" key 200 >/dev/null; }

bare()
{
	server fn_client_bg bare
	check "bare redis" fn_wait_for 10 ask "$FN_CLI_ADDR" ping
	fill "$FN_CLI_ADDR"
	connect bare_clients "$FN_CLI_ADDR"
}

# Both in turns, as one side may have had bad luck, or a busier time: one pair must be near.
cost()
{
	local bare us i forks
	forks=$(full_or 20 8)
	for ((i = 0; i < 4; i++)); do
		bare=$(quickest_fork "$FN_CLI_ADDR" "$forks")
		us=$(quickest_fork "$FN_SRV_ADDR" "$forks")
		ok "quickest fork with $clients clients: bare $bare us, here $us us"
		((us - bare >= 1000)) || break
	done
	at_most "the stack adds to a fork, us" $((us - bare)) 999
	fn_stop bare_clients
	fn_stop bare
}

# wrote WHAT FOLDER AOF DIGEST: a server that starts with that folder has what the first one had
wrote()
{
	server fn_app "$2" "$3"
	fn_wait_port $port "$2"
	check "$1: loaded" fn_wait_for 30 eval "[[ \$(ask $FN_SRV_ADDR ping) == PONG ]]"
	same "$1: the same keys and values" "$(digest "$FN_SRV_ADDR")" "$4"
	fn_stop "$2"
}

stack()
{
	local bgsave save aof
	server fn_app redis
	fn_wait_port $port redis
	fill "$FN_SRV_ADDR"
	[[ $FN_STACK == kernel ]] || bare
	connect clients "$FN_SRV_ADDR"
	[[ $FN_STACK == kernel ]] || cost
	all_answer "after the forks"
	ask "$FN_SRV_ADDR" set last bgsave >/dev/null
	bgsave=$(digest "$FN_SRV_ADDR")
	ask "$FN_SRV_ADDR" bgsave >/dev/null
	all_answer "during BGSAVE"
	check "BGSAVE ends" fn_wait_for 30 saved "$FN_SRV_ADDR"
	same "BGSAVE: status" "$(persistence "$FN_SRV_ADDR" rdb_last_bgsave_status)" ok
	mkdir "$FN_TMP/bgsave" "$FN_TMP/save" "$FN_TMP/aof"
	mv "$FN_TMP/redis/dump.rdb" "$FN_TMP/bgsave"

	ask "$FN_SRV_ADDR" set last save >/dev/null
	save=$(digest "$FN_SRV_ADDR")
	same "SAVE" "$(ask "$FN_SRV_ADDR" save)" OK
	all_answer "after SAVE"
	mv "$FN_TMP/redis/dump.rdb" "$FN_TMP/save"

	ask "$FN_SRV_ADDR" config set appendonly yes >/dev/null
	check "the first BGREWRITEAOF ends" fn_wait_for 30 rewritten "$FN_SRV_ADDR"
	ask "$FN_SRV_ADDR" set last bgrewriteaof >/dev/null
	ask "$FN_SRV_ADDR" bgrewriteaof >/dev/null
	all_answer "during BGREWRITEAOF"
	check "BGREWRITEAOF ends" fn_wait_for 30 rewritten "$FN_SRV_ADDR"
	same "BGREWRITEAOF: status" "$(persistence "$FN_SRV_ADDR" aof_last_bgrewrite_status)" ok
	ask "$FN_SRV_ADDR" set after bgrewriteaof >/dev/null
	aof=$(digest "$FN_SRV_ADDR")
	disconnect
	fn_stop redis
	mv "$FN_TMP/redis/appendonlydir" "$FN_TMP/aof"

	wrote BGSAVE bgsave no "$bgsave"
	wrote SAVE save no "$save"
	wrote BGREWRITEAOF aof yes "$aof"
}

e2e_start "${1:-auto}"
ulimit -n "$(ulimit -Hn)"
stack
drained
proved
