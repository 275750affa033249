#!/bin/sh
# SPDX-License-Identifier: MIT
# The three lists of intercepted names must be one: shim/calls.h (calls and aliases), preload.map,
# and what a built libfastnet.so exports. `--write` makes preload.map from calls.h.
# usage: check-exports.sh [--write | path/to/libfastnet.so]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

from_calls() {
	# Join continued lines, drop the definitions of the lists themselves, then take the names out.
	sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$root/shim/calls.h" |
		grep -oE '\b(X\([^,()]+,[[:space:]]*[A-Za-z0-9_]+,|Y\([A-Za-z0-9_]+, \w+\))' |
		sed -E -e 's/^X\([^,]+,[[:space:]]*(\w+),$/\1/' -e 's/^Y\((\w+),.*$/\1/' |
		grep -vx -e name -e alias | LC_ALL=C sort -u
}
from_map() {
	sed -n -E 's/^[[:space:]]+([A-Za-z0-9_]+);$/\1/p' "$root/preload.map" | LC_ALL=C sort -u
}
from_library() {
	nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | LC_ALL=C sort -u
}

if [ "${1-}" = --write ]; then
	{
		echo '/* The libc names that libfastnet.so takes over (scripts/check-exports.sh --write). */'
		echo '{'
		echo 'global:'
		from_calls | sed 's/.*/	&;/'
		echo 'local:'
		echo '	*;'
		echo '};'
	} >"$root/preload.map.new"
	mv "$root/preload.map.new" "$root/preload.map"
	exit 0
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
from_calls >"$tmp/calls"
from_map >"$tmp/map"
status=0
diff "$tmp/calls" "$tmp/map" >"$tmp/diff" || {
	echo "preload.map is not what shim/calls.h says (< calls.h, > preload.map):"
	cat "$tmp/diff"
	status=1
}
if [ -n "${1-}" ]; then
	from_library "$1" >"$tmp/library"
	diff "$tmp/calls" "$tmp/library" >"$tmp/diff" || {
		echo "$1 exports something else than shim/calls.h says (< calls.h, > library):"
		cat "$tmp/diff"
		status=1
	}
fi
exit $status
