#!/bin/bash
#
# deps.sh {build|run|demo|test|lint|cover|all}... - sees to it that the Debian packages of a
# purpose are there.
#
# Says nothing when nothing is missing.  Else it lists what is, and installs it: as root, or by
# `sudo` if that asks for no password; otherwise it prints the line to run and exits with 1.
# Installing starts no service and makes no default PostgreSQL cluster: /usr/sbin/policy-rc.d and
# PostgreSQL's createcluster.conf are set aside meanwhile and put back afterwards (by the next
# run, should this one be killed).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
export DEBIAN_FRONTEND=noninteractive

self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
readonly policy=/usr/sbin/policy-rc.d
readonly createcluster=/etc/postgresql-common/createcluster.conf
readonly aside=before-copyhold
readonly mark="# written by copyhold's tools/deps.sh while it installs packages"

build=(gcc make pkg-config libc6-dev libpq-dev libsqlite3-dev libjansson-dev libyaml-dev
	libssl-dev libzip-dev libcurl4-openssl-dev libevent-dev uthash-dev libssh2-1-dev
	libgit2-dev libarchive-dev)
# Exists for these processors only, and the build does without it.
[ "$(uname -m)" != x86_64 ] || build+=(libipsec-mb-dev)
readonly build
readonly run=(postgresql-15 postgresql-client-15 openssl openssh-client git)
# What the machines that tenants live on have; here some are pretended.
readonly hosts=(openssh-server openssh-sftp-server runit haproxy sudo python3 curl)
readonly lint=(clang-format-14 clang-14 shellcheck)
readonly test=(libcmocka-dev bats perl jq sqlite3 curl python3 python3-jsonschema python3-psycopg valgrind
	clang-14 libclang-rt-14-dev systemd cron)
readonly cover=(gcovr)

usage() {
	echo "usage: tools/deps.sh {build|run|demo|test|lint|cover|all}..." >&2
	exit 64
}

foreign_node() {
	command -v node >/dev/null && ! dpkg-query -W -f '${Version}' nodejs 2>/dev/null | grep -q '+dfsg'
}

# The packages of the purposes, one a line.
packages_of() {
	local purpose
	for purpose; do
		case $purpose in
		build) printf '%s\n' "${build[@]}" ;;
		run) printf '%s\n' "${run[@]}" ;;
		demo) printf '%s\n' "${build[@]}" "${run[@]}" "${hosts[@]}" ;;
		lint) printf '%s\n' "${lint[@]}" ;;
		test)
			printf '%s\n' "${build[@]}" "${run[@]}" "${hosts[@]}" "${lint[@]}" "${test[@]}"
			# Debian's node-postgres wants Debian's Node.js; with another one npm has it
			foreign_node || echo node-pg
			;;
		cover) printf '%s\n' "${build[@]}" "${run[@]}" "${hosts[@]}" "${test[@]}" "${cover[@]}" ;;
		all) packages_of test cover ;;
		*) usage ;;
		esac
	done
	command -v awk >/dev/null || echo mawk
}

# Fills `missing`, in the order of the lists.
find_missing() {
	local -A there=()
	local name wanted listed
	wanted=$(packages_of "$@")
	# shellcheck disable=SC2086 # names of packages, one word each
	listed=$(dpkg-query -W -f='${Package}:${db:Status-Status}\n' $wanted 2>/dev/null) || true
	for name in $listed; do
		[ "${name##*:}" = installed ] && there[${name%%:*}]=1
	done
	missing=()
	for name in $wanted; do
		[ -z "${there[$name]-}" ] || continue
		there[$name]=1
		missing+=("$name")
	done
}

is_installed() {
	dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# --- installing, as root -----------------------------------------------------

# FILE: what was there waits beside it, or a note that nothing was.
set_aside() {
	if [ -e "$1" ] || [ -L "$1" ]; then
		mv -- "$1" "$1.$aside"
	else
		: >"$1.$aside-none"
	fi
}

put_back() {
	if [ -e "$1.$aside" ] || [ -L "$1.$aside" ]; then
		mv -f -- "$1.$aside" "$1"
	elif [ -e "$1.$aside-none" ]; then
		rm -f -- "$1"
	fi
	rm -f -- "$1.$aside-none"
}

restore() {
	put_back "$policy"
	put_back "$createcluster"
}

forbid_services() {
	set_aside "$policy"
	printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
	chmod 0755 "$policy"
}

# PostgreSQL's tools read this file while its server package is configured.
forbid_default_cluster() {
	set_aside "$createcluster"
	[ ! -e "$createcluster.$aside" ] || cat -- "$createcluster.$aside" >"$createcluster"
	printf '%s\ncreate_main_cluster = false\n' "$mark" >>"$createcluster"
	chmod 0644 "$createcluster"
}

apt_install() {
	apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=600 \
		-o Dpkg::Use-Pty=0 "$@" </dev/null
}

has_package_lists() {
	[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ]
}

# A list of packages that is missing or has aged is the usual reason for a failure: fetch it and
# try again.
install_packages() {
	if has_package_lists && apt_install "$@"; then
		return
	fi
	apt-get update -q -o DPkg::Lock::Timeout=600 </dev/null
	apt_install "$@"
}

install_as_root() {
	exec 9</var/lib/dpkg
	flock 9
	restore
	trap restore EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	forbid_services
	# The file belongs to postgresql-common, which brings its own when it is new.
	if [[ " $* " == *" postgresql-15 "* ]]; then
		is_installed postgresql-common || install_packages postgresql-common
		forbid_default_cluster
	fi
	install_packages "$@"
}

# --- commands ----------------------------------------------------------------

[ $# -gt 0 ] || usage
packages_of "$@" >/dev/null
command -v dpkg-query >/dev/null || {
	echo "deps.sh: this system has no dpkg; Copyhold is built on Debian 12." >&2
	echo "Elsewhere, install by hand what these Debian packages hold:" >&2
	echo "  $(packages_of "$@" | sort -u | tr '\n' ' ')" >&2
	exit 1
}
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0

echo "These packages are missing: ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
	install_as_root "${missing[@]}"
elif sudo -n true 2>/dev/null; then
	exec sudo -n "$self" "$@"
else
	update=
	has_package_lists || update="apt-get update && "
	echo "Install them as root, then run this again:" >&2
	echo "  ${update}apt-get install -y --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
find_missing "$@"
[ ${#missing[@]} -eq 0 ] || {
	echo "deps.sh: still missing: ${missing[*]}" >&2
	exit 1
}
