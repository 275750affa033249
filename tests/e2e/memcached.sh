#!/bin/bash
# memcached with four threads: connections accepted in one thread and served in another.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need memcached

e2e_start "${1:-auto}"
fn_app memcached memcached -u root -p 11211 -U 0 -t 4 -m 256 -I 2m
fn_wait_port 11211 memcached
check "32 connections set and get values of 1 B to 500 KB" \
	fn_client python3 "$e2e_dir/memcached_client.py" "$FN_SRV_ADDR" 11211 32 \
	"$(full_or 400 40)"
proved
