#!/bin/bash
# Installs the Debian packages that fastnet needs: the one list of them.
#
#   scripts/packages.sh run     to build fastnet and to serve redis with it (scripts/quickstart)
#   scripts/packages.sh test    the above, and what the tests, checks and benchmarks run
#   scripts/packages.sh list    print both lists and install nothing
#
# A server package that is installed here must not start its service and take a port, so a
# policy-rc.d that says no stands while apt works. One that is there already is left as it is.
# SPDX-License-Identifier: MIT
set -euo pipefail

run_packages=(
	gcc libc6-dev cmake ninja-build pkg-config
	libdpdk-dev libxdp-dev libbpf-dev libmnl-dev libev-dev
	redis-server redis-tools
	iproute2 nftables ethtool procps util-linux
)
test_packages=(
	check git
	dnsmasq-base bind9-dnsutils
	nginx-light memcached socat iperf3 wrk netbase curl python3 nodejs	# wrk: /etc/services
	iputils-ping radvd tcpdump strace jq netcat-openbsd
	postgresql apache2-bin apache2-utils gunicorn openssh-server openssh-client haproxy
	shellcheck cppcheck libpython3.11-testsuite
	g++ groff-base	# mTCP's header as C++, its pages
	valgrind	# scripts/bench-instr
	gnuplot-nox	# scripts/bench-report
	linux-perf	# scripts/profile
)

policy=/usr/sbin/policy-rc.d
policy_mark="# fastnet scripts/packages.sh: no services while packages are installed"

policy_remove()
{
	if [[ -f $policy ]] && grep -qxF "$policy_mark" "$policy"; then
		rm -f "$policy"
	fi
}

# With noclobber the redirection fails when the file exists, so an administrator's own is kept.
policy_install()
{
	(set -o noclobber
	 printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy") 2>/dev/null || return 0
	trap policy_remove EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$policy"
}

missing_of()
{
	local name
	for name in "$@"; do
		[[ $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) == "install ok installed" ]] ||
			echo "$name"
	done
}

main()
{
	local -a wanted missing
	case ${1-} in
	run) wanted=("${run_packages[@]}") ;;
	test) wanted=("${run_packages[@]}" "${test_packages[@]}") ;;
	list)
		echo "run: ${run_packages[*]}"
		echo "test: ${test_packages[*]}"
		return 0 ;;
	*)
		echo "usage: scripts/packages.sh run|test|list" >&2
		return 2 ;;
	esac
	mapfile -t missing < <(missing_of "${wanted[@]}")
	((${#missing[@]})) || return 0
	if ((EUID != 0)); then
		echo "packages.sh: run as root to install: ${missing[*]}" >&2
		return 1
	fi
	echo "installing: ${missing[*]}"
	policy_install
	local -a apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
	export DEBIAN_FRONTEND=noninteractive
	"${apt[@]}" update
	"${apt[@]}" install --no-install-recommends "${missing[@]}"
}

main "$@"
