#!/bin/bash
# The size alarm: 600 lines a file, 80 lines a function.  An exception is a line here, with its
# reason; one that is no longer needed is an error too.  SPDX-License-Identifier: MIT
# shellcheck disable=SC2016	# the programs in single quotes are awk's
set -euo pipefail
cd "$(dirname "$0")/.."

# file:limit (a whole file), or file:function:limit
exceptions=(
)

git ls-files -co --exclude-standard '*.[ch]' '*.py' '*.sh' scripts/ .ci/ | sort -u |
	grep -v '\.txt$' | while IFS= read -r file; do [[ -f $file ]] && echo "$file"; done |
	xargs awk -v list="${exceptions[*]-}" '
	function over(what, size, limit) {
		if (what in except) {
			used[what] = 1
			limit = except[what]
		}
		if (size > limit) {
			printf "%s: %d lines, %d are allowed\n", what, size, limit
			bad = 1
		}
	}
	function file_ends() { if (last != "") over(last, lines, 600) }
	BEGIN {
		n = split(list, one, " ")
		for (i = 1; i <= n; i++) {
			match(one[i], /:[0-9]+$/)
			except[substr(one[i], 1, RSTART - 1)] = substr(one[i], RSTART + 1)
		}
	}
	FNR == 1 { file_ends(); last = FILENAME; head = ""; start = 0 }
	{ lines = FNR }
	# a function: a line in the first column that has a "(", then "{" alone, then "}" alone
	/^[A-Za-z_].*\(/ && !start { head = $0 }
	/^\{[ \t]*$/ && head != "" { start = FNR }
	/^\}[ \t;]*$/ && start {
		name = head
		sub(/\(.*/, "", name)
		sub(/.*[ *]/, "", name)
		if (name == "START_TEST") {
			name = head
			gsub(/.*START_TEST\(|\).*/, "", name)
		}
		over(FILENAME ":" name, FNR - start - 1, 80)
		start = 0
		head = ""
	}
	END {
		file_ends()
		for (what in except)
			if (!(what in used)) {
				printf "%s: the exception is not needed\n", what
				bad = 1
			}
		exit bad
	}'
