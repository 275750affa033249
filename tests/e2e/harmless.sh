#!/bin/bash
# Programs that need nothing of the stack run preloaded exactly as bare, at no noticeable cost; and
# without an engine a program uses the kernel and is not disturbed.
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
fn_need git gcc node curl

preloaded() { fn_on_stack "$@"; }
bare() { timeout "$FN_TIMEOUT" nsenter --net="/run/netns/$FN_SRV" -- "$@"; }

# alike WHAT command...: same output, same errors, same status.
alike()
{
	local what=$1 a=0 b=0
	shift
	bare "$@" >"$FN_TMP/bare.out" 2>"$FN_TMP/bare.err" </dev/null || a=$?
	preloaded "$@" >"$FN_TMP/pre.out" 2>"$FN_TMP/pre.err" </dev/null || b=$?
	same "$what: status" "$b" "$a"
	cmp -s "$FN_TMP/bare.out" "$FN_TMP/pre.out" ||
		{ diff "$FN_TMP/bare.out" "$FN_TMP/pre.out" | head >&2; fn_die "$what: output"; }
	cmp -s "$FN_TMP/bare.err" "$FN_TMP/pre.err" ||
		{ diff "$FN_TMP/bare.err" "$FN_TMP/pre.err" | head >&2; fn_die "$what: stderr"; }
	ok "$what is the same preloaded"
}

prepare()
{
	mkdir "$FN_TMP/repo"
	cd "$FN_TMP/repo"
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	git init -q -b main
	git config user.name t
	git config user.email t@example.invalid
	printf 'int main(void)\n{\n\treturn 42;\n}\n' >prog.c
	git add prog.c
	git commit -q -m first
	cat >script.js <<-'JS'
	const fs = require('fs'), cp = require('child_process'), os = require('os');
	fs.readdirSync('/etc').slice(0, 5).forEach(n => console.log(n.length > 0));
	console.log(cp.execSync('echo child; exit 0').toString().trim());
	const child = cp.spawn('sh', ['-c', 'cat; exit 3'], { stdio: ['pipe', 'pipe', 'inherit'] });
	child.stdout.on('data', d => console.log('piped', d.toString()));
	child.on('close', code => console.log('closed', code));
	child.stdin.end('through a pipe');
	setTimeout(() => console.log('timer'), 300);
	new (require('worker_threads').Worker)('console.log("thread")', { eval: true });
	JS
	cat >script.sh <<-'SH'
	set -e
	for i in 1 2 3; do echo "$i" | tr 1-3 a-c; done
	x=$(ls /bin/sh; (exit 3) || echo "status $?")
	echo "$x"
	cat < <(printf 'substituted\n') | sed s/u/U/
	sleep 0.05 & wait $!
	echo "waited $?" >&2
	trap 'echo trapped' USR1
	kill -USR1 $$
	exec 7>"$TMPDIR/seven"; echo seven >&7; exec 7>&-; cat "$TMPDIR/seven"
	ls -l /proc/self/fd | awk 'NR > 1 { print $9 }'
	SH
	export TMPDIR=$FN_TMP
}

startup_cost()
{
	local -i best=1000000 base=1000000 round start us i
	local -a words
	read -ra words <<<"$(fn_preload_words srv)"
	local preload=${words[1]-X=}
	for ((round = 0; round < 5; round++)); do
		start=${EPOCHREALTIME/[.,]/}
		for ((i = 0; i < 40; i++)); do /usr/bin/env X=1 /bin/true; done
		us=$(((${EPOCHREALTIME/[.,]/} - start) / 40))
		((us >= base)) || base=$us
		start=${EPOCHREALTIME/[.,]/}
		for ((i = 0; i < 40; i++)); do /usr/bin/env "$preload" /bin/true; done
		us=$(((${EPOCHREALTIME/[.,]/} - start) / 40))
		((us >= best)) || best=$us
	done
	soon "start-up cost in a program without sockets, us" $((best - base)) 2000
}

# No engine, auto-start off: the kernel serves, nothing is printed, `fastnet explain` tells.
no_engine()
{
	fn_ip "$FN_SRV" link set lo up
	local saved=${FN_SRV_SOCKET-}
	FN_SRV_SOCKET=$FN_TMP/no-such.sock
	mkdir "$FN_TMP/www"
	echo hello >"$FN_TMP/www/hello"
	fn_app lonely python3 -u -m http.server 8000 --directory "$FN_TMP/www"
	check "the kernel serves it" fn_wait_for 10 bare curl -sf http://127.0.0.1:8000/hello
	same "preloaded curl without an engine" \
		"$(preloaded curl -sS http://127.0.0.1:8000/hello 2>&1)" hello
	fn_stop lonely
	if grep -qi fastnet "$FN_TMP/lonely.log"; then
		fn_die "a program without an engine said something about it"
	fi
	[[ $FN_STACK == kernel ]] && return 0
	local told
	told=$(FASTNET_SOCKET=$FN_SRV_SOCKET FASTNET_AUTOSTART=0 bare "$FN_FASTNET" explain -- \
		python3 -c 'import socket; socket.socket().connect_ex(("10.77.1.1", 9))' 2>&1) || true
	grep -qi 'no engine' <<<"$told" || fn_die "fastnet explain does not tell: $told"
	ok "fastnet explain tells: $(grep -i -m1 'no engine' <<<"$told")"
	FN_SRV_SOCKET=$saved
}

e2e_start "${1:-auto}"
prepare
alike "ls" ls -la /etc
alike "git log" git log --stat
alike "git status" git status
alike "git clone" sh -c 'rm -rf ../clone; git clone . ../clone 2>&1; ls ../clone'
alike "bash" bash script.sh
# shellcheck disable=SC2016	# for the inner shell
alike "sh -c" sh -c 'echo $((1 + 1)); false'
alike "apt-get --version" apt-get --version
alike "a gcc build" sh -c 'gcc -O2 -o prog prog.c && sha256sum prog; ./prog'
alike "node" node script.js
alike "python3" python3 -c 'import subprocess, os
print(subprocess.run(["sh", "-c", "echo out; exit 5"], capture_output=True))
print(os.popen("echo popen").read(), os.system("exit 2"))
pid = os.fork()
if pid == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
alike "getent" getent hosts localhost
startup_cost
no_engine
