#!/bin/bash
# Every #include goes along the arrows of scripts/includes.txt.  SPDX-License-Identifier: MIT
# shellcheck disable=SC2016	# the programs in single quotes are awk's
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files -co --exclude-standard 'stack/*.[ch]' 'stack/*.def' 'shim/*.[ch]' 'mtcp/*.[ch]' | sort |
	xargs awk '
	NR == FNR { if ($0 !~ /^#/ && NF) for (i = 2; i <= NF; i++) may[$1, $i] = 1; next }
	!/^[ \t]*#[ \t]*include[ \t]*[<"]/ { next }
	{
		n = split(FILENAME, part, "/")
		here = part[1] != "stack" ? part[1] : part[1] "/" part[2]
		split($0, quoted, /[<">]/)
		name = quoted[2]
		what = ""
		if (name ~ /^(stack|shim|mtcp|tests)\//) {
			split(name, part, "/")
			what = part[1] == "stack" ? part[1] "/" part[2] : part[1]
		} else if ($0 ~ /"/)
			what = "a path that does not start at the root: " name
		else if (name ~ /^rte_/)
			what = "rte_"
		else if (name ~ /^ev(\+\+)?\.h$/)
			what = "ev"
		else if (name ~ /^(sys\/socket|netdb)\.h$/)
			what = "sock"
		if (what != "" && !((here, what) in may)) {
			printf "%s:%d: %s may not include %s\n", FILENAME, FNR, here, what
			bad = 1
		}
	}
	END { exit bad }' scripts/includes.txt
