#!/bin/bash
# sshd on the stack: for each connection it forks and executes itself anew with the accepted socket, drops
# privileges, and hands data to a shell. scp both ways, many sessions, a forwarded port.
# usage: ssh.sh [WIRE].  SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
sshd=/usr/sbin/sshd			# wants to be called by its whole name
fn_need "$sshd" ssh scp ssh-keygen

options=(-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
	-o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=20)

ssh_() { fn_client ssh "${options[@]}" -i "$FN_TMP/key" -p 2222 "root@$FN_SRV_ADDR" "$@"; }

start()
{
	install -d -m 755 /run/sshd	# what it is confined to before anybody is known
	ssh-keygen -q -t ed25519 -N '' -f "$FN_TMP/host"
	ssh-keygen -q -t ed25519 -N '' -f "$FN_TMP/key"
	cp "$FN_TMP/key.pub" "$FN_TMP/authorized"
	cat >"$FN_TMP/sshd_config" <<-CONF
		Port 2222
		ListenAddress $(by_family 0.0.0.0 ::)
		HostKey $FN_TMP/host
		AuthorizedKeysFile $FN_TMP/authorized
		PermitRootLogin yes
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		StrictModes no
		PidFile none
		MaxStartups 100
		Subsystem sftp internal-sftp
	CONF
	fn_app sshd "$sshd" -D -e -f "$FN_TMP/sshd_config"
	fn_wait_port 2222 sshd
}

sessions()
{
	local i out
	same "a command, its output and its input" "$(echo in | ssh_ 'cat; echo out; exit 0')" $'in\nout'
	local status=0
	ssh_ 'exit 7' || status=$?
	same "a command's status" "$status" 7
	# shellcheck disable=SC2016	# expanded there
	same "it knows who has come" "$(ssh_ 'echo ${SSH_CONNECTION%% *}')" "$FN_CLI_ADDR"
	for ((i = 0; i < $(full_or 50 8); i++)); do
		fn_client_bg "session$i" ssh "${options[@]}" -i "$FN_TMP/key" -p 2222 \
			"root@$FN_SRV_ADDR" "sleep 0.2; echo session $i"
	done
	for ((i = 0; i < $(full_or 50 8); i++)); do
		wait "${fn_pid[session$i]}" || fn_die "session $i fails"
		unset "fn_pid[session$i]"
		out=$(tail -n 1 "$FN_TMP/session$i.log")	# a login shell may say more
		[[ $out == "session $i" ]] || fn_die "session $i said $out"
	done
	ok "many sessions at once"
}

copy()
{
	local mb
	mb=$(full_or 100 20)
	head -c "${mb}000000" /dev/urandom >"$FN_TMP/file"
	FN_TIMEOUT=120 fn_client scp -q "${options[@]}" -i "$FN_TMP/key" -P 2222 \
		"$FN_TMP/file" "root@$(fn_url "$FN_SRV_ADDR"):$FN_TMP/there"
	same "scp of $mb MB to it" "$(sha "$FN_TMP/there")" "$(sha "$FN_TMP/file")"
	FN_TIMEOUT=120 fn_client scp -q "${options[@]}" -i "$FN_TMP/key" -P 2222 \
		"root@$(fn_url "$FN_SRV_ADDR"):$FN_TMP/there" "$FN_TMP/back"
	same "scp of $mb MB from it" "$(sha "$FN_TMP/back")" "$(sha "$FN_TMP/file")"
}

no_sessions() { [[ -z $(fn_tool ss | awk '$2 == "ESTAB"') ]]; }
begun() { grep -q begun "$FN_TMP/long.log"; }

killed()
{
	fn_client_bg long ssh "${options[@]}" -i "$FN_TMP/key" -p 2222 "root@$FN_SRV_ADDR" \
		"echo begun; exec sleep 4321"
	check "a session runs" fn_wait_for 20 begun
	# the daemon ends and starts again: the session goes on, and its port is free
	fn_stop sshd
	fn_app sshd "$sshd" -D -e -f "$FN_TMP/sshd_config"
	fn_wait_port 2222 sshd
	same "a new daemon serves" "$(ssh_ echo new)" new
	check "the old one's session lives" fn_alive long
	fn_stop long KILL
	[[ $FN_STACK == kernel ]] || check "a killed client's session goes" fn_wait_for 10 no_sessions
}

e2e_start "${1:-auto}"
start
sessions
copy
[[ $FN_FAMILY == 6 ]] || killed
fn_stop sshd
drained
proved
