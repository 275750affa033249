#!/bin/bash
# The option table of README.md is made of stack/host/config.def.  Compares; --write replaces it.
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."

# One line per option: the fields of CONFIG_DEF after '@', strings still quoted.
options_raw()
{
	gcc -E -P -x c -I. - <<-'EOT' | tr '\n' ' ' | sed 's/ROW/\nROW/g'
		#define CONFIG_DEF(id, name, env, type, def, min, max, words, help) \
			ROW @ name @ env @ def @ type @ words @ help @
		#include "stack/host/config.def"
	EOT
}

options_table()
{
	echo "| option | environment | default | value | meaning |"
	echo "|---|---|---|---|---|"
	options_raw | awk -F'@' -f <(cat <<-'AWK'
		function plain(s) {
			gsub(/" +"/, "", s)
			gsub(/^ *"|" *$/, "", s)
			gsub(/\\"/, "\"", s)
			gsub(/\|/, "\\|", s)
			return s
		}
		/^ROW/ {
			value = $5 ~ /BOOL/ ? "0\\|1" : plain($6)
			def = plain($4)
			printf "| `%s` | `%s` | %s | %s | %s |\n", plain($2), plain($3),
				def == "" ? "" : "`" def "`", value, plain($7)
		}
	AWK
	)
}

# README.md with everything between its two marks replaced by the table.
with_table()
{
	sed '/<!-- options: made by/q' README.md
	options_table
	sed -n '/<!-- end of options -->/,$p' README.md
}

case ${1-} in
--write)
	with_table >README.md.new
	mv README.md.new README.md ;;
"")
	with_table | diff -u README.md - ||
		{ echo "README.md: run scripts/doc-tables.sh --write" >&2; exit 1; } ;;
*)
	echo "usage: scripts/doc-tables.sh [--write]" >&2
	exit 2 ;;
esac
