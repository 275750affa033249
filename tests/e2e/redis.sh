#!/bin/bash
# redis-server on the stack: benchmark, mass insert, BGSAVE under load, a full window.
# usage: redis.sh WIRE.  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli redis-benchmark

redis() { fn_client redis-cli -h "$FN_SRV_ADDR" "$@"; }

# One line per test in the CSV, exit status 0, nothing on stderr that speaks of an error.
benchmark()
{
	local pipeline=$1 requests out=$FN_TMP/benchmark.$1
	requests=$(full_or 200000 "$short_requests")
	fn_client redis-benchmark -h "$FN_SRV_ADDR" -c 50 -n "$requests" \
		-t set,get,lpush,incr,mset -P "$pipeline" --csv >"$out" 2>&1 ||
		{ cat "$out" >&2; fn_die "redis-benchmark -P $pipeline failed"; }
	if grep -qi error "$out"; then
		cat "$out" >&2
		fn_die "redis-benchmark -P $pipeline saw errors"
	fi
	same "redis-benchmark -P $pipeline ran its five tests" \
		"$(grep -cE '^"(SET|GET|LPUSH|INCR|MSET)' "$out")" 5
	awk -F'","?|"' '/^"(SET|GET)"/ { printf "#   %s %s/s\n", $2, $3 }' "$out"
}

mass_insert()
{
	local mb count
	mb=$(full_or 1024 "$short_mb")
	count=$((mb * 1024))
	python3 - "$count" >"$FN_TMP/mass" <<-'PY'
	import sys
	value = b"v" * 1000
	out = sys.stdout.buffer
	for i in range(int(sys.argv[1])):
	    key = b"k%07d" % (i % 50000)
	    out.write(b"*3\r\n$3\r\nSET\r\n$8\r\n%s\r\n$1000\r\n%s\r\n" % (key, value))
	PY
	local answer
	answer=$(FN_TIMEOUT=300 redis --pipe <"$FN_TMP/mass" 2>&1 | tail -n 1)
	rm -f "$FN_TMP/mass"
	same "$mb MB through redis-cli --pipe" "$answer" "errors: 0, replies: $count"
}

# Fifty connections under load while the server forks a child that saves: none may notice.
bgsave_under_load()
{
	local before
	before=$(redis lastsave)
	fn_client_bg load timeout 60 redis-benchmark -h "$FN_SRV_ADDR" -c 50 \
		-n "$(full_or 400000 "$((short_requests * 2))")" -t set,get -q
	sleep 1.1			# LASTSAVE counts seconds
	same "BGSAVE starts" "$(redis bgsave)" "Background saving started"
	check "BGSAVE ends" fn_wait_for 30 bgsave_done "$before"
	same "BGSAVE succeeded" "$(redis info persistence | tr -d '\r' |
		awk -F: '$1 == "rdb_last_bgsave_status" { print $2 }')" ok
	local status=0
	wait "${fn_pid[load]}" || status=$?
	unset 'fn_pid[load]'
	same "every connection lived through BGSAVE" "$status" 0
	if grep -qiE 'error|closed|reset' "$FN_TMP/load.log"; then
		fn_die "the load saw errors"
	fi
}

bgsave_done() { [[ $(redis lastsave) -gt $1 ]]; }

# The server sleeps, the client's data fills both windows; then everything is answered.
full_window()
{
	fn_client_bg sleeper redis-cli -h "$FN_SRV_ADDR" debug sleep 2
	sleep 0.3
	local answer count=16000
	python3 -c "
import sys
for i in range($count):
    sys.stdout.write('*3\r\n\$3\r\nSET\r\n\$1\r\nw\r\n\$1000\r\n' + 'w' * 1000 + '\r\n')
" >"$FN_TMP/fill"
	answer=$(redis --pipe <"$FN_TMP/fill" 2>&1 | tail -n 1)
	same "a full window recovers after DEBUG SLEEP" "$answer" "errors: 0, replies: $count"
}

e2e_start "${1:-auto}"
short_requests=20000 short_mb=32
[[ $FN_FAMILY == 4 ]] || short_requests=8000
[[ $FN_WIRE != tap ]] || short_requests=8000 short_mb=4	# its driver takes a signal per packet
FN_TIMEOUT=$(full_or 600 60)
fn_app redis redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP" \
	--enable-debug-command yes
fn_wait_port 6379 redis
same "PING" "$(redis ping)" PONG
benchmark 1
benchmark 16
proved benchmark
mass_insert
bgsave_under_load
full_window
same "the server sees the client's address" \
	"$(redis client list | head -n 1 | sed 's/.* addr=\(\[[0-9a-f:]*\]\|[0-9.]*\):.*/\1/')" \
	"$(fn_url "$FN_CLI_ADDR")"
proved
