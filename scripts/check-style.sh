#!/bin/bash
# What a formatter can't be trusted with and a reader should not have to look for: line length,
# tabs, trailing blanks, the licence line, dead code.  SPDX-License-Identifier: MIT
# shellcheck disable=SC2016	# the programs in single quotes are awk's
set -euo pipefail
cd "$(dirname "$0")/.."

files() { git ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do
	[[ -f $f ]] && echo "$f"; done; }

files '*.[ch]' '*.def' '*.sh' '*.py' 'scripts/*' '.ci/*' | sort -u | xargs awk '
	function bad(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; failed = 1 }
	FNR == 1 {
		if (last != "" && !spdx) { printf "%s: no SPDX line\n", last; failed = 1 }
		last = FILENAME
		spdx = FILENAME ~ /\.txt$/
		c = FILENAME ~ /\.(c|h|def)$/
	}
	/SPDX-License-Identifier: MIT/ { spdx = 1 }
	/[ \t]$/ { bad("blank at the end of the line") }
	{
		width = 0
		n = gsub(/\t/, "\t")
		if (n) {
			for (i = 1; i <= length($0); i++)
				width += substr($0, i, 1) == "\t" ? 8 - width % 8 : 1
		} else
			width = length($0)
		if (width > 110 && FILENAME !~ /includes\.txt$/)
			bad("longer than 110 columns (100 is the aim)")
	}
	c && /^        / { bad("eight spaces where a tab belongs") }
	c && /^[ \t]*#[ \t]*if[ \t]+0/ { bad("#if 0") }
	/(^|[^A-Za-z])(TO[D]O|FIX[M]E|XX[X])([^A-Za-z]|$)/ { bad("an open end") }
	END { exit failed }'
