#!/bin/bash
# The library exports what its headers declare, and nothing else.  exports.sh FOLDER-OF-HEADERS LIBRARY
# SPDX-License-Identifier: MIT
set -euo pipefail
declared=$(grep -ohE '\b(mtcp_[a-z0-9_]+|EventToString)\(' "$1"/mtcp_api.h "$1"/mtcp_epoll.h | tr -d '(' |
	sort -u | grep -v '^mtcp_sighandler')
exported=$(nm -D --defined-only "$2" | awk '$2 == "T" || $2 == "D" || $2 == "B" { print $3 }' |
	sed 's/@.*//' | sort -u)
diff <(echo "$declared") <(echo "$exported") >&2 ||
	{ echo "the headers (<) and the library (>) differ" >&2; exit 1; }
