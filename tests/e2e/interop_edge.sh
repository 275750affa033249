#!/bin/bash
# The odd ends of connections between the stack and Linux, in both roles, all at once: closing at the
# same time, resets with data under way, half-closed and half-open connections, windows that stay shut,
# keepalive, TCP_USER_TIMEOUT, urgent data. What both ends see has to be what two Linux ends see
# (E2E_STACK=kernel).
# SPDX-License-Identifier: MIT
set -euo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/interop_lib.sh
. "$e2e_dir/interop_lib.sh"
fn_need python3 nft

talk_py=$e2e_dir/interop_talk.py
port=7100
cut=0		# ports of conversations whose wire is cut are 1000 higher

# talk NAME CALLER'S-STEPS WHAT-IT-SEES LISTENER'S-STEPS WHAT-IT-SEES: once with Linux as the caller,
# once with us. @x in a step is a file of this conversation.
talk()
{
	only_linux_calls "$@"
	only_we_call "$@"
}

only_linux_calls()
{
	echo "$1_to_us connect $((port + cut)) ${2//@/$FN_TMP/$port.}" >>"$FN_TMP/linux.talks"
	echo "$1_to_us: $3" >>"$FN_TMP/linux.wanted"
	echo "$1_to_us listen $((port + cut)) ${4//@/$FN_TMP/$port.}" >>"$FN_TMP/ours.talks"
	echo "$1_to_us: $5" >>"$FN_TMP/ours.wanted"
	((++port))
}

only_we_call()
{
	echo "$1_to_linux connect $((port + cut)) ${2//@/$FN_TMP/$port.}" >>"$FN_TMP/ours.talks"
	echo "$1_to_linux: $3" >>"$FN_TMP/ours.wanted"
	echo "$1_to_linux listen $((port + cut)) ${4//@/$FN_TMP/$port.}" >>"$FN_TMP/linux.talks"
	echo "$1_to_linux: $5" >>"$FN_TMP/linux.wanted"
	((++port))
}

# ---- the ends of connections ----
endings()
{
	talk both_close "dial touch=@a wait=@b shut drain" "0 end" \
		"accept touch=@b wait=@a shut drain" "0 end"
	talk unread_at_close "dial send=1000 drain" "0 ECONNRESET" "accept recv=1 close" ""
	talk linger_0 "dial reset" "" "accept drain" "0 ECONNRESET"
	talk reset_behind_data "dial recv=1 touch=@some error drain" "ECONNRESET; 4999 end" \
		"accept send=5000 wait=@some reset" ""
	talk send_after_reset "dial ask wait=@reset error send=1 send=1" \
		"answered; ECONNRESET; send EPIPE; send EPIPE" "accept answer reset touch=@reset" ""
	talk half_closed "dial shut drain" "300000 end" \
		"accept drain nap=1500 send=300000 close" "0 end"
	talk sends_to_closed "dial ask wait=@closed send=10 error send=10" \
		"answered; EPIPE; send EPIPE" "accept answer close touch=@closed" ""
}

urgent()
{
	talk urgent "dial say=abc oob=X say=def oob=Y say=g close" "" \
		"accept marked" "abcXdef|Yg"
	talk urgent_first "dial oob=X say=abc close" "" "accept marked" "|Xabc"
	talk urgent_last "dial say=abc oob=X close" "" "accept marked" "abc|X"
}

# ---- one end knows nothing of the connection any more ----
half_open()
{
	local gone="vanish touch=@gone"
	only_linux_calls half_open "dial ask $gone" "answered" \
		"accept answer wait=@gone send=1 error send=1" "ECONNRESET; send EPIPE"
	only_we_call half_open "dial ask wait=@gone send=1 error send=1" "answered; ECONNRESET; send EPIPE" \
		"accept answer $gone" ""
	# RFC 9293 3.5.1: the old end asks, is told, and the SYN that comes again finds it gone
	only_linux_calls reborn "dial ask $gone dial ask" "answered; answered" \
		"accept answer wait=@gone accept answer before drain" "0 ECONNRESET"
	only_linux_calls half_open_idle "dial ask $gone" "answered" \
		"accept set=SO_KEEPALIVE,1 set=TCP_KEEPIDLE,1 answer drain" "0 ECONNRESET"
}

keepalives()
{
	local keep="set=SO_KEEPALIVE,1 set=TCP_KEEPIDLE,1 set=TCP_KEEPINTVL,1 set=TCP_KEEPCNT,2"
	local patience="set=TCP_USER_TIMEOUT,1500" long
	long="${keep%2}20 set=TCP_USER_TIMEOUT,2500"
	talk kept_alive "$keep dial nap=3600 ask close" "answered" "accept $keep answer drain" "0 end"
	talk shut_window_ends "$patience dial fill error=500,6000 touch=@end" "ETIMEDOUT" \
		"accept wait=@end close" ""
	cut=1000
	talk keepalive_ends "$keep dial ask nap=200 touch=@up error=2000,6000" "answered; ETIMEDOUT" \
		"accept $keep answer error=2000,6000" "ETIMEDOUT"
	talk keepalive_user_timeout "$long dial ask nap=200 touch=@up error=2000,6000" "answered; ETIMEDOUT" \
		"accept $long answer error=2000,6000" "ETIMEDOUT"
	local rest="wait=$FN_TMP/cut send=10 error=1400,4000"
	talk user_timeout "dial $patience ask nap=200 touch=@up $rest" "answered; ETIMEDOUT" \
		"accept $patience answer $rest" "ETIMEDOUT"
	cut=0
}

all_up()
{
	local file files
	mapfile -t files < <(cat "$FN_TMP"/{ours,linux}.talks | grep -o 'touch=[^ ]*\.up')
	for file in "${files[@]#touch=}"; do
		[[ -e $file ]] || return 1
	done
}

cut_wire()
{
	fn_in "$FN_CLI" nft -f - <<-'RULES'
		table ip fn_cut {
			chain in {
				type filter hook input priority 0;
				tcp dport 8000-8999 drop
				tcp sport 8000-8999 drop
			}
			chain out {
				type filter hook output priority 0;
				tcp dport 8000-8999 drop
				tcp sport 8000-8999 drop
			}
		}
	RULES
	touch "$FN_TMP/cut"
}

talks_start()
{
	fn_app ours python3 "$talk_py" "$FN_TMP/ours.talks" "$FN_CLI_ADDR" "$FN_TMP/go"
	fn_client_bg linux python3 "$talk_py" "$FN_TMP/linux.talks" "$FN_SRV_ADDR" "$FN_TMP/go"
	fn_wait_for 20 grep -q listening "$FN_TMP/ours.log" || fn_die "we do not listen"
	fn_wait_for 20 grep -q listening "$FN_TMP/linux.log" || fn_die "Linux does not listen"
	touch "$FN_TMP/go"
}

talks_end()	# SIDE...
{
	local side
	for side in "$@"; do
		fn_wait_for 60 eval "! fn_alive $side" || fn_die "$side: does not end"
		grep -v listening "$FN_TMP/$side.log" | sort >"$FN_TMP/$side.said"
		sort "$FN_TMP/$side.wanted" | diff - "$FN_TMP/$side.said" >&2 ||
			fn_die "$side: not as it has to be"
		ok "$(wc -l <"$FN_TMP/$side.said") conversations end as they have to, $side"
	done
}

# Our whole side goes without a word, and another one comes at its address: what Linux still has is
# answered by RST (RFC 9293 3.5.1), and a SYN for what it has by a question first.
other_engine()
{
	rm -f "$FN_TMP"/{ours,linux}.{talks,wanted} "$FN_TMP/go"
	only_linux_calls orphan "dial ask touch=@up wait=$FN_TMP/new send=1 error send=1" \
		"answered; ECONNRESET; send EPIPE" "accept answer nap=30000" ""
	only_we_call heir "port=6000 dial ask touch=@up nap=30000" "" \
		"accept answer wait=$FN_TMP/new accept answer before drain" "0 ECONNRESET"
	talks_start
	fn_wait_for 20 all_up || fn_die "not all are connected"
	fn_stop engine KILL
	fn_stop ours KILL
	fn_engines_start
	touch "$FN_TMP/new"
	echo "heir connect $((port - 1)) port=6000 dial ask close" >"$FN_TMP/heir"
	same "the heir's connection" "heir: answered" "$(fn_on_stack \
		python3 "$talk_py" "$FN_TMP/heir" "$FN_CLI_ADDR" "$FN_TMP/go" | tail -n 1)"
	talks_end linux
}

e2e_start af_packet nowire
wire_up
wire_set 60 1000 1
servers_start
endings
urgent
half_open
keepalives
talks_start
fn_bg stall_us fn_client "$streams" to "$FN_SRV_ADDR" 7000 up=12000000 peer-stall=3500
fn_bg stall_linux fn_on_stack "$streams" to "$FN_CLI_ADDR" 7000 up=12000000 peer-stall=3500
fn_wait_for 20 all_up || fn_die "not all are connected"
cut_wire
talks_end linux ours
for name in stall_us stall_linux; do
	fn_wait_for 30 eval "! fn_alive $name" || fn_die "$name does not end"
	check "$name: at least 3 probes of a shut window" \
		test "$(backoff_of "$(cat "$FN_TMP/$name.log")")" -ge 3
done
servers_stop
proved
if [[ $FN_STACK != kernel ]]; then
	other_engine
	proved "another engine"
fi
