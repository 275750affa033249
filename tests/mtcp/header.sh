#!/bin/bash
# The header compiles without a warning, as C and as C++, by itself and whatever comes first; the program
# links against the library.  header.sh FOLDER-OF-HEADERS LIBRARY CC
# SPDX-License-Identifier: MIT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
headers=$1 library=$2 cc=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
strict=(-Wall -Wextra -Werror -Wpedantic -Wshadow -I"$headers")
for std in c99 c11 c17; do
	"$cc" "${strict[@]}" -Wstrict-prototypes -std="$std" -D_GNU_SOURCE -c -o "$tmp/c.o" "$here/header.c"
done
cxx=${cc/%gcc/g++}
[[ $cc == *clang* ]] && cxx=${cc/%clang/clang++}
[[ $cc == */cc || $cc == cc ]] && cxx=c++
for std in c++11 c++17; do
	"$cxx" "${strict[@]}" -std="$std" -x c++ -c -o "$tmp/cxx.o" "$here/header.c"
done
for name in mtcp_api mtcp_epoll; do
	echo "#include <$name.h>" | "$cc" "${strict[@]}" -std=c11 -x c -c -o "$tmp/alone.o" -
	echo "#include <$name.h>" | "$cxx" "${strict[@]}" -std=c++11 -x c++ -c -o "$tmp/alone.o" -
done
if nm -D "$library" | grep __asan >/dev/null; then
	echo "not linked: the library is sanitized"
	exit 0
fi
"$cc" -o "$tmp/c" "$tmp/c.o" "$library" -Wl,-rpath,"$(dirname "$library")"
"$cxx" -o "$tmp/cxx" "$tmp/cxx.o" "$library" -Wl,-rpath,"$(dirname "$library")"
"$tmp/c"
"$tmp/cxx"
