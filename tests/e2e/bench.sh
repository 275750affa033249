#!/bin/bash
# scripts/bench and scripts/profile find their way: with the kernel on both sides, because they take no
# engine but an optimised one.  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $FN_STACK == fastnet ]] || fn_skip "it starts its own sides"
fn_need gcc perf jq ip
fn_products
fn_init

common=(--stack kernel --wire local --only '^64 B request/response, 1 connection')
check "bench" "$fn_root/scripts/bench" "${common[@]}" --runs 2 --seconds 0.3 --out "$FN_TMP/bench.json"
same "it tells each run" "$(jq '.results[0].kernel.runs | length' "$FN_TMP/bench.json")" 2
check "whose median it has" jq -e '.results[0].kernel | .value > 0 and .p99_us >= .value' "$FN_TMP/bench.json"

build=$FN_TMP/none
mkdir "$build"
if "$fn_root/scripts/bench" --build "$build" 2>"$FN_TMP/err"; then fn_die "bench took no build"; fi
check "what is no build is told" grep -q "is not a build folder" "$FN_TMP/err"

perf record -q -a -e task-clock -o "$FN_TMP/perf.data" true 2>/dev/null ||
	fn_skip "perf may not sample the processors here (perf_event_paranoid, or a container)"
"$fn_root/scripts/profile" "${common[@]}" --seconds 1 --symbols 5 >"$FN_TMP/profile" ||
	fn_die "profile: status $?"
for role in server client; do
	check "the kernel's part of the $role is found" \
		grep -qE "^\| $role: kernel, network \| +[0-9.]+ \|" "$FN_TMP/profile"
done
# Samples that it can't tell whose they are are others'.
awk -F'|' '/^\| (server|client):/ { ours += $3 }
	/^\| \*\*all/ { gsub(/\*/, "", $3); all = $3 + 0 }
	END { exit !(ours > 0.8 * all && all > 0) }' "$FN_TMP/profile" ||
	fn_die "the two programs' parts are not nearly all: $(<"$FN_TMP/profile")"
ok "the two programs are nearly all"
