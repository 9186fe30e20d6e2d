#!/bin/bash
#
# run.sh [PART...] - runs the tests, two jobs at a time; the last line is "N passed, N failed".
#
#   unit   C programs of tests/unit
#   cmd    the commands: tests/cmd/*.bats
#   pg     C programs of tests/pg, beside a real server
#   ssh    C programs of tests/ssh, beside real sshds
#   play   whole plays on real servers: tests/play/*.bats
#   kill   crash safety: tests/kill/*.bats
#   lint   tools/lint.sh
#   asan   unit and cmd, built with ASan and UBSan
#   fuzz   each fuzz target for FUZZ_SECONDS (10)
#   soak   the long figures: tests/soak/*.bats, with SEED; not part of the default
#
# No PART: all but soak.  What a job said is in BUILD/log/JOB; of a failed one it is shown at the
# end.  BUILD (default: build) says where everything is that make makes.
#
# One or two plays that fail are run once more, by themselves: what then passes is unsteady, a test to
# be mended; it is named, and what it said at first is shown.  Three failed plays are failures.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
export BUILD=${BUILD:-build}
export LC_ALL=C.UTF-8 TZ=UTC
export PATH=/usr/lib/postgresql/15/bin:$PATH
unset COPYHOLD_HOME "${!PG@}"
COPYHOLD_BIN=$(realpath -m "$BUILD")/copyhold
export COPYHOLD_BIN
jobs_at_once=2
everything=(kill play asan pg ssh cmd unit lint fuzz)

usage() {
	sed -n '3,/^set /s/^# \{0,1\}//p' "$root/tests/run.sh" >&2
	exit 64
}

# --- what a job does: its output is TAP -----------------------------------------------

# Programs of cmocka write "ok" to one stream and "not ok" to the other.
run_program() {
	local status=0
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 900 "$1" >"$log.out" 2>"$log.err" </dev/null || status=$?
	echo "# $1"
	cat "$log.out" "$log.err"
	if [ "$status" != 0 ] &&
		! cat "$log.out" "$log.err" | grep -v '# SKIP' | grep -q '^not ok'; then
		echo "not ok - $1 ended with exit code $status"
	fi
	rm -f "$log.out" "$log.err"
	return "$status"
}

# PATTERN of sources: the programs made of them.
run_programs() {
	local source status=0
	for source in $1; do
		[ -e "$source" ] || continue
		run_program "$BUILD/tests/$(basename "$source" .c)" || status=1
	done
	return "$status"
}

# NUMBER COMMAND...: its exit code is a test's outcome.
as_test() {
	if "${@:2}"; then
		echo "ok $1 - ${*:2}"
	else
		echo "not ok $1 - ${*:2}"
		return 1
	fi
}

run_bats() { bats --formatter tap --timing "$@" </dev/null; }

job_unit() { run_programs 'tests/unit/*/test_*.c tests/unit/*/*/test_*.c'; }
job_pg() { tests/lib/cluster.sh "$root/tests/run.sh" --programs 'tests/pg/test_*.c'; }
job_ssh() { run_programs 'tests/ssh/test_*.c'; }
job_lint() { tools/lint.sh; }

job_asan() {
	export BUILD=$BUILD/asan
	export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	COPYHOLD_BIN=$(realpath -m "$BUILD")/copyhold
	make -s ASAN=1 "BUILD=$BUILD" all unit || return
	local status=0
	job_unit || status=1
	compgen -G 'tests/cmd/*.bats' >/dev/null || return "$status"
	run_bats tests/cmd/*.bats || status=1
	return "$status"
}

job_fuzz() {
	local target number=0 status=0
	for target in tests/fuzz/fuzz_*.c; do
		[ ! -e "$target" ] || as_test $((number += 1)) tools/fuzz.sh "$target" || status=1
	done
	return "$status"
}

# PART or PART:FILE
run_job() {
	log=$logs/${1//\//_}
	case $1 in
	*:*) run_bats "${1#*:}" ;;
	*) "job_$1" ;;
	esac
}

# --- which jobs --------------------------------------------------------------------

add_jobs() {
	local part file
	for part; do
		case $part in
		cmd | play | kill | soak)
			for file in tests/"$part"/*.bats; do
				[ ! -e "$file" ] || queue+=("$part:$file")
			done
			;;
		unit | pg | ssh | lint | asan | fuzz) queue+=("$part") ;;
		*) usage ;;
		esac
	done
}

# --- counting ------------------------------------------------------------------------

# LOG STATUS: "passed failed skipped".  A job that failed without saying which test did is one
# failure.
count() {
	awk -v status="$2" '
		/^(not )?ok .*# (skip|SKIP)/ { skipped++; next }
		/^ok / { passed++ }
		/^not ok / { failed++ }
		END {
			if (failed == 0 && status != 0) failed = 1
			print passed + 0, failed + 0, skipped + 0
		}' "$1"
}

log_of() { echo "$logs/${1//\//_}"; }

report_job() {
	local job=$1 status=$2 took=$3 passed failed skipped
	read -r passed failed skipped < <(count "$(log_of "$job")" "$status")
	printf '%-44s %5d passed %4d failed %4d skipped %5d s\n' \
		"$job" "$passed" "$failed" "$skipped" "$took"
	if [ "$failed" != 0 ] && [[ $job == play:* ]] && ! $second_look; then
		doubtful+=("$job")
		return
	fi
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
	[ "$failed" = 0 ] || broken+=("$job")
	if $second_look && [ "$failed" = 0 ]; then
		unsteady=$((unsteady + 1))
	fi
}

# JOB LOG: what passed is not worth reading again.
show_log() {
	printf '\n---- %s (%s)\n' "$1" "$2"
	grep -vE '^(ok |1\.\.[0-9]+$)' "$2"
}

show_broken() {
	local job
	for job in ${doubtful[@]+"${doubtful[@]}"}; do
		show_log "$job, at first" "$(log_of "$job").first"
	done
	for job in ${broken[@]+"${broken[@]}"}; do
		show_log "$job" "$(log_of "$job")"
	done
}

# --- running ---------------------------------------------------------------------------

# Each job is a process group, so that what it started ends with it.  Servers of tests that did
# not get to their end are removed.
cleanup() {
	local data pid
	for pid in $(jobs -p); do
		kill -- "-$pid" 2>/dev/null
	done
	while read -r data; do
		data=$(dirname "$(dirname "$data")")
		tools/cluster.sh remove "$(dirname "$data")" "$(basename "$data")"
	done < <(find "$COPYHOLD_TEST_TMP" -maxdepth 5 -name postmaster.pid -path '*/data/*')
	rm -rf -- "$COPYHOLD_TEST_TMP"
}

make_folders() {
	logs=$BUILD/log
	mkdir -p "$logs"
	COPYHOLD_TEST_TMP=$(mktemp -d /tmp/cht.XXXXXX)
	[ "$(id -u)" != 0 ] || chmod 0711 "$COPYHOLD_TEST_TMP"
	export COPYHOLD_TEST_TMP
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# N: waits until at most so many are running.
wait_for_jobs() {
	local pid status
	while [ "${#name_of[@]}" -gt "$1" ]; do
		status=0
		wait -n -p pid || status=$?
		report_job "${name_of[$pid]}" "$status" $((SECONDS - began[$pid]))
		unset "name_of[$pid]"
	done
}

# N JOB...: N at a time
run_queue() {
	local job at_once=$1
	local -A name_of=() began=()
	shift
	set -m
	for job; do
		wait_for_jobs $((at_once - 1))
		run_job "$job" >"$(log_of "$job")" 2>&1 </dev/null &
		name_of[$!]=$job
		began[$!]=$SECONDS
	done
	wait_for_jobs 0
}

# By themselves, or, where they are too many, as they are.
look_again() {
	local job at_most=2
	second_look=true
	if [ "${#doubtful[@]}" -gt $at_most ]; then
		for job in "${doubtful[@]}"; do
			report_job "$job" 1 0
		done
		doubtful=()
	fi
	for job in ${doubtful[@]+"${doubtful[@]}"}; do
		cp "$(log_of "$job")" "$(log_of "$job").first"
	done
	run_queue 1 ${doubtful[@]+"${doubtful[@]}"}
}

if [ "${1-}" = --programs ]; then
	log=$(mktemp "${COPYHOLD_TEST_TMP:-/tmp}/log.XXXXXX")
	trap 'rm -f "$log"' EXIT
	run_programs "$2"
	exit
fi

queue=() broken=() doubtful=() second_look=false unsteady=0
total_passed=0 total_failed=0 total_skipped=0
[ $# -gt 0 ] || set -- "${everything[@]}"
add_jobs "$@"
tools/deps.sh test || exit 1
make -s -j"$(nproc)" "BUILD=$BUILD" all unit || exit 1
make_folders
export FUZZ_SECONDS=${FUZZ_SECONDS:-10} SEED=${SEED:-1}
SECONDS=0
run_queue $jobs_at_once ${queue[@]+"${queue[@]}"}
look_again
show_broken
printf '\n%d tests skipped, %d plays unsteady, %d s\n' "$total_skipped" "$unsteady" "$SECONDS"
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" = 0 ] && [ "$total_passed" -gt 0 ]
