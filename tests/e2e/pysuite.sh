#!/bin/bash
# python's own network tests, unmodified, on the kernel and on the stack: what passes there has to
# pass here. Loopback traffic is the stack's (FASTNET_LOOPBACK=stack), ::1 as well.
# usage: pysuite.sh [module...]   FASTNET_E2E_FULL=1: all modules.  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

python=/usr/bin/python3.11		# the one whose tests the package brings
[[ -x $python && -f /usr/lib/python3.11/test/test_socket.py ]] ||
	fn_skip "no libpython3.11-testsuite: run scripts/packages.sh test"

short=(test_socket test_select test_epoll test_socketserver test_asyncore
	test_asynchat test_httplib test_httpservers test_smtplib test_ftplib test_poplib
	test_telnetlib test_urllib2_localnet test_docxmlrpc test_wsgiref test_robotparser)
long=(test_selectors test_poll test_asyncio test_ssl test_imaplib test_nntplib test_smtpd
	test_xmlrpc test_urllib test_urllib2 test_logging test_threadsignals test_eintr
	test_signal test_fcntl test_ioctl test_os test_subprocess test_multiprocessing_fork
	test_multiprocessing_spawn test_multiprocessing_forkserver test_concurrent_futures)
opens=300		# connections that the stack has to have made in the short list, at least

lo_up()
{
	fn_ip "$1" link set lo up
	fn_v6_on "$1" lo || true
}

# side NAME NAMESPACE words...: the suite in that namespace; words are options of pysuite.py.
side()
{
	local name=$1 ns=$2
	shift 2
	fn_bg "$name" nsenter --net="/run/netns/$ns" -- "$python" "$e2e_dir/pysuite.py" run \
		-o "$FN_TMP/$name" --limit "$(full_or 60 20)" "$@" "${modules[@]}"
}

finished()
{
	local name
	for name in "$@"; do
		wait "${fn_pid[$name]}" || fn_die "pysuite.py ended with an error ($name)"
		unset "fn_pid[$name]"
	done
}

modules=("$@")
(($#)) || modules=("${short[@]}")
(($#)) || ! ((E2E_FULL)) || modules+=("${long[@]}")

FN_ENGINE_ARGS="--loopback stack"
e2e_start local6
fn_netns_add "$FN_TAG-bare"
lo_up "$FN_TAG-bare"
lo_up "$FN_SRV"

words=()
for word in $(fn_preload_words srv); do
	[[ $word == env ]] || words+=(-e "$word")
done
side bare "$FN_TAG-bare"
side stack "$FN_SRV" "${words[@]}"
finished bare stack

"$python" "$e2e_dir/pysuite.py" diff "$FN_TMP/bare" "$FN_TMP/stack" "${modules[@]}" \
	"${words[@]}" --again 3 --prefix "nsenter --net=/run/netns/$FN_SRV --" ||
	fn_die "tests that pass on the kernel fail on the stack"
if [[ $FN_STACK == fastnet ]] && (($# == 0)); then
	made=$(fn_tool stat | awk '$1 == "tcp_active_open" { print $2 }')
	((${made:-0} >= opens)) ||
		fn_die "only ${made:-0} connections went over the stack, expected $opens"
	ok "$made connections went over the stack"
fi
