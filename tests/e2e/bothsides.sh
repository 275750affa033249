#!/bin/bash
# One redis on the wildcard address: the namespace reaches it through the stack and a program on
# the same host through the kernel on 127.0.0.1, at the same time.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need redis-server redis-cli redis-benchmark

local_redis() { timeout 20 nsenter --net="/run/netns/$FN_SRV" -- redis-cli "$@"; }
remote_redis() { fn_client redis-cli -h "$FN_SRV_ADDR" "$@"; }

e2e_start "${1:-auto}"
fn_ip "$FN_SRV" link set lo up
fn_app redis redis-server --port 6379 --protected-mode no --save '' --dir "$FN_TMP"
fn_wait_port 6379 redis
proved "before anybody used 127.0.0.1"
same "set through the stack" "$(remote_redis set side stack)" OK
same "get through the kernel" "$(local_redis get side)" stack
same "set through the kernel" "$(local_redis set side kernel)" OK
same "get through the stack" "$(remote_redis get side)" kernel

fn_client_bg far timeout 60 redis-benchmark -h "$FN_SRV_ADDR" -c 20 -n 40000 -t set,get -q
fn_bg near timeout 60 nsenter --net="/run/netns/$FN_SRV" -- \
	redis-benchmark -c 20 -n 40000 -t set,get -q
for side in far near; do
	status=0
	wait "${fn_pid[$side]}" || status=$?
	unset "fn_pid[$side]"
	same "load from the $side side while the other runs" "$status" 0
done

# what the kernel carried, it carried over lo: fn0 has dropped whatever came near it
if [[ $FN_STACK == fastnet && $FN_WIRE == af_* ]]; then
	same "the kernel's fn0 has no address" \
		"$(fn_ip "$FN_SRV" -4 -o addr show dev fn0)" ""
fi
