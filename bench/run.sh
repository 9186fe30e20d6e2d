#!/bin/bash
#
# run.sh [PART...] - measures the speed, each figure beside that of a peer or of the machine taken
# in turn with it, and prints a table.  Parts: provision shared plan load start journal audit
# audit_verify gateway stream ssh (default: all).
#
#   BUILD=DIR      where copyhold was built (default: build)
#   ROUNDS=N       how often each pair is repeated; medians are printed (default: 3)
#   BENCH_DIR=DIR  where servers and homes are for the time being, on the disk to be measured
#
# Servers and homes are made anew, on ports of their own, and removed at the end.
set -euo pipefail
umask 077
unset "${!PG@}" COPYHOLD_HOME
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$root" && realpath -m "${BUILD:-build}")
copyhold=$build/copyhold
tools=$build/bench
rounds=${ROUNDS:-3}
export BJ1_PASSWORD=bench-7c1d
readonly pg=${COPYHOLD_PGBIN:-/usr/lib/postgresql/15/bin}

# shellcheck source=bench/lib.sh
. "$root/bench/lib.sh"

build_tools() {
	local libs
	mkdir -p "$tools"
	libs=$(pkg-config --libs libpq sqlite3 jansson yaml-0.1 openssl libzip libcurl libevent_core libevent_extra libevent_openssl libssh2)
	set -- "${CC:-gcc}" -O2 -D_GNU_SOURCE -std=c11 -Wall -Wextra -Wshadow -Wconversion -Werror \
		"-I$root" "-I$build/gen"
	"$@" -o "$tools/measure" "$root/bench/measure.c"
	"$@" -o "$tools/limits" "$root/bench/limits.c" -lsqlite3 -lyaml
	# shellcheck disable=SC2086 # several words
	"$@" -o "$tools/evidence" "$root/bench/evidence.c" "$build/libcopyhold.a" $libs -lanl
	# shellcheck disable=SC2086
	"$@" -o "$tools/audit" "$root/bench/audit.c" "$build/libcopyhold.a" $libs -lanl
	# shellcheck disable=SC2086
	"$@" -o "$tools/routes" "$root/bench/routes.c" "$build/libcopyhold.a" $libs -lanl
	"$@" -o "$tools/gateway" "$root/bench/gateway.c" "-I$(pg_config --includedir)" -lpq
	# shellcheck disable=SC2086
	"$@" -o "$tools/switch_stream" "$root/bench/switch_stream.c" "$build/libcopyhold.a" $libs -lanl
	# shellcheck disable=SC2086
	"$@" -o "$tools/fill" "$root/bench/fill.c" "$build/libcopyhold.a" $libs -lanl
	# shellcheck disable=SC2086
	"$@" -o "$tools/ssh" "$root/bench/ssh.c" "$build/libcopyhold.a" $libs -lanl
}

make_work() {
	work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/copyhold-bench.XXXXXX")
	[ "$(id -u)" != 0 ] || chmod 0711 "$work"
	trap clean EXIT
	trap 'exit 130' INT TERM
}

clean() {
	cluster remove "$work" bj-1 || true
	[ ! -d "$work/ssh" ] || "$root/tools/sshd.sh" remove-all "$work/ssh"
	rm -rf -- "$work"
}

describe() {
	local cpu
	cpu=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
	echo "date      $(date -u +%Y-%m-%d)"
	echo "command   ROUNDS=$rounds bench/run.sh ${parts[*]}"
	echo "copyhold  $("$copyhold" version | head -n 1)"
	echo "peer      $("$pg/postgres" --version)"
	echo "machine   $(nproc) x ${cpu:-unknown}, $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' \
		/proc/meminfo) GiB, load $(cut -d ' ' -f 1-3 /proc/loadavg)"
	echo "disk      $("$tools/limits" sync "$work/sync" 500) durable 4 KiB writes a second"
	echo
	{
		printf 'what\tcopyhold\ttarget\tbeside it\tthat\tratio\n'
		cat "$work/table"
	} | column -t -s "$(printf '\t')"
}

[ -x "$copyhold" ] || {
	echo "bench: there is no $copyhold: run make" >&2
	exit 1
}
parts=("$@")
[ $# -gt 0 ] || parts=(start journal plan provision load shared audit audit_verify gateway stream ssh)
for part in "${parts[@]}"; do
	case $part in
	start | journal | plan | provision | load | shared | audit | audit_verify | gateway | stream | ssh) ;;
	*)
		echo "usage: bench/run.sh [start] [journal] [plan] [provision] [load] [shared] [audit] [audit_verify] [gateway] [stream] [ssh]" >&2
		exit 64
		;;
	esac
done
build_tools
make_work
for part in "${parts[@]}"; do
	say "$part"
	# shellcheck source=/dev/null
	. "$root/bench/$part.sh"
done
describe
