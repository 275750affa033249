#!/bin/bash
# The manual pages: every function has one, and they format without a complaint.  man.sh FOLDER
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$1"
command -v groff >/dev/null || { echo "SKIP: no groff" >&2; exit 77; }
bad=0
for page in docs/man/*.3; do
	said=$(groff -man -Tutf8 -ww -z "$page" 2>&1) || true
	if [[ -n $said ]]; then
		printf '%s: %s\n' "$page" "$said"
		bad=1
	fi
done
names=$(grep -ohE '\bmtcp_[a-z0-9_]+\(' mtcp/mtcp_api.h mtcp/mtcp_epoll.h | tr -d '(' | sort -u)
for name in $names; do
	grep -qE "^\.BI? \"?[^\"]*\b$name\(" docs/man/*.3 || { echo "no page shows $name()"; bad=1; }
done
exit $bad
